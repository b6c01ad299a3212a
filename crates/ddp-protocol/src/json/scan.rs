//! Finds the ends of plain runs in strings, eight bytes at a time.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The index of the first byte, at or after `from`, that a JSON string cannot simply copy: a
/// control character, a quote, a backslash, or what a [`MARK`](crate::ejson::MARK) begins with;
/// the length of the bytes if there is none.
pub(super) fn plain_until(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let found = specials(u64::from_le_bytes(*chunk));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let found = rest.iter().position(|byte| is_special(*byte));
    found.map_or(bytes.len(), |index| at + index)
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || byte == 0xf4
}

/// Has the high bit set in the lowest byte that is special, and none set below it. A borrow may
/// set bits above, never below.
fn specials(word: u64) -> u64 {
    let equal = |byte: u8| {
        let zero_where_equal = word ^ (LOW * u64::from(byte));
        zero_where_equal.wrapping_sub(LOW) & !zero_where_equal
    };
    let control = word.wrapping_sub(LOW * 0x20) & !word;
    (control | equal(b'"') | equal(b'\\') | equal(0xf4)) & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_found_at_every_place() {
        for byte in 0..=255 {
            for place in 0..20 {
                for around in [b'a', 0xff, 0x20, b'!', b'#', b'[', 0xf3] {
                    let mut bytes = [around; 20];
                    bytes[place] = byte;
                    let expected = if is_special(byte) { place } else { 20 };
                    assert_eq!(plain_until(&bytes, 0), expected, "{byte} in {around}");
                    assert_eq!(plain_until(&bytes, place), expected);
                }
            }
        }
        assert_eq!(plain_until(b"\"a", 1), 2);
        assert_eq!(plain_until(b"", 0), 0);
    }
}
