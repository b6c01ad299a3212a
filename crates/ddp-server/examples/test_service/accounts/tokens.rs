use std::time::Duration;

use ddp_server::random::Random;
use ddp_server::random_id;
use sha2::{Digest as _, Sha256};

/// What a client can log in with again.
pub(super) struct Token {
    pub(super) secret: String,
    /// Since 1970.
    pub(super) expires: Duration,
}

/// How a token is kept.
pub(super) type TokenHash = [u8; 32];

impl Token {
    pub(super) fn new(expires: Duration) -> Self {
        let secret = Random::new([random_id(), random_id(), random_id()]).secret(43);
        Self { secret, expires }
    }

    pub(super) fn known(secret: &str, expires: Duration) -> Self {
        let secret = secret.to_owned();
        Self { secret, expires }
    }

    pub(super) fn hash(&self) -> TokenHash {
        hash(&self.secret)
    }
}

pub(super) fn hash(secret: &str) -> TokenHash {
    Sha256::digest(secret).into()
}
