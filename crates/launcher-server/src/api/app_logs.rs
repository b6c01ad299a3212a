//! What apps write, live.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
};

use ddp_server::{
    Builder, Error, Publication,
    ejson::{Fields, Value},
    fields,
    live::{Collection, Writer, collection},
};
use jiff::Timestamp;
use launcher_core::{
    Launcher,
    engine::LogStream,
    logs::{AppLogEntry, LogOptions, LogSink, LogWatch, MAX_BYTES, MAX_TAIL},
};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::{
    arguments::Arguments,
    errors::{bad_request, from_core},
    publications::date,
};

/// Lines that are shown without the option.
const TAIL: usize = 1_000;
/// Different logs, by instance and options, that can be watched at the same time.
const MAX_VIEWS: usize = 200;
/// Digits of a container's id that are enough to tell which one is meant, and all of them.
const ID_DIGITS: std::ops::RangeInclusive<usize> = 12..=64;

/// Adds the publication to a server.
pub(super) fn register(builder: Builder, launcher: &Arc<Launcher>) -> Builder {
    let views = Arc::new(Views {
        launcher: Arc::clone(launcher),
        open: Mutex::default(),
    });
    builder.publish("appLogs", move |subscription, params: Vec<Value>| {
        let views = Arc::clone(&views);
        async move {
            let wanted = Wanted::read(&Arguments::new(params))?;
            let view = views.open(wanted).await?;
            let lines = view.lines.find();
            subscription.on_stop(move || drop(view));
            Ok(Publication::from(lines))
        }
    })
}

/// What somebody has subscribed to.
#[derive(Clone, Eq, Hash, PartialEq)]
struct Wanted {
    instance: String,
    options: LogOptions,
}

/// What is watched now. Who wants the same shares it.
struct Views {
    launcher: Arc<Launcher>,
    open: Mutex<HashMap<Wanted, Weak<View>>>,
}

/// The newest lines that are wanted, for as long as somebody is subscribed.
struct View {
    lines: Collection,
    kept: Arc<Kept>,
    watch: OnceCell<LogWatch>,
}

/// Keeps the collection as large as is wanted.
struct Kept {
    wanted: Wanted,
    state: Mutex<State>,
}

struct State {
    lines: Writer,
    /// The lengths of their texts, by id: the oldest first.
    sizes: BTreeMap<String, usize>,
    bytes: usize,
}

impl Views {
    async fn open(&self, wanted: Wanted) -> Result<Arc<View>, Error> {
        let view = self.view(wanted)?;
        let Wanted { instance, options } = &view.kept.wanted;
        let watch = || {
            let sink: Arc<dyn LogSink> = view.kept.clone();
            self.launcher.watch_logs(instance, options, sink)
        };
        let watched = view.watch.get_or_try_init(watch).await;
        watched.map_err(|e| from_core(&e))?;
        Ok(view)
    }

    fn view(&self, wanted: Wanted) -> Result<Arc<View>, Error> {
        let mut open = self.open.lock();
        if let Some(view) = open.get(&wanted).and_then(Weak::upgrade) {
            return Ok(view);
        }
        open.retain(|_, view| view.strong_count() > 0);
        if open.len() >= MAX_VIEWS {
            let details = format!(
                "{MAX_VIEWS} different logs are being watched, which is the most that can be."
            );
            return Err(Error::new("too-many-requests", "Too many logs").details(details));
        }
        let view = Arc::new(View::new(wanted.clone()));
        open.insert(wanted, Arc::downgrade(&view));
        Ok(view)
    }
}

impl View {
    fn new(wanted: Wanted) -> Self {
        let (writer, lines) = collection("AppLogs");
        let state = State {
            lines: writer,
            sizes: BTreeMap::new(),
            bytes: 0,
        };
        let kept = Arc::new(Kept {
            wanted,
            state: Mutex::new(state),
        });
        Self {
            lines,
            kept,
            watch: OnceCell::new(),
        }
    }
}

impl LogSink for Kept {
    fn lines(&self, entries: &[AppLogEntry]) {
        let Wanted { instance, options } = &self.wanted;
        // Who wants none of the old lines wants the new ones.
        let most = if options.tail == 0 {
            TAIL
        } else {
            options.tail
        };
        let mut state = self.state.lock();
        let wanted = entries.iter().filter(|entry| options.wants(entry));
        for entry in wanted {
            state.keep(instance, entry, most);
        }
    }
}

impl State {
    fn keep(&mut self, instance: &str, entry: &AppLogEntry, most: usize) {
        let oldest = self.sizes.first_key_value().map(|(id, _)| id);
        let is_full = self.sizes.len() >= most;
        if is_full && oldest.is_none_or(|oldest| entry.id < *oldest) {
            return;
        }
        let bytes = entry.line.text.len();
        self.lines
            .set(entry.id.as_str(), fields_of(instance, entry));
        let former = self.sizes.insert(entry.id.clone(), bytes);
        self.bytes = self.bytes + bytes - former.unwrap_or(0);
        while self.sizes.len() > most || self.bytes > MAX_BYTES {
            let Some((id, bytes)) = self.sizes.pop_first() else {
                return;
            };
            self.bytes -= bytes;
            self.lines.remove(id);
        }
    }
}

impl Wanted {
    fn read(arguments: &Arguments) -> Result<Self, Error> {
        let instance = arguments.instance_id()?.to_owned();
        let options = LogOptions {
            tail: tail(arguments)?,
            since: since(arguments)?,
            container: container(arguments)?,
            stream: stream(arguments)?,
        };
        Ok(Self { instance, options })
    }
}

fn tail(arguments: &Arguments) -> Result<usize, Error> {
    let Some(option) = arguments.option(1, "tail")? else {
        return Ok(TAIL);
    };
    let number = option.as_f64().filter(|n| n.fract() == 0.0 && *n >= 0.0);
    let number = number.filter(|n| *n <= MAX_TAIL as f64);
    number.map(|number| number as usize).ok_or_else(|| {
        bad_request(format!(
            "The tail option must be a whole number of lines from 0 to {MAX_TAIL}."
        ))
    })
}

fn since(arguments: &Arguments) -> Result<Option<Timestamp>, Error> {
    let Some(option) = arguments.option(1, "since")? else {
        return Ok(None);
    };
    let millis = option.as_date().and_then(ddp_server::ejson::Date::millis);
    let time = millis.and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let wrong = || bad_request("The since option must be a date.");
    time.map(Some).ok_or_else(wrong)
}

fn container(arguments: &Arguments) -> Result<Option<String>, Error> {
    let Some(option) = arguments.option(1, "container")? else {
        return Ok(None);
    };
    let id = option.as_str().filter(|id| {
        ID_DIGITS.contains(&id.len()) && id.bytes().all(|digit| digit.is_ascii_hexdigit())
    });
    let wrong = || {
        bad_request(
            "The container option must be the ID string of a container, or the first 12 digits of it.",
        )
    };
    id.map(|id| Some(id.to_ascii_lowercase())).ok_or_else(wrong)
}

fn stream(arguments: &Arguments) -> Result<Option<LogStream>, Error> {
    let Some(option) = arguments.option(1, "stream")? else {
        return Ok(None);
    };
    match option.as_str() {
        Some("stdout") => Ok(Some(LogStream::Stdout)),
        Some("stderr") => Ok(Some(LogStream::Stderr)),
        _ => Err(bad_request(
            "The stream option must be \"stdout\" or \"stderr\".",
        )),
    }
}

fn fields_of(instance: &str, entry: &AppLogEntry) -> Fields {
    let line = &entry.line;
    let mut fields = fields! {
        "instanceId": instance,
        "containerId": line.container.as_str(),
        "replica": entry.replica,
        "stream": line.stream.as_str(),
        "at": date(line.at),
        "text": line.text.as_str(),
        "n": line.at.as_microsecond(),
    };
    if line.is_truncated {
        fields.insert("truncated".into(), true.into());
    }
    if let Some(dropped) = entry.dropped {
        fields.insert("dropped".into(), dropped.count.into());
        fields.insert("estimated".into(), dropped.is_estimated.into());
    }
    fields
}

#[cfg(test)]
mod tests {
    use launcher_core::AppLogLine;

    use super::*;

    fn entry(second: i64, text: &str) -> AppLogEntry {
        let line = AppLogLine {
            container: "c".into(),
            stream: LogStream::Stdout,
            at: Timestamp::from_second(second).unwrap(),
            text: text.into(),
            is_truncated: false,
        };
        AppLogEntry {
            id: format!("{second:03}"),
            replica: 0,
            line,
            dropped: None,
        }
    }

    fn view(tail: usize) -> View {
        View::new(Wanted {
            instance: "i".into(),
            options: LogOptions {
                tail,
                since: None,
                container: None,
                stream: None,
            },
        })
    }

    fn ids(view: &View) -> Vec<String> {
        let documents = view.lines.documents();
        let mut ids: Vec<_> = documents.iter().map(|(id, _)| id.to_string()).collect();
        ids.sort();
        ids
    }

    #[test]
    fn the_newest_lines_are_kept_in_whatever_order_they_come() {
        let view = view(3);
        let lines: Vec<_> = [5, 4, 4, 2, 6, 1, 7].map(|s| entry(s, "text")).into();
        view.kept.lines(&lines);
        assert_eq!(ids(&view), ["005", "006", "007"]);
        let kept = view.kept.state.lock();
        assert_eq!((kept.sizes.len(), kept.bytes), (3, 12));
    }

    #[test]
    fn large_lines_are_kept_up_to_a_size() {
        let view = view(10_000);
        let text = "x".repeat(MAX_BYTES / 3);
        let lines: Vec<_> = (1..=5).map(|s| entry(s, &text)).collect();
        view.kept.lines(&lines);
        assert_eq!(ids(&view), ["003", "004", "005"]);
    }

    #[test]
    fn wrong_options_are_refused() {
        let options: [Fields; 6] = [
            fields! { "tail": 10_001 },
            fields! { "tail": -1 },
            fields! { "since": "yesterday" },
            fields! { "container": "abc" },
            fields! { "container": "zzzzzzzzzzzz" },
            fields! { "stream": "all" },
        ];
        for options in options {
            let wrong = Arguments::new(vec!["i".into(), Value::Object(options.clone())]);
            assert!(Wanted::read(&wrong).is_err(), "{options:?}");
        }
        let nothing = Arguments::new(vec!["i".into()]);
        assert_eq!(Wanted::read(&nothing).unwrap().options.tail, TAIL);
    }
}
