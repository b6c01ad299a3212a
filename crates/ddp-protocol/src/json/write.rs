use crate::ejson::{Fields, Value, write_ejson};

/// Writes a value as plain JSON, as `JSON.stringify` does: dates become ISO strings, infinite
/// numbers null. Kinds that plain JSON has no usable form for keep their EJSON form.
pub(crate) fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::Number(number) if !number.is_finite() => out.push_str("null"),
        Value::Date(date) => match date.to_iso_string() {
            Some(text) => write_string(out, &text),
            None => out.push_str("null"),
        },
        Value::Array(items) => write_array(out, items, write_json),
        Value::Object(fields) => {
            write_object(out, fields, |out, _, value| write_json(out, value));
        }
        other => write_ejson(out, other),
    }
}

pub(crate) fn write_array<T>(out: &mut String, items: &[T], write: impl Fn(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

pub(crate) fn write_object(
    out: &mut String,
    fields: &Fields,
    write: impl Fn(&mut String, &str, &Value),
) {
    out.push('{');
    for (index, (key, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(out, key);
        out.push(':');
        write(out, key, value);
    }
    out.push('}');
}

/// Prints a finite number as JavaScript does: `1e+21`, `1e-7`, and 0 for -0.
pub(crate) fn write_number(out: &mut String, number: f64) {
    out.push_str(ryu_js::Buffer::new().format_finite(number));
}

/// Writes a string literal with the escapes of `JSON.stringify`.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[start..at]);
        start = at + 1;
        write_escape(out, byte);
    }
    out.push_str(&text[start..]);
    out.push('"');
}

fn write_escape(out: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        0x08 => out.push_str("\\b"),
        0x0c => out.push_str("\\f"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        _ => {
            out.push_str("\\u00");
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ejson::Date;

    fn json(value: impl Into<Value>) -> String {
        let mut out = String::new();
        write_json(&mut out, &value.into());
        out
    }

    #[test]
    fn numbers_print_as_in_javascript() {
        let printed = [(1e21, "1e+21"), (1e-7, "1e-7"), (-0.0, "0"), (0.1, "0.1")];
        for (number, text) in printed {
            assert_eq!(json(number), text);
        }
        assert_eq!(json(123_456_789_012_345_680_000.0), "123456789012345680000");
        assert_eq!(json(f64::NAN), "null");
    }

    #[test]
    fn strings_are_escaped_as_in_javascript() {
        assert_eq!(
            json("a\"\\\n\u{1}\u{2028}é"),
            "\"a\\\"\\\\\\n\\u0001\u{2028}é\""
        );
    }

    #[test]
    fn dates_lose_their_type_in_plain_json() {
        assert_eq!(
            json(Value::Date(Date::from_millis(0))),
            "\"1970-01-01T00:00:00.000Z\""
        );
        assert_eq!(json(Value::Date(Date::INVALID)), "null");
    }
}
