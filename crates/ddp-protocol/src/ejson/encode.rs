use super::decode::form;
use super::{Date, Fields, Value, binary};
use crate::json::{write_array, write_json, write_number, write_object, write_string};

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
    // JSON has a form for every kind of value, and nothing in ours refuses to be written
    serde_json::to_value(value).unwrap_or_default()
}

pub(crate) fn write_ejson(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => write_ejson_number(out, *number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => write_array(out, items, write_ejson),
        Value::Object(fields) => write_ejson_object(out, fields),
        Value::Date(date) => write_date(out, *date),
        Value::Binary(bytes) => {
            out.push_str("{\"$binary\":\"");
            binary::encode_to(out, bytes);
            out.push_str("\"}");
        }
        Value::Regexp(regexp) => {
            out.push_str("{\"$regexp\":");
            write_string(out, regexp.source());
            out.push_str(",\"$flags\":");
            write_string(out, regexp.flags());
            out.push('}');
        }
        Value::ObjectId(id) => {
            out.push_str("{\"$type\":\"oid\",\"$value\":");
            write_string(out, &id.to_string());
            out.push('}');
        }
        Value::Custom(custom) => {
            out.push_str("{\"$type\":");
            write_string(out, custom.type_name());
            out.push_str(",\"$value\":");
            write_json(out, &custom.to_json_value());
            out.push('}');
        }
    }
}

fn write_date(out: &mut String, date: Date) {
    out.push_str("{\"$date\":");
    match date.millis() {
        Some(millis) => out.push_str(itoa::Buffer::new().format(millis)),
        None => out.push_str("null"),
    }
    out.push('}');
}

fn write_ejson_number(out: &mut String, number: f64) {
    if number.is_finite() {
        write_number(out, number);
    } else if number.is_nan() {
        out.push_str("{\"$InfNaN\":0}");
    } else {
        let positive = number > 0.0;
        out.push_str(if positive {
            "{\"$InfNaN\":1}"
        } else {
            "{\"$InfNaN\":-1}"
        });
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
