use super::registry::OID;
use super::{Date, Fields, ObjectId, Regexp, TypeRegistry, Value, binary, from_utf16, utf16};
use crate::json;

/// Why a text or value is not EJSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not JSON.
    #[error(transparent)]
    Syntax(#[from] json::SyntaxError),
    /// An object has the keys of an EJSON type, but not a value of it.
    #[error("{0} with a value that is not one")]
    Type(&'static str),
    /// An application's own type refuses what it was given.
    #[error("{name}: {reason}")]
    Custom {
        /// The name of the type.
        name: String,
        /// Why.
        reason: String,
    },
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
    TypeRegistry::new().parse(text)
}

/// Reads EJSON from a JSON tree, as `EJSON.fromJSONValue`.
///
/// # Errors
///
/// [`Error::Type`] when an EJSON type in it is broken.
pub fn from_json_value(json: serde_json::Value) -> Result<Value, Error> {
    TypeRegistry::new().from_json_value(json)
}

/// Finds the EJSON types in a tree of plain JSON. Nothing is looked for inside what was found,
/// except in `$escape`.
pub(crate) fn decode_in_place(json: &mut Value, types: &TypeRegistry) -> Result<(), Error> {
    match json {
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|item| decode_in_place(item, types)),
        Value::Object(fields) => match form(fields) {
            Some(form) => {
                *json = decode_form(form, std::mem::take(fields), types)?;
                Ok(())
            }
            None => decode_fields(fields, types),
        },
        _ => Ok(()),
    }
}

fn decode_fields(fields: &mut Fields, types: &TypeRegistry) -> Result<(), Error> {
    fields
        .values_mut()
        .try_for_each(|value| decode_in_place(value, types))
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
    let first = fields.get_index(0)?.0.as_str();
    if fields.len() > 2 || !first.starts_with('$') {
        return None;
    }
    match (first, fields.get_index(1).map(|(key, _)| key.as_str())) {
        ("$date", None) => Some(Form::Date),
        ("$InfNaN", None) => Some(Form::InfNan),
        ("$binary", None) => Some(Form::Binary),
        ("$escape", None) => Some(Form::Escape),
        ("$regexp", Some("$flags")) | ("$flags", Some("$regexp")) => Some(Form::Regexp),
        ("$type", Some("$value")) | ("$value", Some("$type")) => Some(Form::Custom),
        _ => None,
    }
}

fn decode_form(form: Form, fields: Fields, types: &TypeRegistry) -> Result<Value, Error> {
    match form {
        Form::Date => Ok(Value::Date(date(&only(fields)))),
        Form::InfNan => Ok(Value::Number(inf_nan(&only(fields)))),
        Form::Binary => only(fields)
            .as_str()
            .and_then(binary::decode)
            .map(Value::Binary)
            .ok_or(Error::Type("$binary")),
        Form::Escape => unescape(only(fields), types),
        Form::Regexp => regexp(&fields)
            .map(Value::Regexp)
            .ok_or(Error::Type("$regexp")),
        Form::Custom => custom(fields, types),
    }
}

/// The value of a form with one key.
fn only(fields: Fields) -> Value {
    let value = fields.into_values().next();
    value.unwrap_or(Value::Null)
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
fn unescape(value: Value, types: &TypeRegistry) -> Result<Value, Error> {
    let mut fields = match value {
        Value::Object(fields) => fields,
        Value::Null => return Err(Error::Type("$escape")),
        // the keys of what is no object, as `Object.keys` sees them
        Value::Array(items) => indexed(items),
        Value::String(text) => indexed(utf16(&text).iter().map(|unit| from_utf16(&[*unit]))),
        _ => Fields::new(),
    };
    decode_fields(&mut fields, types)?;
    Ok(Value::Object(fields))
}

fn indexed<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Fields {
    let indexed = items.into_iter().enumerate();
    indexed
        .map(|(index, item)| (index.to_string(), item.into()))
        .collect()
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

fn custom(mut fields: Fields, types: &TypeRegistry) -> Result<Value, Error> {
    let (Some(name), Some(json)) = (fields.swap_remove("$type"), fields.swap_remove("$value"))
    else {
        return Err(Error::Type("$type"));
    };
    match name.as_str() {
        Some(OID) => {
            let id = json.as_str().and_then(ObjectId::parse);
            id.map(Value::ObjectId).ok_or(Error::Type("$type oid"))
        }
        Some(name) => types.make(name, json),
        None => Err(Error::Type("$type")),
    }
}
