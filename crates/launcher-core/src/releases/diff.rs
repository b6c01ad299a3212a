//! What differs between two releases.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::Content;
use crate::{
    ContainerConfig, SiteOptions,
    environment::{self, Environment},
};

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
        let sites = content.hostnames.iter();
        let mut names: Vec<_> = sites.map(|site| site.address.to_string()).collect();
        names.sort_unstable();
        Some(names.join(", "))
    };
    note("hostnames", names(a), names(b));
    let special = |content: &Content| {
        let sites = content.hostnames.iter();
        let sites = sites.filter(|site| site.options != SiteOptions::default());
        let options = sites.map(|site| (site.address.to_string(), &site.options));
        let options: BTreeMap<_, _> = options.collect();
        (!options.is_empty()).then(|| serde_json::to_string(&options).unwrap_or_default())
    };
    note("hostnameOptions", special(a), special(b));
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
    all.extend(config(&a.config, &b.config));
    all.extend(variables(&a.env, &b.env));
    all
}

/// As with variables: where something is masked, no difference is shown.
fn config(a: &ContainerConfig, b: &ContainerConfig) -> Vec<Difference> {
    let (before, after) = (leaves(a.fields()), leaves(b.fields()));
    let (before_shown, after_shown) = (leaves(&a.masked()), leaves(&b.masked()));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let names = names.into_iter();
    let differing = names.filter(|name| before.get(*name) != after.get(*name));
    let difference = |name: &String| {
        let is_secret =
            before.get(name) != before_shown.get(name) || after.get(name) != after_shown.get(name);
        let visible = |value: Option<&String>| value.filter(|_| !is_secret).cloned();
        Difference {
            field: format!("config.{name}"),
            before: visible(before_shown.get(name)),
            after: visible(after_shown.get(name)),
            is_secret,
        }
    };
    differing.map(difference).collect()
}

/// Fields, and those of the objects in them, by their path.
fn leaves(fields: &Map<String, Value>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, value) in fields {
        match value {
            Value::Object(inner) => {
                let inner = inner.iter().filter_map(|(n, v)| Some((n, text(Some(v))?)));
                all.extend(inner.map(|(inner, text)| (format!("{name}.{inner}"), text)));
            }
            other => all.extend(text(Some(other)).map(|text| (name.clone(), text))),
        }
    }
    all
}

fn text(value: Option<&Value>) -> Option<String> {
    match value {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Rights, store::contract::sample_instance};

    fn content(config: Value) -> Content {
        let mut record = sample_instance("one", 1);
        record.config = ContainerConfig::parse(config, Rights::User).unwrap().config;
        Content::of(&record)
    }

    #[test]
    fn what_is_said_in_dockers_words_differs_field_by_field() {
        let before = json!({
            "User": "node", "Labels": {"team": "a", "token": "s3cret"}, "Cmd": ["app", "--password", "s3cret"],
            "HostConfig": {"ShmSize": 1},
        });
        let after = json!({
            "Labels": {"team": "b", "token": "0ther"}, "Cmd": ["app", "--password", "0ther"],
            "HostConfig": {"ShmSize": 2, "Init": false},
        });
        let (before, after) = (content(before), content(after));
        assert_eq!(diff(&before, &before), []);
        let found = diff(&before, &after);
        let told: Vec<_> = found
            .iter()
            .map(|one| {
                (
                    one.field.as_str(),
                    one.before.as_deref(),
                    one.after.as_deref(),
                    one.is_secret,
                )
            })
            .collect();
        let expected = [
            ("config.Cmd", None, None, true),
            ("config.HostConfig.Init", None, Some("false"), false),
            ("config.HostConfig.ShmSize", Some("1"), Some("2"), false),
            ("config.Labels.team", Some("a"), Some("b"), false),
            ("config.Labels.token", None, None, true),
            ("config.User", Some("node"), None, false),
        ];
        assert_eq!(told, expected);
    }
}
