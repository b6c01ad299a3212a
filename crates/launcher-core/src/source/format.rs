//! Tells what a file is by its first bytes.

use super::error::SourceError;
use super::tar_reader::{BLOCK, has_valid_checksum};

/// Signatures of what people give instead of a tar, or a tar in a packing that is not taken.
const SIGNATURES: [(&[u8], &str); 15] = [
    (b"PK\x03\x04", "a zip file"),
    (b"PK\x05\x06", "an empty zip file"),
    (b"\x1f\x8b", "a gzip file inside a gzip file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"BZh", "a bzip2 file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"\x5d\x00\x00", "an lzma file"),
    (b"LZIP", "an lzip file"),
    (b"\x04\x22\x4d\x18", "an lz4 file"),
    (b"\x1f\x9d", "a compress (.Z) file"),
    (b"!<arch>\n", "a Debian package or another ar archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z file"),
    (b"Rar!\x1a\x07", "a rar file"),
    (b"\x7fELF", "a program"),
    (b"%PDF-", "a PDF document"),
];

/// Whether these first bytes are those of a gzip stream (RFC 1952 §2.3.1).
pub(super) fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(b"\x1f\x8b")
}

/// Accepts the first [`BLOCK`] bytes of a tar archive.
///
/// # Errors
///
/// [`SourceError::NotTar`] with what it is instead, or [`SourceError::Empty`].
pub(super) fn expect_tar(head: &[u8]) -> Result<(), SourceError> {
    if head.is_empty() {
        return Err(SourceError::Empty);
    }
    match <&[u8; BLOCK]>::try_from(head) {
        // An archive of no entries begins with its end mark.
        Ok(block) if has_valid_checksum(block) || *block == [0; BLOCK] => Ok(()),
        _ => Err(SourceError::NotTar(identify(head))),
    }
}

fn identify(head: &[u8]) -> &'static str {
    if let Some((_, name)) = SIGNATURES.iter().find(|(bytes, _)| head.starts_with(bytes)) {
        return name;
    }
    let text = String::from_utf8_lossy(head);
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let begins = |with: &str| {
        start
            .get(..with.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(with))
    };
    if begins("<!doctype html") || begins("<html") || begins("<head") {
        "an HTML page"
    } else if begins("<?xml") {
        "an XML document"
    } else if begins("{") || begins("[") {
        "a JSON document"
    } else if is_text(head) {
        "a text"
    } else {
        "something else"
    }
}

fn is_text(head: &[u8]) -> bool {
    let readable = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character is only cut in two, as far as one can see.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !readable.is_empty()
        && readable
            .chars()
            .all(|c| !c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_named() {
        for (head, expected) in [
            (&b"PK\x03\x04\x14\0"[..], "a zip file"),
            (b"\xfd7zXZ\0", "an xz file"),
            (b"\n  <!DOCTYPE html><html>", "an HTML page"),
            (b"\xef\xbb\xbf<HTML>", "an HTML page"),
            (b"{\"error\":404}", "a JSON document"),
            (b"Not found\n", "a text"),
            ("Кто здесь\n".as_bytes(), "a text"),
            (&"Кто здесь".as_bytes()[..16], "a text"),
            (b"caf\xe9 au lait", "something else"),
            (b"\x01\x02\x03", "something else"),
        ] {
            let error = expect_tar(head).unwrap_err();
            assert!(
                matches!(error, SourceError::NotTar(name) if name == expected),
                "{error}"
            );
        }
        assert!(matches!(expect_tar(b""), Err(SourceError::Empty)));
        assert!(expect_tar(&[0; BLOCK]).is_ok());
    }
}
