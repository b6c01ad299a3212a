//! Docker's own options for the containers of an instance, as far as a caller sets some.

mod rules;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{
    Rights,
    engine::{LABEL_PREFIX, create_body_field},
    environment::{masked_command, masked_value},
};
use rules::{for_everybody, for_nobody};

/// Most bytes of it, written as JSON. Each container carries it in a label.
pub const MAX_CONFIG: usize = 32 * 1024;
/// Most objects and arrays in one another; Docker's own have seven.
const MAX_DEPTH: usize = 8;

/// A part of Docker's container-create body. It goes over what the launcher says itself, but for what
/// the launcher needs to keep its promises, which is refused when it is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerConfig(Map<String, Value>);

/// What a caller says of containers in Docker's words.
#[derive(Debug)]
pub struct GivenConfig {
    /// All but the variables.
    pub config: ContainerConfig,
    /// The variables, `NAME=value`. They are the app's like others.
    pub env: Vec<String>,
}

/// Why it cannot be. Texts name fields, and no values.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum ConfigError {
    /// It is something else.
    #[error("it must be an object: the body with which Docker creates a container")]
    NoObject,
    /// It is too long.
    #[error("it has at most {MAX_CONFIG} bytes as JSON, besides Env")]
    TooLong,
    /// There are too many things in one another.
    #[error("it has at most {MAX_DEPTH} objects and arrays in one another")]
    TooDeep,
    /// There is no such field, or what is in it is something else.
    #[error("{0}")]
    Field(String),
    /// Nobody may set this field so.
    #[error("{field} cannot be set: {why}")]
    Nobody {
        /// Its path.
        field: String,
        /// Why.
        why: &'static str,
    },
    /// Not everybody may set this field so.
    #[error("only administrators may set {field} so{}", .hint.map(|hint| format!("; {hint}")).unwrap_or_default())]
    Administrators {
        /// Its path.
        field: String,
        /// What everybody may do instead.
        hint: Option<&'static str>,
    },
}

impl ContainerConfig {
    /// Reads what a caller sends. `null` counts as left out, and so does what is empty where it would
    /// be refused if it were not.
    ///
    /// # Errors
    /// [`ConfigError`]: what cannot be, or what this caller may not set.
    pub fn parse(body: Value, rights: Rights) -> Result<GivenConfig, ConfigError> {
        if depth(&body) > MAX_DEPTH {
            return Err(ConfigError::TooDeep);
        }
        let Value::Object(mut fields) = without_null(body) else {
            return Err(ConfigError::NoObject);
        };
        let env = fields.remove("Env");
        let env = env.as_ref().map(self::env).transpose()?;
        if Value::from(fields.clone()).to_string().len() > MAX_CONFIG {
            return Err(ConfigError::TooLong);
        }
        for (field, value) in &fields {
            create_body_field(field, value).map_err(ConfigError::Field)?;
        }
        let host_config = fields.remove(HOST_CONFIG);
        let mut fields = allowed("", fields, rights)?;
        if let Some(Value::Object(host_config)) = host_config {
            let host_config = allowed("HostConfig.", host_config, rights)?;
            fields.insert(HOST_CONFIG.into(), host_config.into());
        }
        if let Some(labels) = fields.get_mut("Labels").and_then(Value::as_object_mut) {
            labels.retain(|label, _| !label.starts_with(LABEL_PREFIX));
        }
        Ok(GivenConfig {
            config: Self(fields),
            env: env.unwrap_or_default(),
        })
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its fields, as Docker calls them.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A copy that may be published: passwords in commands, labels and elsewhere are masked.
    #[must_use]
    pub fn masked(&self) -> Map<String, Value> {
        masked_object(&self.0)
    }
}

const HOST_CONFIG: &str = "HostConfig";

/// Those that may be set. What is refused may be there if it is empty, as that says nothing.
fn allowed(
    path: &str,
    fields: Map<String, Value>,
    rights: Rights,
) -> Result<Map<String, Value>, ConfigError> {
    let mut all = Map::new();
    for (name, value) in fields {
        let field = format!("{path}{name}");
        match check(&field, &value, rights) {
            Ok(()) => drop(all.insert(name, value)),
            Err(_) if is_empty(&value) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

fn check(field: &str, value: &Value, rights: Rights) -> Result<(), ConfigError> {
    if let Some(why) = for_nobody(field, value) {
        let field = field.to_owned();
        return Err(ConfigError::Nobody { field, why });
    }
    match (rights, for_everybody(field, value)) {
        (Rights::Administrator, _) | (Rights::User, Ok(())) => Ok(()),
        (Rights::User, Err(hint)) => Err(ConfigError::Administrators {
            field: field.to_owned(),
            hint,
        }),
    }
}

fn env(value: &Value) -> Result<Vec<String>, ConfigError> {
    let wrong = || ConfigError::Field("Env must be an array of strings NAME=value".into());
    let entry = |entry: &Value| {
        let text = entry.as_str().filter(|text| text.contains('='));
        text.map(str::to_owned).ok_or_else(wrong)
    };
    let all = value.as_array().ok_or_else(wrong)?;
    all.iter().map(entry).collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn depth(value: &Value) -> usize {
    let deepest = |all: &mut dyn Iterator<Item = &Value>| all.map(depth).max().unwrap_or(0);
    match value {
        Value::Array(all) => 1 + deepest(&mut all.iter()),
        Value::Object(fields) => 1 + deepest(&mut fields.values()),
        _ => 0,
    }
}

fn without_null(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let there = fields.into_iter().filter(|(_, value)| !value.is_null());
            let cleaned = there.map(|(name, value)| (name, without_null(value)));
            Value::Object(cleaned.collect())
        }
        Value::Array(all) => Value::Array(all.into_iter().map(without_null).collect()),
        other => other,
    }
}

fn masked_object(fields: &Map<String, Value>) -> Map<String, Value> {
    let masked = |(name, value): (&String, &Value)| (name.clone(), masked(name, value));
    fields.iter().map(masked).collect()
}

/// Arrays of texts are commands, or can be read as such.
fn masked(name: &str, value: &Value) -> Value {
    match value {
        Value::String(text) => masked_value(name, text).into(),
        Value::Object(fields) => masked_object(fields).into(),
        Value::Array(all) => {
            let words = all.iter().map(|word| word.as_str().map(str::to_owned));
            match words.collect::<Option<Vec<String>>>() {
                Some(words) => masked_command(&words).into(),
                None => all.iter().map(|one| masked(name, one)).collect(),
            }
        }
        other => other.clone(),
    }
}
