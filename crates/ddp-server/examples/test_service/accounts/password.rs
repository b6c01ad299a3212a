use ddp_server::Error;
use ddp_server::ejson::Value;
use sha2::{Digest as _, Sha256};

/// The hexadecimal SHA-256 of a password: what clients send, unless they send the password.
pub(super) struct Password(String);

/// How a password is kept.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hash {
    salt: String,
    digest: [u8; 32],
}

impl Password {
    pub(super) fn read(value: &Value) -> Result<Self, Error> {
        if let Some(plain) = value.as_str() {
            let digest = Sha256::digest(plain);
            let digits = digest.iter().map(|byte| format!("{byte:02x}"));
            return Ok(Self(digits.collect()));
        }
        let text = |key| value.get(key).and_then(Value::as_str);
        match (text("digest"), text("algorithm")) {
            (Some(digest), Some("sha-256")) => Ok(Self(digest.to_owned())),
            // as in Meteor, where the check of it fails in another way than others
            (Some(_), Some(_)) => Err(Error::internal()),
            _ => Err(Error::match_failed()),
        }
    }

    pub(super) fn hash(&self) -> Hash {
        self.salted(ddp_server::random_id())
    }

    pub(super) fn fits(&self, hash: Option<&Hash>) -> bool {
        hash.is_some_and(|hash| self.salted(hash.salt.clone()) == *hash)
    }

    fn salted(&self, salt: String) -> Hash {
        let digest = Sha256::digest(format!("{salt}{}", self.0)).into();
        Hash { salt, digest }
    }
}
