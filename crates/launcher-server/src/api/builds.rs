//! Builds, pulls and pushes, and what builds say.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use ddp_server::{
    Builder, Error, Publication,
    ejson::{Fields, Value},
    fields,
    live::{Collection, Query, Writer, collection},
};
use launcher_core::{Build, Launcher, LogLine};
use parking_lot::Mutex;

use super::{
    arguments::Arguments,
    errors::{bad_request, from_core},
    publications::{date, put},
};

/// Lines of a log that are published of a build that goes on, and bytes of their texts.
const MAX_LINES: usize = 5_000;
const MAX_BYTES: usize = 1024 * 1024;

/// The writing ends: of the builds, and of the log of each that goes on.
pub(crate) struct BuildDocuments {
    builds: Writer,
    logs: Logs,
}

/// Their reading ends.
pub(crate) struct BuildPublications {
    builds: Collection,
    logs: Logs,
}

type Logs = Arc<Mutex<HashMap<String, Log>>>;

/// The newest lines of one build.
struct Log {
    build: String,
    lines: Writer,
    view: Collection,
    /// Their numbers and the lengths of their texts, oldest first.
    sizes: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Log {
    fn new(build: &str) -> Self {
        let (lines, view) = collection("BuildLog");
        Self {
            build: build.to_owned(),
            lines,
            view,
            sizes: VecDeque::new(),
            bytes: 0,
        }
    }

    fn add(&mut self, line: &LogLine) {
        let document = fields! {
            "build": self.build.as_str(),
            "number": line.number,
            "at": date(line.at),
            "text": line.text.as_str(),
        };
        self.lines.set(self.id(line.number), document);
        self.sizes.push_back((line.number, line.text.len()));
        self.bytes += line.text.len();
        while self.sizes.len() > MAX_LINES || self.bytes > MAX_BYTES {
            let Some((number, bytes)) = self.sizes.pop_front() else {
                return;
            };
            self.bytes -= bytes;
            self.lines.remove(self.id(number));
        }
    }

    /// Lines with higher numbers have greater ids, so that clients who sort by id have the order.
    fn id(&self, number: u64) -> String {
        format!("{}-{number:010}", self.build)
    }
}

/// The two ends of all builds, of which there are none.
pub(super) fn collections() -> (BuildDocuments, BuildPublications) {
    let (builds, builds_view) = collection("Builds");
    let logs = Logs::default();
    let documents = BuildDocuments {
        builds,
        logs: Arc::clone(&logs),
    };
    let publications = BuildPublications {
        builds: builds_view,
        logs,
    };
    (documents, publications)
}

impl BuildDocuments {
    pub(super) fn changed(&self, id: &str, build: Option<&Build>) {
        if build.is_some_and(|build| !build.status.is_over()) {
            let mut logs = self.logs.lock();
            logs.entry(id.to_owned()).or_insert_with(|| Log::new(id));
        } else {
            // Whoever has subscribed keeps what is there.
            self.logs.lock().remove(id);
        }
        put(&self.builds, id, build.map(fields_of));
    }

    pub(super) fn logged(&self, build: &str, lines: &[LogLine]) {
        if let Some(log) = self.logs.lock().get_mut(build) {
            for line in lines {
                log.add(line);
            }
        }
    }
}

/// Adds the publications to a server.
pub(super) fn register(
    builder: Builder,
    publications: BuildPublications,
    launcher: &Arc<Launcher>,
) -> Builder {
    let BuildPublications { builds, logs } = publications;
    let launcher = Arc::clone(launcher);
    let (all, one) = (builds.clone(), builds);
    builder
        .publish("imageBuilds", move |_subscription, params: Vec<Value>| {
            let wanted = Newest {
                of: "builds",
                at: "createdAt",
                default: usize::MAX,
            };
            let found = newest(&all, &Arguments::new(params), &wanted);
            async move { Ok(Publication::from(found?)) }
        })
        .publish("imageBuild", move |_subscription, params: Vec<Value>| {
            let found = build_id(&Arguments::new(params)).map(|id| one.find_one(id));
            async move { Ok(Publication::from(found?)) }
        })
        .publish("buildLog", move |_subscription, params: Vec<Value>| {
            let (launcher, logs) = (Arc::clone(&launcher), Arc::clone(&logs));
            async move { log(&launcher, &logs, &Arguments::new(params)).await }
        })
}

/// How the newest documents are found.
pub(super) struct Newest {
    /// What they are, in words.
    pub(super) of: &'static str,
    /// The field with their time.
    pub(super) at: &'static str,
    /// How many, for those who do not say.
    pub(super) default: usize,
}

/// The newest documents, as many as `{limit}` says, and those that begin later.
pub(super) fn newest(
    documents: &Collection,
    arguments: &Arguments,
    wanted: &Newest,
) -> Result<Query, Error> {
    let limit = count(arguments, 0, "limit", wanted.of)?.unwrap_or(wanted.default);
    let field = wanted.at;
    let time = move |document: &Fields| document.get(field)?.as_date()?.millis();
    let mut times: Vec<i64> = documents
        .documents()
        .iter()
        .filter_map(|(_, document)| time(document))
        .collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    let Some(newest_left_out) = times.get(limit).copied() else {
        return Ok(documents.find());
    };
    let is_newer = move |document: &Fields| time(document).is_some_and(|at| at > newest_left_out);
    Ok(documents.find().filter(is_newer))
}

async fn log(
    launcher: &Launcher,
    logs: &Logs,
    arguments: &Arguments,
) -> Result<Publication, Error> {
    let id = build_id(arguments)?;
    let tail = count(arguments, 1, "tail", "lines")?.unwrap_or(MAX_LINES);
    let live = logs.lock().get(&id).map(|log| log.view.clone());
    let lines = match live {
        Some(lines) => lines,
        None => finished(launcher, &id).await?,
    };
    let mut numbers: Vec<u64> = lines
        .documents()
        .iter()
        .filter_map(|(_, line)| number(line))
        .collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let Some(newest_left_out) = numbers.get(tail).copied() else {
        return Ok(Publication::from(lines.find()));
    };
    let is_newer = move |line: &Fields| number(line).is_some_and(|n| n > newest_left_out);
    Ok(Publication::from(lines.find().filter(is_newer)))
}

/// The log of a build that is over, as a collection that never changes. Of one that is not known,
/// as of a document that is not there, there is nothing.
async fn finished(launcher: &Launcher, id: &str) -> Result<Collection, Error> {
    let lines = match launcher.build_log(id).await {
        Err(launcher_core::Error::NoSuchBuild(_)) => Vec::new(),
        lines => lines.map_err(|e| from_core(&e))?,
    };
    let mut log = Log::new(id);
    for line in &lines {
        log.add(line);
    }
    Ok(log.view)
}

fn number(line: &Fields) -> Option<u64> {
    line.get("number").and_then(whole_number)
}

fn build_id(arguments: &Arguments) -> Result<String, Error> {
    arguments.build_id().map(str::to_owned)
}

/// How many of those that are there already are sent: without the option, all.
fn count(
    arguments: &Arguments,
    index: usize,
    option: &str,
    of: &str,
) -> Result<Option<usize>, Error> {
    let Some(count) = arguments.option(index, option)? else {
        return Ok(None);
    };
    let number = whole_number(count).ok_or_else(|| {
        bad_request(format!(
            "The {option} option must be a whole number of {of}, 0 or more."
        ))
    })?;
    Ok(Some(usize::try_from(number).unwrap_or(usize::MAX)))
}

fn whole_number(value: &Value) -> Option<u64> {
    let number = value.as_f64().filter(|n| n.fract() == 0.0 && *n >= 0.0)?;
    Some(number as u64)
}

fn fields_of(build: &Build) -> Fields {
    let step = build.step.as_ref().map(|step| {
        Value::Object(fields! { "number": step.number, "of": step.of, "text": step.text.as_str() })
    });
    let layers = build
        .layers
        .map(|layers| Value::Object(fields! { "done": layers.done, "of": layers.of }));
    fields! {
        "kind": build.kind.as_str(),
        "image": build.image.as_str(),
        "source": build.source.as_deref(),
        "status": build.status.as_str(),
        "queuePlace": build.place,
        "createdAt": date(build.created_at),
        "startedAt": build.started_at.map(date),
        "finishedAt": build.finished_at.map(date),
        "receivedBytes": build.received_bytes,
        "expectedBytes": build.expected_bytes,
        "step": step,
        "layers": layers,
        "error": build.error.as_deref(),
        "imageId": build.image_id.as_deref(),
        "digest": build.digest.as_deref(),
    }
}
