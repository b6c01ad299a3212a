use std::io::Write as _;

use super::entry::{Entry, Text};

/// The combined format of Apache: client, time, request, status, bytes, referrer, user agent. Whatever a client
/// chose is written as nginx does, so that it can end neither a field nor a line.
pub(super) fn write(entry: &Entry, line: &mut Vec<u8>) {
    let at = entry.at.strftime("%d/%b/%Y:%H:%M:%S +0000");
    // Writing to a vector does not fail.
    let _ = write!(line, "{} - - [{at}] \"", entry.client);
    match &entry.asked {
        Some(asked) => {
            escape(asked.method.as_str().as_bytes(), line);
            line.push(b' ');
            text(&asked.path, line);
            let _ = write!(line, " {:?}", asked.version);
        }
        None => line.push(b'-'),
    }
    let _ = write!(line, "\" {} ", entry.status);
    match entry.moved.both() {
        [_, 0] => line.push(b'-'),
        [_, bytes] => drop(write!(line, "{bytes}")),
    }
    let asked = entry.asked.as_ref();
    for header in [
        asked.and_then(|asked| asked.referrer.as_ref()),
        asked.and_then(|asked| asked.user_agent.as_ref()),
    ] {
        line.extend_from_slice(b" \"");
        match header {
            Some(header) => text(header, line),
            None => line.push(b'-'),
        }
        line.push(b'"');
    }
}

fn text(text: &Text, line: &mut Vec<u8>) {
    if text.bytes.is_empty() {
        line.push(b'-');
    }
    escape(&text.bytes, line);
    if text.cut {
        line.extend_from_slice("…".as_bytes());
    }
}

fn escape(bytes: &[u8], line: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b'"' | b'\\' | ..0x20 | 0x7f.. => drop(write!(line, "\\x{byte:02X}")),
            plain => line.push(*plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(bytes: &[u8]) -> String {
        let mut line = Vec::new();
        escape(bytes, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn nothing_that_a_client_sends_ends_a_field_or_a_line() {
        assert_eq!(
            escaped(b"a\" 200 \"\r\n127.0.0.1"),
            r"a\x22 200 \x22\x0D\x0A127.0.0.1"
        );
        assert_eq!(escaped(br"\x22"), r"\x5Cx22");
        assert_eq!(escaped(b"\x1b[2J\x7f\0\t"), r"\x1B[2J\x7F\x00\x09");
        assert_eq!(
            escaped("ä\u{85}\u{2028}".as_bytes()),
            r"\xC3\xA4\xC2\x85\xE2\x80\xA8"
        );
        assert_eq!(escaped(b"\xff\x80"), r"\xFF\x80");
        for byte in 0..=u8::MAX {
            let shown = escaped(&[byte]);
            assert!(
                shown
                    .bytes()
                    .all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"')
            );
        }
    }

    #[test]
    fn what_is_cut_says_so() {
        let cut = Text {
            bytes: b"long"[..].into(),
            cut: true,
        };
        let mut line = Vec::new();
        text(&cut, &mut line);
        assert_eq!(line, "long…".as_bytes());
    }
}
