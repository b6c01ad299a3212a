use std::fmt::Display;
use std::io::Write as _;

use super::entry::{Entry, Text};

/// An object of JSON, in ASCII. What is not known is `null`.
pub(super) fn write(entry: &Entry, line: &mut Vec<u8>) {
    let asked = entry.asked.as_ref();
    let [bytes_in, bytes_out] = entry.moved.both();
    let micros = entry.took.as_micros();
    let mut object = Object(line);
    object.plain("{\"time\":", format_args!("\"{:.3}\"", entry.at));
    object.plain(",\"client\":", format_args!("\"{}\"", entry.client));
    object.string(",\"method\":", asked.map(|asked| asked.method.as_str()));
    object.text(",\"host\":", asked.and_then(|asked| asked.host.as_ref()));
    object.text(",\"path\":", asked.map(|asked| &asked.path));
    let version = asked.map(|asked| format!("{:?}", asked.version));
    object.string(",\"protocol\":", version.as_deref());
    object.plain(",\"status\":", entry.status);
    object.plain(",\"bytesIn\":", bytes_in);
    object.plain(",\"bytesOut\":", bytes_out);
    let (millis, rest) = (micros / 1000, micros % 1000);
    object.plain(",\"durationMs\":", format_args!("{millis}.{rest:03}"));
    let upstream = entry.upstream.as_ref().map(ToString::to_string);
    object.string(",\"upstream\":", upstream.as_deref());
    object.string(",\"site\":", entry.site.as_deref());
    let referrer = asked.and_then(|asked| asked.referrer.as_ref());
    object.text(",\"referrer\":", referrer);
    let user_agent = asked.and_then(|asked| asked.user_agent.as_ref());
    object.text(",\"userAgent\":", user_agent);
    object.string(",\"refusal\":", entry.refusal);
    line.push(b'}');
}

struct Object<'line>(&'line mut Vec<u8>);

impl Object<'_> {
    fn plain(&mut self, name: &str, value: impl Display) {
        // Writing to a vector does not fail.
        let _ = write!(self.0, "{name}{value}");
    }

    fn string(&mut self, name: &str, value: Option<&str>) {
        self.bytes(name, value.map(str::as_bytes), "");
    }

    fn text(&mut self, name: &str, value: Option<&Text>) {
        let end = match value {
            Some(text) if text.cut => "…",
            _ => "",
        };
        self.bytes(name, value.map(|text| &*text.bytes), end);
    }

    fn bytes(&mut self, name: &str, value: Option<&[u8]>, end: &str) {
        let Some(bytes) = value else {
            return self.plain(name, "null");
        };
        self.plain(name, '"');
        for chunk in bytes.utf8_chunks() {
            self.escape(chunk.valid());
            if !chunk.invalid().is_empty() {
                self.escape("\u{fffd}");
            }
        }
        self.escape(end);
        self.0.push(b'"');
    }

    /// Whatever a terminal could take for something else is told by its number.
    fn escape(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '"' | '\\' => self.0.extend_from_slice(&[b'\\', character as u8]),
                ' '..='~' => self.0.push(character as u8),
                _ => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        let _ = write!(self.0, "\\u{unit:04x}");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(bytes: &[u8], cut: bool) -> Vec<u8> {
        let text = Text {
            bytes: bytes.into(),
            cut,
        };
        let mut line = Vec::new();
        Object(&mut line).text("", Some(&text));
        line
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_string_of_printable_ascii(bytes: Vec<u8>, cut: bool) {
            let line = written(&bytes, cut);
            prop_assert!(line.iter().all(|byte| (0x20..0x7f).contains(byte)));
            let read: String = serde_json::from_slice(&line).unwrap();
            let end = if cut { "…" } else { "" };
            prop_assert_eq!(read, String::from_utf8_lossy(&bytes).into_owned() + end);
        }
    }
}
