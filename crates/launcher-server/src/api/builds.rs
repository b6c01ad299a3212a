//! Builds, pulls and pushes, and what builds say.

use std::{collections::HashMap, sync::Arc};

use ddp_server::{
    Builder, Error, Publication,
    ejson::{Fields, Value},
    fields,
    live::{Collection, Writer, collection},
};
use launcher_core::{Build, Launcher, LogLine};
use parking_lot::Mutex;

use super::{
    arguments::Arguments,
    errors::{bad_request, from_core},
    publications::date,
};

/// Lines of a log that are published of a build that goes on.
const MAX_LINES: u64 = 5_000;

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

type Logs = Arc<Mutex<HashMap<String, (Writer, Collection)>>>;

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
            logs.entry(id.to_owned())
                .or_insert_with(|| collection("BuildLog"));
        } else {
            // Whoever has subscribed keeps what is there.
            self.logs.lock().remove(id);
        }
        match build {
            Some(build) => self.builds.set(id, fields_of(build)),
            None => drop(self.builds.remove(id)),
        }
    }

    pub(super) fn logged(&self, build: &str, lines: &[LogLine]) {
        if let Some((writer, _)) = self.logs.lock().get(build) {
            write_lines(writer, build, lines);
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
        .publish("imageBuilds", move |_subscription, _params: Vec<Value>| {
            let all = all.find();
            async move { Ok(Publication::from(all)) }
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

async fn log(
    launcher: &Launcher,
    logs: &Logs,
    arguments: &Arguments,
) -> Result<Publication, Error> {
    let id = build_id(arguments)?;
    let tail = tail(arguments)?;
    let live = logs.lock().get(&id).map(|(_, lines)| lines.clone());
    let lines = match live {
        Some(lines) => lines,
        None => finished(launcher, &id).await?,
    };
    let newest = lines
        .documents()
        .iter()
        .filter_map(|(_, line)| number(line))
        .max();
    let first = newest.unwrap_or(0).saturating_sub(tail) + 1;
    let query = lines
        .find()
        .filter(move |line| number(line).is_some_and(|n| n >= first));
    Ok(Publication::from(query))
}

/// The log of a build that is over, as a collection that never changes.
async fn finished(launcher: &Launcher, id: &str) -> Result<Collection, Error> {
    let lines = launcher.build_log(id).await.map_err(|e| from_core(&e))?;
    let (writer, view) = collection("BuildLog");
    write_lines(&writer, id, &lines);
    Ok(view)
}

fn write_lines(writer: &Writer, build: &str, lines: &[LogLine]) {
    for line in lines {
        let document = fields! {
            "build": build,
            "number": line.number,
            "at": date(line.at),
            "text": line.text.as_str(),
        };
        writer.set(line_id(build, line.number), document);
        if let Some(oldest) = line.number.checked_sub(MAX_LINES) {
            writer.remove(line_id(build, oldest));
        }
    }
}

fn line_id(build: &str, number: u64) -> String {
    format!("{build}-{number}")
}

fn number(line: &Fields) -> Option<u64> {
    line.get("number").and_then(whole_number)
}

fn build_id(arguments: &Arguments) -> Result<String, Error> {
    arguments.build_id().map(str::to_owned)
}

/// How many of the lines that are there already are sent: `{tail}`, all of them without it.
fn tail(arguments: &Arguments) -> Result<u64, Error> {
    let Some(tail) = arguments.option(1, "tail") else {
        return Ok(MAX_LINES);
    };
    whole_number(tail)
        .ok_or_else(|| bad_request("The tail option must be a whole number of lines, 0 or more."))
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
