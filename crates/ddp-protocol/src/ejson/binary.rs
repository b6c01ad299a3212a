use base64::Engine as _;

use super::utf16;

/// Bytes, for Rust types that go in and out of a [`Value`](super::Value) by `serde`: there a plain
/// `Vec<u8>` would be written as an array of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Binary(pub Vec<u8>);

impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// Standard base64 with padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// [`encode`], added to a text.
pub(super) fn encode_to(out: &mut String, bytes: &[u8]) {
    base64::engine::general_purpose::STANDARD.encode_string(bytes, out);
}

/// Decodes as lenient as Meteor's `packages/base64`: padding may be missing, and a foreign
/// character counts as no bits. `None` when padding stands where a byte begins.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    if let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(text) {
        return Some(bytes);
    }
    let units: Vec<Unit> = utf16(text).into_iter().map(unit).collect();
    let padding = units
        .iter()
        .rev()
        .take(2)
        .take_while(|unit| **unit == Unit::Padding)
        .count();
    let length = (units.len() * 3 / 4).checked_sub(padding)?;
    let mut out = Vec::with_capacity(length + 3);
    for group in units.chunks(4) {
        decode_group(group, &mut out)?;
    }
    out.resize(length, 0);
    Some(out)
}

fn decode_group(group: &[Unit], out: &mut Vec<u8>) -> Option<()> {
    let first = group[0].bits()?;
    let Some(second) = group.get(1) else {
        return Some(());
    };
    let second = second.bits()?;
    out.push(first << 2 | second >> 4);
    let mut carried = 0;
    if let Some(Unit::Bits(third)) = group.get(2) {
        out.push((second & 15) << 4 | third >> 2);
        carried = (third & 3) << 6;
    }
    if let Some(Unit::Bits(fourth)) = group.get(3) {
        out.push(carried | fourth);
    }
    Some(())
}

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Bits(u8),
    Padding,
    Foreign,
}

impl Unit {
    fn bits(self) -> Option<u8> {
        match self {
            Self::Bits(bits) => Some(bits),
            Self::Foreign => Some(0),
            Self::Padding => None,
        }
    }
}

/// A unit that is no ASCII character is foreign in any case.
fn unit(unit: u16) -> Unit {
    let Ok(byte) = u8::try_from(unit) else {
        return Unit::Foreign;
    };
    let bits = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        b'=' => return Unit::Padding,
        _ => return Unit::Foreign,
    };
    Unit::Bits(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_meteor_decodes() {
        assert_eq!(decode("AAH6/w=="), Some(vec![0, 1, 250, 255]));
        assert_eq!(decode("AAH6/w"), Some(vec![0, 1, 250, 255]));
        assert_eq!(decode("AAH6_w"), Some(vec![0, 1, 250, 3]));
        assert_eq!(decode(""), Some(vec![]));
        assert_eq!(decode("==="), None);
        assert_eq!(decode("="), None);
    }
}
