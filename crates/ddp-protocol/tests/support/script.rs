//! Short scripts of what subscriptions say of documents and what the client hears.
//!
//! A line is what a subscription says of a document: `A + d x=1` adds it, `A ~ d x=2 -y` changes
//! and clears fields, `A - d` removes it, `A .` ends the subscription. The lines after it that
//! begin with `>` are what the client hears.

use std::sync::Arc;

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::{self, Fields};
use ddp_protocol::merge_box::{MergeBox, Strategies, Strategy, SubscriptionKey};
use ddp_protocol::message::DataMessage;

/// Plays what is said, and compares with what should be heard.
pub(crate) fn check(strategy: Strategy, script: &str) {
    let mut merge_box = MergeBox::new(Arc::new(Strategies::with_default(strategy)));
    let script: Vec<_> = script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let mut played = Vec::new();
    for line in script.iter().filter(|line| !line.starts_with('>')) {
        played.push((*line).to_owned());
        played.extend(say(&mut merge_box, line));
    }
    assert_eq!(played, script);
}

fn say(merge_box: &mut MergeBox, line: &str) -> Vec<String> {
    let mut words = line.split_whitespace();
    let sub = words.next().and_then(|sub| sub.bytes().next());
    let sub = SubscriptionKey(sub.unwrap_or_default().into());
    let action = words.next().unwrap_or_default();
    let id = DocumentId::from(words.next().unwrap_or_default());
    let (fields, cleared) = changes(words);
    let outcome = match action {
        "+" => Ok(merge_box.added(sub, "c", &id, fields)),
        "~" => merge_box.changed(sub, "c", &id, &fields, &cleared),
        "-" => merge_box.removed(sub, "c", &id),
        "." => return told(merge_box.remove_subscription(sub)),
        other => panic!("{other} in {line}"),
    };
    match outcome {
        Ok(message) => told(message),
        Err(unknown) => vec![format!("> {unknown}")],
    }
}

fn changes<'a>(words: impl Iterator<Item = &'a str>) -> (Fields, Vec<String>) {
    let (mut fields, mut cleared) = (Fields::new(), Vec::new());
    for word in words {
        match word.split_once('=') {
            Some((key, value)) => {
                let value = ejson::parse(value).unwrap_or_else(|_| value.into());
                fields.insert(key.to_owned(), value);
            }
            None => cleared.push(word.trim_start_matches('-').to_owned()),
        }
    }
    (fields, cleared)
}

fn told(messages: impl IntoIterator<Item = DataMessage>) -> Vec<String> {
    messages.into_iter().map(|message| line(&message)).collect()
}

fn line(message: &DataMessage) -> String {
    let words = |fields: &Fields| {
        let words = fields.iter();
        words
            .map(|(key, value)| format!(" {key}={}", ejson::stringify(value)))
            .collect::<String>()
    };
    let id = message.id();
    match message {
        DataMessage::Added { fields, .. } => format!("> added {id}{}", words(fields)),
        DataMessage::Changed {
            fields, cleared, ..
        } => {
            let cleared: String = cleared.iter().map(|key| format!(" -{key}")).collect();
            format!("> changed {id}{}{cleared}", words(fields))
        }
        DataMessage::Removed { .. } => format!("> removed {id}"),
    }
}
