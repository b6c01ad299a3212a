use crate::ejson::{Fields, Value};

/// How deeply arrays and objects may be nested. JavaScript sets no limit but its stack; this one
/// keeps a hostile message from overflowing ours.
pub const MAX_DEPTH: usize = 256;

/// The text is not one JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid JSON at byte {offset}")]
pub struct SyntaxError {
    /// Where reading stopped, in bytes from the start of the text.
    pub offset: usize,
}

/// Reads one JSON value, without looking for EJSON in it.
///
/// Like `JSON.parse`: of keys that repeat the last value counts, and numbers too large for a
/// double become infinite. An unpaired surrogate (`\ud800`) is read as U+FFFD.
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
            _ => self.number(),
        }
    }

    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Value, SyntaxError>,
    ) -> Result<Value, SyntaxError> {
        if self.depth == MAX_DEPTH {
            return self.fail();
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Value, SyntaxError> {
        let mut fields = Fields::new();
        self.skip_whitespace();
        if self.take(b'}') {
            return Ok(Value::Object(fields));
        }
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
        let mut out = String::new();
        loop {
            let start = self.at;
            while self
                .peek()
                .is_some_and(|byte| byte != b'"' && byte != b'\\' && byte >= 0x20)
            {
                self.at += 1;
            }
            out.push_str(&self.text[start..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                _ => return self.fail(),
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let Some(byte) = self.peek() else {
            return self.fail();
        };
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => {
                self.at -= 1;
                return self.fail();
            }
        })
    }

    fn unicode_escape(&mut self) -> Result<char, SyntaxError> {
        let first = self.hex4()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let before_second = self.at;
        if self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before_second;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Result<u32, SyntaxError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return self.fail();
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
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
        Err(SyntaxError { offset: self.at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn an_unpaired_surrogate_does_not_swallow_what_follows() {
        assert_eq!(parse(r#""\ud800x""#), Ok(Value::from("\u{fffd}x")));
        assert_eq!(parse(r#""\ud800\u0041""#), Ok(Value::from("\u{fffd}A")));
        assert_eq!(parse(r#""\udc00""#), Ok(Value::from("\u{fffd}")));
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(parse(&nested(MAX_DEPTH + 1)).is_err());
    }
}
