//! Building images with Docker's classic builder.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use bollard::{
    Docker, body_try_stream,
    models::{BuildInfo, EventMessage},
    query_parameters::{BuildImageOptions, BuildImageOptionsBuilder, EventsOptionsBuilder},
};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use super::{
    BuildFailure, BuildLimits, BuildOutput, BuildSpec, EngineError,
    docker::BROKE_OFF,
    docker_login::{all_credentials, make_credentials_readable},
};

/// How long a build may go without output.
const SILENCE: Duration = Duration::from_secs(15 * 60);
/// How long the engine may take to tell how a step's container ended.
const AFTERMATH: Duration = Duration::from_secs(5);
/// Longest text that is taken over from the engine into an error, in characters.
const MAX_REASON: usize = 2_000;
/// Events that are remembered of containers of each kind.
const REMEMBERED: usize = 100;
/// What builds weigh against other containers (1,024 each) when all want the processors.
const CPU_SHARES: i32 = 128;
/// Length of the period in which processors are counted, in microseconds.
const CPU_PERIOD: i32 = 100_000;

/// Builds and names an image. See [`super::Engine::build`].
pub(super) async fn build(docker: &Docker, build: BuildSpec) -> Result<String, BuildFailure> {
    // `bollard`'s own deadline covers the time until the engine begins to answer.
    let limits = build.limits;
    let asking = with_memory(docker.clone(), limits.memory_bytes).with_timeout(limits.time);
    let context = Some(body_try_stream(build.context));
    let credentials = Some(all_credentials(&build.logins));
    let options = options(&build.name, &build.labels, limits);
    let stream = asking.build_image(options, credentials, context);
    let mut watch = Watch {
        output: &*build.output,
        events: memory_events(docker, build.began),
        container: None,
        ran_out: VecDeque::new(),
        gone: VecDeque::new(),
    };
    let outcome = timeout(limits.time, watch.until_end(stream)).await;
    outcome.unwrap_or(Err(BuildFailure::TooLong(limits.time)))
}

fn options(
    name: &str,
    labels: &BTreeMap<String, String>,
    limits: BuildLimits,
) -> BuildImageOptions {
    let labels: HashMap<&str, &str> = labels
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    BuildImageOptionsBuilder::default()
        .t(name)
        .rm(true)
        .forcerm(true)
        .labels(&labels)
        .cpushares(CPU_SHARES)
        .cpuperiod(CPU_PERIOD)
        .cpuquota((limits.cpus * f64::from(CPU_PERIOD)) as i32)
        .build()
}

/// `bollard` has 32 bits for the memory of a build, the engine 64; and it can change a request in one
/// way only.
fn with_memory(docker: Docker, bytes: u64) -> Docker {
    docker.with_request_modifier(move |mut request| {
        let limited = format!("{}&memory={bytes}&memswap={bytes}", request.uri());
        if let Ok(uri) = limited.parse() {
            *request.uri_mut() = uri;
        }
        make_credentials_readable(&mut request);
        request
    })
}

/// Tells of containers that had no memory left, and of those that are gone.
fn memory_events(docker: &Docker, since: Timestamp) -> BoxStream<'static, EventMessage> {
    let filters = HashMap::from([
        ("type", vec!["container"]),
        ("event", vec!["oom", "destroy"]),
    ]);
    let options = EventsOptionsBuilder::default()
        .since(&since.as_second().to_string())
        .filters(&filters)
        .build();
    let events = docker.events(Some(options));
    events
        .take_while(|event| futures_util::future::ready(event.is_ok()))
        .filter_map(|event| futures_util::future::ready(event.ok()))
        .boxed()
}

/// A build that goes on.
struct Watch<'a> {
    output: &'a (dyn Fn(BuildOutput<'_>) + Send + Sync),
    events: BoxStream<'static, EventMessage>,
    /// That of the step that is carried out.
    container: Option<String>,
    /// Containers, of whomever, that had no memory left, newest last.
    ran_out: VecDeque<String>,
    /// Containers, of whomever, that were removed, newest last.
    gone: VecDeque<String>,
}

impl Watch<'_> {
    async fn until_end(
        &mut self,
        stream: impl Stream<Item = Result<BuildInfo, bollard::errors::Error>>,
    ) -> Result<String, BuildFailure> {
        let mut stream = std::pin::pin!(stream);
        let mut made = None;
        while let Some(info) = self.next(stream.as_mut()).await? {
            let info = match info.map_err(EngineError::from) {
                Ok(info) => info,
                Err(error) => return Err(self.failed(error).await),
            };
            if let Some(image) = info.aux.as_ref().and_then(|aux| aux.id.clone()) {
                made = Some(image);
            }
            if let Some(text) = text(info) {
                self.said(&text);
            }
        }
        let broken = || EngineError::Unreachable(BROKE_OFF.into()).into();
        made.ok_or_else(broken)
    }

    /// The next piece of the answer. Meanwhile, events are taken.
    async fn next<S: Stream + Unpin>(
        &mut self,
        mut stream: S,
    ) -> Result<Option<S::Item>, BuildFailure> {
        let silence = sleep(SILENCE);
        tokio::pin!(silence);
        loop {
            tokio::select! {
                biased;
                Some(event) = self.events.next() => self.note(&event),
                next = stream.next() => return Ok(next),
                () = &mut silence => return Err(BuildFailure::Silent(SILENCE)),
            }
        }
    }

    fn said(&mut self, text: &str) {
        if let Some(id) = container(text) {
            self.container = Some(id.to_owned());
            (self.output)(BuildOutput::Container(id));
        }
        (self.output)(layer(text).map_or(BuildOutput::Text(text), BuildOutput::Layer));
    }

    async fn failed(&mut self, error: EngineError) -> BuildFailure {
        let code = match &error {
            EngineError::Failed(text) => exit_code(text),
            _ => None,
        };
        match (code, self.container.take()) {
            (Some(code), Some(container)) => BuildFailure::Step {
                code,
                out_of_memory: self.ran_out_of_memory(&container).await,
            },
            _ => shortened(error).into(),
        }
    }

    /// Whether the engine has said so of a container before it was removed.
    async fn ran_out_of_memory(&mut self, container: &str) -> bool {
        let is_gone = |gone: &VecDeque<String>| gone.iter().any(|id| id.starts_with(container));
        let end = sleep(AFTERMATH);
        tokio::pin!(end);
        while !is_gone(&self.gone) {
            tokio::select! {
                event = self.events.next() => match event {
                    Some(event) => self.note(&event),
                    None => break,
                },
                () = &mut end => break,
            }
        }
        self.ran_out.iter().any(|id| id.starts_with(container))
    }

    fn note(&mut self, event: &EventMessage) {
        let Some(id) = actor(event) else { return };
        let list = match event.action.as_deref() {
            Some("oom") => &mut self.ran_out,
            _ => &mut self.gone,
        };
        if list.len() == REMEMBERED {
            list.pop_front();
        }
        list.push_back(id.to_owned());
    }
}

fn actor(event: &EventMessage) -> Option<&str> {
    event.actor.as_ref()?.id.as_deref()
}

/// The code in `The command '/bin/sh -c …' returned a non-zero code: 7`. The engine has it in a field
/// as well, which `bollard` drops.
fn exit_code(text: &str) -> Option<i64> {
    let (command, code) = text.trim().rsplit_once(" returned a non-zero code: ")?;
    command
        .starts_with("The command ")
        .then(|| code.parse().ok())?
}

/// What a piece of the answer says. Of a base image that is pulled: each layer's beginning and end.
fn text(info: BuildInfo) -> Option<String> {
    let moves = info
        .progress_detail
        .is_some_and(|detail| detail.current.is_some());
    match (info.stream, info.status) {
        (Some(text), _) => Some(text),
        (None, Some(status)) if !moves => Some(match info.id {
            Some(id) => format!("{id}: {status}\n"),
            None => format!("{status}\n"),
        }),
        _ => None,
    }
}

/// The id in a line ` ---> 1a2b3c…`, by which the classic builder names each layer.
fn layer(text: &str) -> Option<&str> {
    short_id(text.trim().strip_prefix("---> ")?)
}

/// The id in a line ` ---> Running in 1a2b3c…`, by which it names the container of a step.
fn container(text: &str) -> Option<&str> {
    short_id(text.trim().strip_prefix("---> Running in ")?)
}

fn short_id(id: &str) -> Option<&str> {
    (id.len() == 12 && id.bytes().all(|c| c.is_ascii_hexdigit())).then_some(id)
}

fn shortened(error: EngineError) -> EngineError {
    match error {
        EngineError::Failed(text) => {
            EngineError::Failed(text.trim().chars().take(MAX_REASON).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_failed_is_told_from_other_failures() {
        let failed = "The command '/bin/sh -c exit 7' returned a non-zero code: 7";
        assert_eq!(exit_code(failed), Some(7));
        assert_eq!(exit_code("COPY failed: no such file"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_build_that_says_nothing_is_given_up() {
        use futures_util::stream;

        let mut watch = Watch {
            output: &|_| {},
            events: stream::pending().boxed(),
            container: None,
            ran_out: VecDeque::new(),
            gone: VecDeque::new(),
        };
        let said = stream::iter([Ok(BuildInfo::default())]);
        let failure = watch.until_end(said.chain(stream::pending())).await;
        assert!(matches!(failure, Err(BuildFailure::Silent(SILENCE))));
    }

    #[test]
    fn only_layer_lines_name_layers_and_containers() {
        assert_eq!(layer(" ---> 0123456789ab\n"), Some("0123456789ab"));
        assert_eq!(layer(" ---> Running in 0123456789ab\n"), None);
        assert_eq!(layer(" ---> Using cache\n"), None);
        assert_eq!(layer("Step 1/2 : FROM a\n"), None);
        let running = " ---> Running in 0123456789ab\n";
        assert_eq!(container(running), Some("0123456789ab"));
        assert_eq!(container(" ---> 0123456789ab\n"), None);
    }
}
