//! What differs between two releases.

use serde_json::Value;

use super::Content;
use crate::environment::{self, Environment};

/// One thing that differs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// What: `image`, `env.PORT`, `limits.memoryBytes`, …
    pub field: String,
    /// How it is in the first; `None`: it is not there, or must not be shown.
    pub before: Option<String>,
    /// How it is in the second.
    pub after: Option<String>,
    /// Whether the values are not shown because they are secret.
    pub is_secret: bool,
}

/// What differs, first to second. Secret values are never shown, only that they differ.
#[must_use]
pub fn diff(a: &Content, b: &Content) -> Vec<Difference> {
    let mut all = Vec::new();
    let mut note = |field: &str, before: Option<String>, after: Option<String>| {
        if before != after {
            all.push(Difference {
                field: field.to_owned(),
                before,
                after,
                is_secret: false,
            });
        }
    };
    note(
        "image",
        Some(a.image.to_string()),
        Some(b.image.to_string()),
    );
    note("imageId", a.image_id.clone(), b.image_id.clone());
    let names = |content: &Content| {
        let mut names: Vec<_> = content.hostnames.iter().map(ToString::to_string).collect();
        names.sort_unstable();
        Some(names.join(", "))
    };
    note("hostnames", names(a), names(b));
    for (prefix, a, b) in [
        (
            "limits",
            serde_json::to_value(a.limits.in_effect()),
            serde_json::to_value(b.limits.in_effect()),
        ),
        (
            "health",
            serde_json::to_value(&a.health),
            serde_json::to_value(&b.health),
        ),
    ] {
        for (field, before, after) in members(a.ok(), b.ok()) {
            note(&format!("{prefix}.{field}"), before, after);
        }
    }
    // There may be a secret in the query.
    let has_query = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('?'));
    for path in all.iter_mut().filter(|one| one.field == "health.path") {
        if has_query(&path.before) || has_query(&path.after) {
            (path.before, path.after, path.is_secret) = (None, None, true);
        }
    }
    all.extend(variables(&a.env, &b.env));
    all
}

fn members(a: Option<Value>, b: Option<Value>) -> Vec<(String, Option<String>, Option<String>)> {
    let object = |value: Option<Value>| match value {
        Some(Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    };
    let (a, b) = (object(a), object(b));
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    names
        .into_iter()
        .map(|name| (name.clone(), text(a.get(name)), text(b.get(name))))
        .collect()
}

fn variables(a: &Environment, b: &Environment) -> Vec<Difference> {
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differs = names
        .into_iter()
        .filter(|name| a.get(*name) != b.get(*name));
    differs
        .map(|name| variable(name, a.get(name), b.get(name)))
        .collect()
}

/// Where a part is masked the rest may be shown, but not a difference that lies in what is masked.
fn variable(name: &str, before: Option<&String>, after: Option<&String>) -> Difference {
    let shown = |value: Option<&String>| value.map(|v| environment::masked_value(name, v));
    let (before_shown, after_shown) = (shown(before), shown(after));
    let is_secret = before_shown.as_ref() != before || after_shown.as_ref() != after;
    let visible = |value: Option<String>| value.filter(|_| !is_secret);
    Difference {
        field: format!("env.{name}"),
        before: visible(before_shown),
        after: visible(after_shown),
        is_secret,
    }
}
