use super::scan::plain_until;
use crate::ejson::{Fields, MARK, MARK_BYTES, Marked, Value, marked, write_ejson};

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
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.abs() < EXACT && number.fract() == 0.0 {
        out.push_str(itoa::Buffer::new().format(number as i64));
    } else {
        out.push_str(ryu_js::Buffer::new().format_finite(number));
    }
}

/// Writes a string literal with the escapes of `JSON.stringify`, lone surrogates among them.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    loop {
        let plain = plain_until(rest.as_bytes(), 0);
        out.push_str(&rest[..plain]);
        rest = &rest[plain..];
        let written = match rest.as_bytes().first() {
            None => break,
            Some(first) if *first == MARK_BYTES[0] => write_last_plane(out, rest),
            Some(first) => write_escape(out, *first),
        };
        rest = &rest[written..];
    }
    out.push('"');
}

/// Writes the first character, one of the last plane. Returns how many bytes that was, with what
/// belongs to it.
fn write_last_plane(out: &mut String, text: &str) -> usize {
    let len = MARK_BYTES.len();
    let Some(rest) = text.strip_prefix(MARK) else {
        out.push_str(&text[..len]);
        return len;
    };
    let (meant, more) = marked(rest);
    match meant {
        Marked::Surrogate(unit) => write_unit(out, unit),
        Marked::Mark => out.push(MARK),
    }
    len + more
}

fn write_escape(out: &mut String, byte: u8) -> usize {
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        0x08 => out.push_str("\\b"),
        0x0c => out.push_str("\\f"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        _ => write_unit(out, u16::from(byte)),
    }
    1
}

fn write_unit(out: &mut String, unit: u16) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        out.push(char::from(HEX[usize::from(unit >> shift & 15)]));
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
        for whole in [0i64, 1, -7, 9_007_199_254_740_991, -9_007_199_254_740_992] {
            assert_eq!(json(whole), whole.to_string());
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
        assert_eq!(
            json("\u{7f}\u{8}\u{c}\r\t\0"),
            "\"\u{7f}\\b\\f\\r\\t\\u0000\""
        );
    }

    #[test]
    fn lone_surrogates_are_escaped() {
        assert_eq!(
            json("a\u{10ffff}\u{e000}\u{10ffff}\u{e7ff}b"),
            r#""a\ud800\udfffb""#
        );
    }

    #[test]
    fn a_mark_is_itself() {
        assert_eq!(
            json("a\u{10ffff}\u{10ffff}\u{e000}b"),
            "\"a\u{10ffff}\u{e000}b\""
        );
        assert_eq!(json("\u{10ffff}"), "\"\u{10ffff}\"");
        assert_eq!(json("\u{10ffff}x\u{10fffe}é"), "\"\u{10ffff}x\u{10fffe}é\"");
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
