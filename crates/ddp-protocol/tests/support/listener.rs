//! A client that believes nothing: it checks whatever it hears.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

#[derive(Debug, Default)]
pub(crate) struct Listener {
    /// What was called, and which version of the ledger must be here when it is `updated`.
    pub(crate) calls: BTreeMap<String, i32>,
    results: BTreeMap<String, usize>,
    updated: BTreeMap<String, usize>,
    documents: BTreeMap<(String, String), Map<String, Value>>,
}

impl Listener {
    /// How many documents the client has.
    pub(crate) fn documents(&self) -> usize {
        self.documents.len()
    }

    /// Whether each call has one result and one `updated`.
    pub(crate) fn is_answered(&self) -> bool {
        let once = |heard: &BTreeMap<String, usize>| {
            heard.values().all(|times| *times == 1) && heard.keys().eq(self.calls.keys())
        };
        once(&self.results) && once(&self.updated)
    }

    pub(crate) fn hear(&mut self, frame: &str) {
        let message: Value = serde_json::from_str(frame).unwrap_or_default();
        let kind = message["msg"].as_str().unwrap_or_default();
        match kind {
            "added" | "changed" | "removed" => self.hear_data(kind, &message),
            "result" => count(&mut self.results, &message["id"]),
            "updated" => self.hear_updated(&message["methods"][0]),
            _ => {}
        }
    }

    fn hear_data(&mut self, kind: &str, message: &Value) {
        let document = (text(&message["collection"]), text(&message["id"]));
        let known = self.documents.contains_key(&document);
        assert_eq!(known, kind != "added", "{message}");
        if kind == "removed" {
            self.documents.remove(&document);
            return;
        }
        let fields = self.documents.entry(document).or_default();
        for key in message["cleared"].as_array().into_iter().flatten() {
            fields.remove(&text(key));
        }
        let new = message["fields"].as_object().cloned();
        fields.extend(new.unwrap_or_default());
    }

    /// Data that a call has written comes before its `updated`.
    fn hear_updated(&mut self, id: &Value) {
        count(&mut self.updated, id);
        let needed = self.calls.get(&text(id)).copied().unwrap_or_default();
        let ledger = ("ledger".to_owned(), "l".to_owned());
        if let Some(ledger) = self.documents.get(&ledger) {
            let seen = ledger["n"].as_f64().unwrap_or_default();
            assert!(seen >= f64::from(needed), "{seen} of {needed} for {id}");
        }
    }
}

fn count(heard: &mut BTreeMap<String, usize>, id: &Value) {
    *heard.entry(text(id)).or_default() += 1;
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
