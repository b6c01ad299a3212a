use super::scan::plain_until;
use crate::ejson::{Fields, MARK_BYTES, Value, push_char, push_surrogate};

/// How deeply arrays and objects may be nested. JavaScript sets no limit but its stack; this one
/// keeps a hostile message from overflowing ours, here and wherever a value is written, compared,
/// cloned, converted or dropped.
pub const MAX_DEPTH: usize = 256;

/// The text is not one JSON value, or one that is nested too deeply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} at byte {offset}", if *.too_deep { "JSON nested too deeply" } else { "invalid JSON" })]
pub struct SyntaxError {
    /// Where reading stopped, in bytes from the start of the text.
    pub offset: usize,
    /// Whether the reason is [`MAX_DEPTH`]; then the text up to there is valid.
    pub too_deep: bool,
}

/// Reads one JSON value, without looking for EJSON in it.
///
/// Like `JSON.parse`: of keys that repeat the last value counts, and numbers too large for a
/// double become infinite. An unpaired surrogate (`\ud800`) is kept as
/// [`utf16`](crate::ejson::utf16) says.
///
/// # Errors
///
/// [`SyntaxError`] when the text is not exactly one JSON value or is nested deeper than
/// [`MAX_DEPTH`].
pub fn parse(text: &str) -> Result<Value, SyntaxError> {
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
    };
    reader.skip_whitespace();
    let value = reader.value()?;
    reader.skip_whitespace();
    if reader.at == text.len() {
        Ok(value)
    } else {
        reader.fail()
    }
}

/// So many digits make a whole number that a double holds exactly.
const EXACT_DIGITS: usize = 15;

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn value(&mut self) -> Result<Value, SyntaxError> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Value::String),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.fail(),
        }
    }

    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Value, SyntaxError>,
    ) -> Result<Value, SyntaxError> {
        if self.depth == MAX_DEPTH {
            return Err(SyntaxError {
                offset: self.at,
                too_deep: true,
            });
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Value, SyntaxError> {
        self.skip_whitespace();
        if self.take(b'}') {
            return Ok(Value::Object(Fields::new()));
        }
        let mut fields = Fields::with_capacity(self.expected_keys());
        loop {
            self.skip_whitespace();
            let key = self.string()?;
            self.skip_whitespace();
            self.expect(b':')?;
            self.skip_whitespace();
            let value = self.value()?;
            fields.insert(key, value);
            self.skip_whitespace();
            if self.take(b'}') {
                return Ok(Value::Object(fields));
            }
            self.expect(b',')?;
        }
    }

    /// The outermost object is a message of DDP more often than not, and soon gone; what is inside
    /// may be kept, and takes no more room than it needs.
    fn expected_keys(&self) -> usize {
        if self.depth == 1 { 5 } else { 1 }
    }

    fn array(&mut self) -> Result<Value, SyntaxError> {
        let mut items = Vec::new();
        self.skip_whitespace();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            self.skip_whitespace();
            items.push(self.value()?);
            self.skip_whitespace();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            self.expect(b',')?;
        }
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        self.expect(b'"')?;
        let start = self.at;
        self.at = plain_until(self.text.as_bytes(), start);
        let plain = &self.text[start..self.at];
        if self.take(b'"') {
            return Ok(plain.to_owned());
        }
        let mut out = String::with_capacity(plain.len() + 16);
        out.push_str(plain);
        self.rest_of_string(out)
    }

    /// From the first byte on that is not simply copied.
    fn rest_of_string(&mut self, mut out: String) -> Result<String, SyntaxError> {
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(&mut out)?;
                }
                Some(byte) if byte == MARK_BYTES[0] => self.mark(&mut out),
                _ => return self.fail(),
            }
            let start = self.at;
            self.at = plain_until(self.text.as_bytes(), start);
            out.push_str(&self.text[start..self.at]);
        }
    }

    /// A character of the last plane, which may be the one that is doubled.
    fn mark(&mut self, out: &mut String) {
        let character = self.text[self.at..].chars().next();
        self.at += MARK_BYTES.len();
        if let Some(character) = character {
            push_char(out, character);
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), SyntaxError> {
        let Some(byte) = self.peek() else {
            return self.fail();
        };
        self.at += 1;
        out.push(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(out),
            _ => {
                self.at -= 1;
                return self.fail();
            }
        });
        Ok(())
    }

    /// One UTF-16 unit, or two that belong together.
    fn unicode_escape(&mut self, out: &mut String) -> Result<(), SyntaxError> {
        let first = self.hex4()?;
        if let Some(character) = char::from_u32(u32::from(first)) {
            out.push(character);
            return Ok(());
        }
        let after_first = self.at;
        if first < 0xdc00 && self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            self.at += 2;
            let second = self.hex4()?;
            if let Some(Ok(character)) = char::decode_utf16([first, second]).next() {
                push_char(out, character);
                return Ok(());
            }
            self.at = after_first;
        }
        push_surrogate(out, first);
        Ok(())
    }

    fn hex4(&mut self) -> Result<u16, SyntaxError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return self.fail();
            };
            code = code * 16 + digit as u16;
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let start = self.at;
        let negative = self.take(b'-');
        let whole = self.at;
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.at - whole <= EXACT_DIGITS && !matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            let number = self.exact(whole);
            return Ok(Value::Number(if negative { -number } else { number }));
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        match self.text[start..self.at].parse() {
            Ok(number) => Ok(Value::Number(number)),
            Err(_) => self.fail(),
        }
    }

    /// The whole number whose few digits were just read.
    fn exact(&self, start: usize) -> f64 {
        let digits = &self.text.as_bytes()[start..self.at];
        let number = digits
            .iter()
            .fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
        number as f64
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            self.fail()
        } else {
            Ok(())
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, SyntaxError> {
        if !self.text[self.at..].starts_with(word) {
            return self.fail();
        }
        self.at += word.len();
        Ok(value)
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), SyntaxError> {
        if self.take(byte) { Ok(()) } else { self.fail() }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fail<T>(&self) -> Result<T, SyntaxError> {
        Err(SyntaxError {
            offset: self.at,
            too_deep: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ejson::utf16;
    use crate::fields;

    #[test]
    fn reads_what_javascript_reads() {
        assert_eq!(parse(" 1e400 "), Ok(Value::Number(f64::INFINITY)));
        assert_eq!(parse("-0.5E+1"), Ok(Value::Number(-5.0)));
        assert_eq!(
            parse(r#""\b\f\n\r\t\"\\\/""#),
            Ok(Value::from("\u{8}\u{c}\n\r\t\"\\/"))
        );
        assert_eq!(parse(r#""\u00e9\ud83d\ude00\/""#), Ok(Value::from("é😀/")));
        assert_eq!(
            parse(r#"{"a":1,"b":[],"a":null}"#),
            Ok(fields! {"a": (), "b": Value::Array(vec![])}.into())
        );
    }

    #[test]
    fn refuses_what_javascript_refuses() {
        let bad = [
            "",
            " ",
            "{}{}",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "1.",
            ".5",
            "+1",
            "tru",
            "'a'",
        ];
        for text in bad
            .iter()
            .chain(&["\"\n\"", "\"\\x\"", "\"\\u12\"", "nan", "{a:1}", "\"a"])
        {
            assert!(parse(text).is_err(), "{text:?} was read");
        }
    }

    #[test]
    fn numbers_of_any_length_are_the_nearest_double() {
        for text in [
            "0",
            "-0",
            "7",
            "-12",
            "999999999999999",
            "1000000000000000",
            "9007199254740993",
            "0.1",
            "-0.0",
            "1e3",
            "0e5",
            "123456789012345678901234567890",
            "4.9e-324",
            "1e-400",
        ] {
            let expected: f64 = text.parse().unwrap();
            let read = parse(text).unwrap().as_f64().unwrap();
            assert_eq!(read.to_bits(), expected.to_bits(), "{text}");
        }
    }

    #[test]
    fn an_unpaired_surrogate_is_kept() {
        let read = |text| parse(text).unwrap().as_str().map(utf16).unwrap();
        assert_eq!(read(r#""\ud800x""#), [0xd800, 0x78]);
        assert_eq!(read(r#""\ud800\u0041""#), [0xd800, 0x41]);
        assert_eq!(read(r#""a\udc00\ud800""#), [0x61, 0xdc00, 0xd800]);
        assert_eq!(read(r#""\ud800\ud83d\ude00""#), [0xd800, 0xd83d, 0xde00]);
        assert_eq!(parse(r#""\udc00""#), Ok(Value::from("\u{10ffff}\u{e400}")));
        assert!(parse(r#""\ud800\u00""#).is_err());
    }

    #[test]
    fn a_mark_is_doubled_however_it_comes() {
        let doubled = Ok(Value::from("a\u{10ffff}\u{10ffff}\u{e000}\u{10fffe}"));
        assert_eq!(parse("\"a\u{10ffff}\u{e000}\u{10fffe}\""), doubled);
        assert_eq!(parse("\"a\\udbff\\udfff\u{e000}\u{10fffe}\""), doubled);
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        let error = parse(&nested(MAX_DEPTH + 1)).unwrap_err();
        assert_eq!(error.to_string(), "JSON nested too deeply at byte 256");
        assert!(error.too_deep && !parse("[").unwrap_err().too_deep);
        assert!(parse(&"{\"a\":".repeat(1_000_000)).is_err());
    }
}
