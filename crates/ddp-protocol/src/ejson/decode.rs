use super::{Date, Fields, ObjectId, Regexp, Value, binary};
use crate::json;

/// Why a text or value is not EJSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not JSON.
    #[error(transparent)]
    Syntax(#[from] json::SyntaxError),
    /// An object has the keys of an EJSON type, but not a value of it.
    #[error("{0} with a value that is not one")]
    Type(&'static str),
}

/// Reads EJSON text, as `EJSON.parse`.
///
/// ```
/// use ddp_protocol::ejson;
///
/// let value = ejson::parse(r#"{"at":{"$date":0}}"#)?;
/// assert_eq!(value.get("at").and_then(|at| at.as_date()), Some(ejson::Date::from_millis(0)));
/// # Ok::<(), ejson::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Syntax`] when the text is not JSON, [`Error::Type`] when an EJSON type in it is broken.
pub fn parse(text: &str) -> Result<Value, Error> {
    decode(json::parse(text)?)
}

/// Reads EJSON from a JSON tree, as `EJSON.fromJSONValue`.
///
/// # Errors
///
/// [`Error::Type`] when an EJSON type in it is broken.
pub fn from_json_value(json: serde_json::Value) -> Result<Value, Error> {
    decode(json.into())
}

/// Finds the EJSON types in a tree of plain JSON. Nothing is looked for inside what was found,
/// except in `$escape`.
pub(crate) fn decode(json: Value) -> Result<Value, Error> {
    match json {
        Value::Array(items) => Ok(Value::Array(
            items.into_iter().map(decode).collect::<Result<_, _>>()?,
        )),
        Value::Object(fields) => match form(&fields) {
            Some(form) => decode_form(form, fields),
            None => Ok(Value::Object(decode_fields(fields)?)),
        },
        other => Ok(other),
    }
}

/// A set of keys by which an EJSON type is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Date,
    Regexp,
    InfNan,
    Binary,
    Escape,
    Custom,
}

/// The form whose exact key set an object has.
pub(super) fn form(fields: &Fields) -> Option<Form> {
    match fields.len() {
        1 => match fields.get_index(0)?.0.as_str() {
            "$date" => Some(Form::Date),
            "$InfNaN" => Some(Form::InfNan),
            "$binary" => Some(Form::Binary),
            "$escape" => Some(Form::Escape),
            _ => None,
        },
        2 if fields.contains_key("$regexp") && fields.contains_key("$flags") => Some(Form::Regexp),
        2 if fields.contains_key("$type") && fields.contains_key("$value") => Some(Form::Custom),
        _ => None,
    }
}

fn decode_form(form: Form, fields: Fields) -> Result<Value, Error> {
    let mut values = fields.values();
    let Some(value) = values.next() else {
        return Ok(Value::Object(fields));
    };
    match form {
        Form::Date => Ok(Value::Date(date(value))),
        Form::InfNan => Ok(Value::Number(inf_nan(value))),
        Form::Binary => value
            .as_str()
            .and_then(binary::decode)
            .map(Value::Binary)
            .ok_or(Error::Type("$binary")),
        Form::Escape => unescape(value.clone()),
        Form::Regexp => regexp(&fields)
            .map(Value::Regexp)
            .ok_or(Error::Type("$regexp")),
        Form::Custom => custom(&fields),
    }
}

fn decode_fields(fields: Fields) -> Result<Fields, Error> {
    fields
        .into_iter()
        .map(|(key, value)| Ok((key, decode(value)?)))
        .collect()
}

/// `new Date(value)`.
fn date(value: &Value) -> Date {
    match value {
        Value::Null => Date::from_millis(0),
        Value::Bool(value) => Date::from_millis(i64::from(*value)),
        Value::Number(number) => Date::from_number(*number),
        Value::String(text) => Date::from_iso_string(text),
        _ => Date::INVALID,
    }
}

/// `value / 0`.
fn inf_nan(value: &Value) -> f64 {
    let number = match value {
        Value::Bool(value) => f64::from(*value),
        Value::Number(number) => *number,
        Value::String(text) => text.trim().parse().unwrap_or(0.0),
        _ => 0.0,
    };
    number / 0.0
}

/// One level of `$escape`: the keys inside are taken as they are, their values are EJSON again.
fn unescape(value: Value) -> Result<Value, Error> {
    match value {
        Value::Object(fields) => Ok(Value::Object(decode_fields(fields)?)),
        Value::Null => Err(Error::Type("$escape")),
        // the keys of what is no object, as `Object.keys` sees them
        Value::Array(items) => {
            let indexed = items.into_iter().enumerate();
            Ok(Value::Object(decode_fields(
                indexed
                    .map(|(index, item)| (index.to_string(), item))
                    .collect(),
            )?))
        }
        Value::String(text) => Ok(Value::Object(
            text.chars()
                .enumerate()
                .map(|(index, character)| (index.to_string(), character.to_string().into()))
                .collect(),
        )),
        _ => Ok(Value::Object(Fields::new())),
    }
}

fn regexp(fields: &Fields) -> Option<Regexp> {
    let flags = fields.get("$flags")?.as_str()?;
    match fields.get("$regexp")? {
        Value::String(pattern) => Regexp::new(pattern, flags),
        Value::Number(number) => {
            let mut pattern = String::new();
            json::write_number(&mut pattern, *number);
            Regexp::new(&pattern, flags)
        }
        Value::Bool(value) => Regexp::new(&value.to_string(), flags),
        Value::Null => Regexp::new("null", flags),
        _ => None,
    }
}

fn custom(fields: &Fields) -> Result<Value, Error> {
    if fields.get("$type").and_then(Value::as_str) != Some("oid") {
        return Err(Error::Type("$type"));
    }
    let id = fields
        .get("$value")
        .and_then(Value::as_str)
        .and_then(ObjectId::parse);
    id.map(Value::ObjectId).ok_or(Error::Type("$type oid"))
}
