//! Texts that nobody may read.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What stands in place of a secret.
const MASK: &str = "********";

/// A password or token. It is written down in the store, and shown nowhere.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text to itself.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever it is meant for.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Others' words without what is secret in them: a registry may send back what it was sent.
pub(crate) fn without(text: &str, secrets: &[String]) -> String {
    let secrets = secrets.iter().filter(|secret| !secret.is_empty());
    secrets.fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "******** ******** Some(********)"
        );
        assert_eq!(secret.reveal(), "hunter2");
    }

    #[test]
    fn others_words_lose_what_is_secret_in_them() {
        let secrets = ["hunter2".to_owned(), String::new()];
        assert_eq!(
            without("hunter2 is wrong, hunter2", &secrets),
            "******** is wrong, ********"
        );
    }
}
