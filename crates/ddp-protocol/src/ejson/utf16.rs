//! Text as JavaScript has it: a sequence of 16-bit units that need not be well-formed UTF-16.
//!
//! Rust's strings cannot hold a lone surrogate. One that comes in (`"\ud800"`) is kept as the
//! noncharacter U+10FFFF followed by a private-use character, U+E000 for U+D800 and so on to
//! U+E7FF for U+DFFF. A U+10FFFF that comes in is kept as two of them, so that nothing is
//! mistaken. On the way out both turn back. A U+10FFFF that a program wrote itself and that is
//! followed by neither is just that character.

/// What stands before a lone surrogate's stand-in, and before a U+10FFFF.
pub(crate) const MARK: char = '\u{10ffff}';

/// [`MARK`] in UTF-8.
pub(crate) const MARK_BYTES: &[u8] = b"\xf4\x8f\xbf\xbf";

const FIRST_SURROGATE: u16 = 0xd800;
const FIRST_STAND_IN: u32 = 0xe000;
const LAST_STAND_IN: u32 = 0xe7ff;

/// The UTF-16 units of a text, lone surrogates being what they were in JavaScript: what
/// `charCodeAt` sees, and as many as JavaScript's `length`.
///
/// ```
/// use ddp_protocol::ejson;
///
/// let text = ejson::parse(r#""\ud800x😀""#)?;
/// let units = ejson::utf16(text.as_str().unwrap_or_default());
/// assert_eq!(units, [0xd800, 0x78, 0xd83d, 0xde00]);
/// assert_eq!(ejson::from_utf16(&units), text.as_str().unwrap_or_default());
/// # Ok::<(), ejson::Error>(())
/// ```
pub fn utf16(text: &str) -> Vec<u16> {
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        units.extend(rest[..at].encode_utf16());
        let (meant, len) = marked(&rest[at + MARK.len_utf8()..]);
        match meant {
            Marked::Surrogate(unit) => units.push(unit),
            Marked::Mark => units.extend(MARK.encode_utf16(&mut [0; 2]).iter()),
        }
        rest = &rest[at + MARK.len_utf8() + len..];
    }
    units.extend(rest.encode_utf16());
    units
}

/// The text of these UTF-16 units; the reverse of [`utf16`].
pub fn from_utf16(units: &[u16]) -> String {
    let mut text = String::with_capacity(units.len());
    for decoded in char::decode_utf16(units.iter().copied()) {
        match decoded {
            Ok(character) => push_char(&mut text, character),
            Err(error) => push_surrogate(&mut text, error.unpaired_surrogate()),
        }
    }
    text
}

/// What a [`MARK`] stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marked {
    /// A lone surrogate.
    Surrogate(u16),
    /// The character itself.
    Mark,
}

/// What a [`MARK`] before this text stands for, and how many bytes of the text belong to it.
pub(crate) fn marked(rest: &str) -> (Marked, usize) {
    match rest.chars().next().map(u32::from) {
        Some(code @ FIRST_STAND_IN..=LAST_STAND_IN) => {
            let index = (code - FIRST_STAND_IN) as u16;
            (Marked::Surrogate(FIRST_SURROGATE + index), 3)
        }
        Some(code) if code == u32::from(MARK) => (Marked::Mark, MARK.len_utf8()),
        _ => (Marked::Mark, 0),
    }
}

/// Adds a character that came in.
pub(crate) fn push_char(text: &mut String, character: char) {
    text.push(character);
    if character == MARK {
        text.push(MARK);
    }
}

/// Adds a lone surrogate that came in.
pub(crate) fn push_surrogate(text: &mut String, unit: u16) {
    let stand_in = FIRST_STAND_IN + u32::from(unit - FIRST_SURROGATE);
    text.push(MARK);
    text.extend(char::from_u32(stand_in));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_comes_back() {
        let units: Vec<u16> = (0xd7ff..=0xe000)
            .chain([0xdbff, 0xdfff, 0, 0xffff])
            .collect();
        assert_eq!(utf16(&from_utf16(&units)), units);
    }

    #[test]
    fn lone_surrogates_have_stand_ins() {
        assert_eq!(from_utf16(&[0xd800]), "\u{10ffff}\u{e000}");
        assert_eq!(
            from_utf16(&[0xdfff, 0xd800]),
            "\u{10ffff}\u{e7ff}\u{10ffff}\u{e000}"
        );
        assert_eq!(from_utf16(&[0xdbff, 0xdfff]), "\u{10ffff}\u{10ffff}");
        assert_eq!(from_utf16(&[0xd83d, 0xde00]), "😀");
    }

    #[test]
    fn a_mark_that_a_program_wrote_is_that_character() {
        assert_eq!(utf16("\u{10ffff}"), [0xdbff, 0xdfff]);
        assert_eq!(utf16("\u{10ffff}\u{e800}"), [0xdbff, 0xdfff, 0xe800]);
        assert_eq!(utf16("\u{10ffff}\u{10ffff}a"), [0xdbff, 0xdfff, 0x61]);
    }
}
