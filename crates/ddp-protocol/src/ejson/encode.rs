use super::decode::form;
use super::{Fields, Value, binary};
use crate::json::{write_array, write_number, write_object, write_string};

/// Writes a value as EJSON text, as `EJSON.stringify`: compact, keys in their order.
///
/// ```
/// use ddp_protocol::ejson::{self, Date};
///
/// let value = ddp_protocol::object! { "at": Date::from_millis(5), "n": 1e21 };
/// assert_eq!(ejson::stringify(&value), r#"{"at":{"$date":5},"n":1e+21}"#);
/// ```
pub fn stringify(value: &Value) -> String {
    let mut out = String::new();
    write_ejson(&mut out, value);
    out
}

/// The EJSON form of a value as a JSON tree, as `EJSON.toJSONValue`.
pub fn to_json_value(value: &Value) -> serde_json::Value {
    let mut out = String::new();
    write_ejson(&mut out, value);
    // what was just written is JSON; only its depth can be too great for serde_json
    serde_json::from_str(&out).unwrap_or(serde_json::Value::Null)
}

pub(crate) fn write_ejson(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => write_ejson_number(out, *number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => write_array(out, items, write_ejson),
        Value::Object(fields) => write_ejson_object(out, fields),
        Value::Date(date) => {
            let millis = date
                .millis()
                .map_or_else(|| "null".to_owned(), |millis| millis.to_string());
            write_form(out, &[("$date", &millis)]);
        }
        Value::Binary(bytes) => write_form(out, &[("$binary", &quoted(&binary::encode(bytes)))]),
        Value::Regexp(regexp) => {
            let (source, flags) = (quoted(regexp.source()), quoted(regexp.flags()));
            write_form(out, &[("$regexp", &source), ("$flags", &flags)]);
        }
        Value::ObjectId(id) => {
            write_form(
                out,
                &[("$type", "\"oid\""), ("$value", &quoted(&id.to_string()))],
            );
        }
    }
}

fn write_ejson_number(out: &mut String, number: f64) {
    if number.is_finite() {
        write_number(out, number);
    } else if number.is_nan() {
        write_form(out, &[("$InfNaN", "0")]);
    } else {
        write_form(out, &[("$InfNaN", if number > 0.0 { "1" } else { "-1" })]);
    }
}

/// An object whose keys are those of an EJSON type would be taken for one, so it is wrapped.
fn write_ejson_object(out: &mut String, fields: &Fields) {
    let escape = form(fields).is_some();
    if escape {
        out.push_str("{\"$escape\":");
    }
    write_object(out, fields, |out, _, value| write_ejson(out, value));
    if escape {
        out.push('}');
    }
}

fn write_form(out: &mut String, parts: &[(&str, &str)]) {
    for (index, (key, json)) in parts.iter().enumerate() {
        out.push(if index == 0 { '{' } else { ',' });
        write_string(out, key);
        out.push(':');
        out.push_str(json);
    }
    out.push('}');
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    write_string(&mut out, text);
    out
}
