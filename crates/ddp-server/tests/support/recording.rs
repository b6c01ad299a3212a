//! A recorded conversation, and how ours is compared with it.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::support::{SURROGATE, read_json};

/// A conversation of Meteor's own server with a client.
pub(crate) struct Recording {
    pub(crate) env: HashMap<String, String>,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Text(String),
    Binary(String),
    Recv(Value),
    Closed(u16),
    NewConnection,
}

impl Recording {
    pub(crate) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
        let text = std::fs::read_to_string(path.join(format!("{name}.json"))).unwrap();
        let file = read_json(&text);
        let env = serde_json::from_value(file["env"].clone()).unwrap();
        let messages = file["messages"].as_array().unwrap();
        let mut steps: Vec<_> = messages.iter().filter_map(step).collect();
        // some end with a connection on which nothing is said
        steps.pop_if(|last| matches!(last, Step::NewConnection));
        Self { env, steps }
    }
}

fn write_json(message: &Value) -> String {
    message.to_string().replace(SURROGATE, "\\ud800")
}

fn step(entry: &Value) -> Option<Step> {
    let message = &entry["msg"];
    Some(match entry["dir"].as_str()? {
        "send" => {
            if let Some(frame) = message["binaryFrame"].as_str() {
                return Some(Step::Binary(frame.to_owned()));
            }
            let raw = entry["raw"]
                .as_str()
                .or_else(|| message["rawText"].as_str());
            Step::Text(raw.map_or_else(|| write_json(message), str::to_owned))
        }
        "recv" => Step::Recv(message.clone()),
        "close" => Step::Closed(u16::try_from(message["code"].as_u64()?).ok()?),
        "note" if message.as_str()?.contains("new connection") => Step::NewConnection,
        _ => return None,
    })
}

/// What differs from run to run: generated ids and ports. Each recorded one stands for one of
/// ours, all through the conversation.
#[derive(Default)]
pub(crate) struct Names {
    ours: HashMap<String, String>,
}

impl Names {
    /// A frame to send, with our ids in place of the recorded ones.
    pub(crate) fn translate(&self, frame: &str) -> String {
        let replace =
            |frame: String, (recorded, ours): (&String, &String)| frame.replace(recorded, ours);
        self.ours.iter().fold(frame.to_owned(), replace)
    }

    /// Whether our message has the shape of the recorded one.
    pub(crate) fn same(&mut self, recorded: &Value, ours: &Value) -> bool {
        match (recorded, ours) {
            (Value::String(recorded), Value::String(ours)) => self.same_text(recorded, ours),
            (Value::Array(recorded), Value::Array(ours)) => {
                let mut pairs = recorded.iter().zip(ours);
                recorded.len() == ours.len() && pairs.all(|(a, b)| self.same(a, b))
            }
            (Value::Object(recorded), Value::Object(ours)) => {
                let mut fields = recorded.iter();
                let mut same_field = |key: &str, a, b: &Value| match key {
                    "tokenExpires" | "timeToReset" => b.is_object() || b.is_number(),
                    _ => self.same(a, b),
                };
                recorded.len() == ours.len()
                    && fields.all(|(key, a)| ours.get(key).is_some_and(|b| same_field(key, a, b)))
            }
            (recorded, ours) => recorded == ours,
        }
    }

    fn same_text(&mut self, recorded: &str, ours: &str) -> bool {
        if let Some(known) = self.ours.get(recorded) {
            return known == ours;
        }
        let both_wait = recorded.starts_with(TOO_MANY) && ours.starts_with(TOO_MANY);
        if recorded == ours || both_wait || both_local(recorded, ours) {
            return true;
        }
        let generated = looks_generated(recorded) && looks_generated(ours);
        if generated {
            self.ours.insert(recorded.to_owned(), ours.to_owned());
        }
        generated
    }
}

/// How long to wait depends on the machine.
const TOO_MANY: &str = "Error, too many requests. Please slow down. You must wait ";

/// An id, or a login's token.
fn looks_generated(text: &str) -> bool {
    let of_base64 = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let token = text.len() == 43 && text.chars().all(of_base64);
    let unmistakable = |c: char| c.is_ascii_alphanumeric() && !"01IOUVl".contains(c);
    token || text.len() == 17 && text.chars().all(unmistakable)
}

fn both_local(a: &str, b: &str) -> bool {
    let local = |text: &str| {
        text.strip_prefix("127.0.0.1:")
            .is_some_and(|port| port.parse::<u16>().is_ok())
    };
    local(a) && local(b)
}
