//! Frames as text, both ways. Pure functions, for a server that writes to its sockets itself (for
//! instance one frame to thousands of them); this crate uses them too.
//!
//! The server sends `o` (open), `h` (heartbeat), `a["a message","another"]` and
//! `c[3000,"Go away!"]`; the client sends an array of strings.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The frame that begins a session.
pub const OPEN: &str = "o";
/// The frame that keeps a connection from looking idle.
pub const HEARTBEAT: &str = "h";

/// The text of a client that is no JSON. sockjs-node closes such a WebSocket with
/// `3000 "Broken framing."`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("broken framing")]
pub struct BrokenFraming;

/// What is wrong with the body of `xhr_send` or `jsonp_send`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// There is none, or it is no array.
    #[error("Payload expected.")]
    Missing,
    /// It is no JSON.
    #[error("Broken JSON encoding.")]
    Broken,
}

/// A frame with messages: `a["…","…"]`.
///
/// Besides what JSON demands, all that browsers or proxies mangle is escaped (sockjs-node's
/// `lib/utils.js`, `quote`): `U+200C–200F`, `U+2028–202F`, `U+2060–206F`, `U+FFF0–FFFF` and, as two
/// surrogates, everything above.
///
/// ```
/// assert_eq!(sockjs::frame::messages(["a", "\"b\"\u{2028}"]), r#"a["a","\"b\"\u2028"]"#);
/// ```
pub fn messages<M: AsRef<str>>(messages: impl IntoIterator<Item = M>) -> String {
    let mut frame = String::from("a[");
    for (index, message) in messages.into_iter().enumerate() {
        if index > 0 {
            frame.push(',');
        }
        quote(message.as_ref(), &mut frame);
    }
    frame.push(']');
    frame
}

/// The frame that ends a session: `c[code,"reason"]`.
///
/// ```
/// assert_eq!(sockjs::frame::close(3000, "Go away!"), r#"c[3000,"Go away!"]"#);
/// ```
pub fn close(code: u16, reason: &str) -> String {
    let mut frame = format!("c[{code},");
    quote(reason, &mut frame);
    frame.push(']');
    frame
}

/// The messages in what a client sent over its WebSocket: an array, or one message by itself.
/// Nothing at all is no message, which is allowed.
///
/// What is no string becomes the text that JavaScript would make of it, as sockjs-node hands it
/// on as it is. A lone surrogate becomes `U+FFFD`, as on a WebSocket.
///
/// # Errors
///
/// [`BrokenFraming`] if it is no JSON, nested deeper than 128 levels, or has more than 65,536
/// messages.
///
/// ```
/// use sockjs::frame::parse_client_frame;
/// assert_eq!(parse_client_frame(r#"["a","b"]"#).unwrap(), ["a", "b"]);
/// assert_eq!(parse_client_frame(r#""a""#).unwrap(), ["a"]);
/// assert!(parse_client_frame("").unwrap().is_empty());
/// assert!(parse_client_frame(r#"["a"#).is_err());
/// ```
pub fn parse_client_frame(text: &str) -> Result<Vec<String>, BrokenFraming> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if text.starts_with('[') {
        return parse_array(text).map_err(|_| BrokenFraming);
    }
    let raw: &RawValue = serde_json::from_str(text).map_err(|_| BrokenFraming)?;
    message(raw)
        .map(|message| vec![message])
        .map_err(|_| BrokenFraming)
}

/// The messages in the body of an `xhr_send`: an array of strings, perhaps empty.
///
/// # Errors
///
/// Those that sockjs-node answers, with their texts. More than 65,536 messages are taken for broken.
pub fn parse_payload(text: &str) -> Result<Vec<String>, PayloadError> {
    if text.is_empty() {
        return Err(PayloadError::Missing);
    }
    if text.trim_start().starts_with('[') {
        return parse_array(text).map_err(|_| PayloadError::Broken);
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => Err(PayloadError::Missing),
        Err(_) => Err(PayloadError::Broken),
    }
}

fn parse_array(text: &str) -> serde_json::Result<Vec<String>> {
    // what well-behaved clients send needs no second look
    if let Ok(Bounded(messages)) = serde_json::from_str(text) {
        return Ok(messages);
    }
    let Bounded::<&RawValue>(items) = serde_json::from_str(text)?;
    items.into_iter().map(message).collect()
}

/// Messages in one array. A short text with millions of empty ones would take far more memory than
/// it has bytes.
const MAX_MESSAGES: usize = 65_536;

/// An array that is not longer than that.
struct Bounded<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BoundedVisitor(PhantomData))
    }
}

struct BoundedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for BoundedVisitor<T> {
    type Value = Bounded<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an array of at most {MAX_MESSAGES} messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Bounded<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = array.next_element()? {
            if items.len() == MAX_MESSAGES {
                return Err(A::Error::invalid_length(MAX_MESSAGES + 1, &self));
            }
            items.push(item);
        }
        Ok(Bounded(items))
    }
}

fn message(raw: &RawValue) -> serde_json::Result<String> {
    if raw.get().starts_with('"') {
        let text: LossyText = serde_json::from_str(raw.get())?;
        return Ok(text.0);
    }
    serde_json::from_str(raw.get()).map(as_javascript_would)
}

/// What `String(value)` is in JavaScript.
fn as_javascript_would(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Object(_) => "[object Object]".to_owned(),
        Value::Array(items) => {
            let items = items.into_iter().map(|item| match item {
                Value::Null => String::new(),
                item => as_javascript_would(item),
            });
            items.collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

/// A JSON string that may have lone surrogates.
struct LossyText(String);

impl<'de> Deserialize<'de> for LossyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // asked for bytes, serde_json lets lone surrogates through, as three bytes each
        deserializer.deserialize_bytes(LossyTextVisitor)
    }
}

struct LossyTextVisitor;

impl Visitor<'_> for LossyTextVisitor {
    type Value = LossyText;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<LossyText, E> {
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            // the other two bytes of a surrogate come as chunks of their own
            if chunk.invalid().first().is_some_and(|byte| *byte >= 0xc0) {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Ok(LossyText(text))
    }
}

/// Writes a string as JSON, with SockJS's further escapes.
pub(crate) fn quote(text: &str, into: &mut String) {
    into.reserve(text.len() + 2);
    into.push('"');
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        if !may_need_escape(byte) {
            continue;
        }
        let Some(character) = text[at..].chars().next().filter(|c| needs_escape(*c)) else {
            continue;
        };
        into.push_str(&text[written..at]);
        escape(character, into);
        written = at + character.len_utf8();
    }
    into.push_str(&text[written..]);
    into.push('"');
}

/// Whether a character that begins with this byte can need an escape: `U+2000` begins with `E2`,
/// and no byte inside a character is that high.
fn may_need_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || byte >= 0xe2
}

fn needs_escape(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f' | '"' | '\\'
            | '\u{200c}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff0}'..=char::MAX
    )
}

fn escape(character: char, into: &mut String) {
    let short = match character {
        '"' | '\\' => character,
        '\x08' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\x0c' => 'f',
        '\r' => 'r',
        _ => return escape_units(character, into),
    };
    into.push('\\');
    into.push(short);
}

fn escape_units(character: char, into: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for unit in character.encode_utf16(&mut [0; 2]) {
        into.push_str("\\u");
        for shift in [12, 8, 4, 0] {
            into.push(char::from(DIGITS[usize::from(*unit >> shift & 0xf)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_have_the_texts_of_the_protocol() {
        assert_eq!(messages(["x"]), r#"a["x"]"#);
        assert_eq!(messages(["a", "b"]), r#"a["a","b"]"#);
        assert_eq!(messages::<&str>([]), "a[]");
        assert_eq!(
            close(2010, "Another connection still open"),
            r#"c[2010,"Another connection still open"]"#
        );
    }

    #[test]
    fn what_browsers_mangle_is_escaped() {
        for code in 0..=0xffff_u32 {
            let Some(character) = char::from_u32(code) else {
                continue;
            };
            let mut quoted = String::new();
            quote(&character.to_string(), &mut quoted);
            let wanted = matches!(code, 0..=0x1f | 0x200c..=0x200f | 0x2028..=0x202f
                | 0x2060..=0x206f | 0xfff0..=0xffff);
            let escaped = quoted.starts_with("\"\\") && !matches!(character, '"' | '\\');
            assert_eq!(escaped, wanted, "U+{code:04x} became {quoted}");
        }
        assert_eq!(messages(["\u{1f600}"]), r#"a["\ud83d\ude00"]"#);
        assert_eq!(
            messages(["\u{0}\u{8}\t\n\u{c}\r\u{1f}\"\\/é\u{7f}"]),
            "a[\"\\u0000\\b\\t\\n\\f\\r\\u001f\\\"\\\\/é\u{7f}\"]"
        );
    }

    #[test]
    fn clients_send_arrays_or_single_messages() {
        assert_eq!(parse_client_frame("[]").unwrap(), [""; 0]);
        assert_eq!(parse_client_frame("").unwrap(), [""; 0]);
        assert_eq!(parse_client_frame(r#"["a", "b"]"#).unwrap(), ["a", "b"]);
        assert_eq!(parse_client_frame(r#""a""#).unwrap(), ["a"]);
        for broken in ["[", r#"["a"#, "a", r#"["a"]x"#, r#"["\ud"]"#, " "] {
            assert_eq!(parse_client_frame(broken), Err(BrokenFraming), "{broken}");
        }
    }

    #[test]
    fn what_is_no_string_becomes_what_javascript_makes_of_it() {
        assert_eq!(
            parse_client_frame(r#"[1,null,true,{"msg":"ping"},[1,null,[2]],"a"]"#).unwrap(),
            ["1", "null", "true", "[object Object]", "1,,2", "a"]
        );
        assert_eq!(
            parse_client_frame(r#"{"msg":"ping"}"#).unwrap(),
            ["[object Object]"]
        );
        assert_eq!(parse_client_frame("5").unwrap(), ["5"]);
    }

    #[test]
    fn a_lone_surrogate_is_replaced() {
        assert_eq!(
            parse_client_frame(r#"["a\ud800b","\udc00","\ud83d\ude00"]"#).unwrap(),
            ["a\u{fffd}b", "\u{fffd}", "\u{1f600}"]
        );
    }

    #[test]
    fn nesting_has_an_end() {
        let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(parse_client_frame(&deep), Err(BrokenFraming));
    }

    #[test]
    fn the_number_of_messages_has_an_end() {
        let array = |count| format!("[{}\"\"]", "\"\",".repeat(count - 1));
        let most = parse_client_frame(&array(MAX_MESSAGES)).unwrap();
        assert_eq!(most.len(), MAX_MESSAGES);
        let more = array(MAX_MESSAGES + 1);
        assert_eq!(parse_client_frame(&more), Err(BrokenFraming));
        assert_eq!(parse_payload(&more), Err(PayloadError::Broken));
    }

    #[test]
    fn payloads_are_arrays() {
        assert_eq!(parse_payload(r#"["x"]"#).unwrap(), ["x"]);
        assert_eq!(parse_payload(" [] ").unwrap(), [""; 0]);
        for missing in ["", "null", "5", "\"x\"", "{}"] {
            assert_eq!(
                parse_payload(missing),
                Err(PayloadError::Missing),
                "{missing}"
            );
        }
        for broken in ["[", "[\"x", "nonsense", " "] {
            assert_eq!(parse_payload(broken), Err(PayloadError::Broken), "{broken}");
        }
        assert_eq!(PayloadError::Missing.to_string(), "Payload expected.");
        assert_eq!(PayloadError::Broken.to_string(), "Broken JSON encoding.");
    }

    proptest! {
        #[test]
        fn any_text_survives(texts in prop::collection::vec(any::<String>(), 0..4)) {
            let frame = messages(&texts);
            prop_assert_eq!(parse_client_frame(&frame[1..]).unwrap(), texts);
        }
    }
}
