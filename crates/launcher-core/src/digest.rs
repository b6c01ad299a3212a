//! SHA-256: of content, and of secrets that are recognised but not kept.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::ids::random_text;

/// Characters of a secret; each of them is worth 5.8 bits.
const SECRET_LENGTH: usize = 32;
/// Longest text that is compared with a secret, in bytes.
const MAX_PRESENTED: usize = 256;

/// A SHA-256.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Sha256Digest([u8; 32]);

/// A text is no SHA-256.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a SHA-256 is written in 64 hexadecimal digits")]
pub struct InvalidDigest;

/// Takes content in pieces.
#[derive(Default)]
pub(crate) struct Digester(Sha256);

impl Digester {
    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn finish(self) -> Sha256Digest {
        Sha256Digest(self.0.finalize().into())
    }
}

impl FromStr for Sha256Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidDigest)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Sha256Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// A secret that was handed out, by its hash.
#[derive(Clone, Copy, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretHash(Sha256Digest);

impl SecretHash {
    /// A new secret of about 185 bits, which goes to the caller and nowhere else, and its hash.
    #[must_use]
    pub fn generate() -> (String, Self) {
        let secret = random_text(SECRET_LENGTH);
        let hash = Self::of(&secret);
        (secret, hash)
    }

    pub(crate) fn of(secret: &str) -> Self {
        let mut digester = Digester::default();
        digester.update(secret.as_bytes());
        Self(digester.finish())
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash")
    }
}

/// The one of `known` whose secret this is. All are compared, each to its end, so that the time
/// that it takes tells nothing but how many there are.
pub(crate) fn recognise<'a, T>(
    presented: &str,
    known: impl Iterator<Item = (&'a SecretHash, T)>,
) -> Option<T> {
    let text = presented.get(..MAX_PRESENTED).unwrap_or(presented);
    let presented = SecretHash::of(text);
    let mut found = None;
    for (hash, what) in known {
        if bool::from(hash.0.0.ct_eq(&presented.0.0)) {
            found = Some(what);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_hexadecimal_in_either_case() {
        let mut empty = Digester::default();
        empty.update(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest = empty.finish();
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(digest));
        for bad in ["", "e3", &text[1..], &text.replace('e', "g")] {
            assert_eq!(bad.parse::<Sha256Digest>(), Err(InvalidDigest), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_recognised_and_not_shown() {
        let (one, one_hash) = SecretHash::generate();
        let (two, two_hash) = SecretHash::generate();
        let known = || [(&one_hash, 1), (&two_hash, 2)].into_iter();
        assert_ne!(one, two);
        assert_eq!(recognise(&one, known()), Some(1));
        assert_eq!(recognise(&two, known()), Some(2));
        assert_eq!(recognise(&two[1..], known()), None);
        assert_eq!(recognise("", known()), None);
        assert_eq!(format!("{one_hash:?}"), "SecretHash");
    }
}
