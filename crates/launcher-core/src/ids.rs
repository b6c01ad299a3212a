//! Identifiers of documents, of builds and of this launcher.

use rand::RngExt;
use sha2::{Digest, Sha256};

/// The characters of Meteor's ids: those that cannot be mistaken for one another
/// (`packages/random/AbstractRandomGenerator.js`).
const UNMISTAKABLE: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz";

/// Length of a Meteor document id, in characters.
pub const ID_LENGTH: usize = 17;

/// A new random document id in Meteor's form: 17 unmistakable characters (about 98 bits).
#[must_use]
pub fn random_id() -> String {
    random_text(ID_LENGTH)
}

/// So many random characters of the same alphabet, from the operating system's chance.
pub(crate) fn random_text(length: usize) -> String {
    let mut rng = rand::rng();
    (0..length)
        .map(|_| char::from(UNMISTAKABLE[rng.random_range(0..UNMISTAKABLE.len())]))
        .collect()
}

/// The id of a document that is about something with this name: always the same, in the same form.
pub(crate) fn id_of(name: &str) -> String {
    let hash = Sha256::digest(name);
    let number = hash
        .iter()
        .take(16)
        .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    let base = UNMISTAKABLE.len() as u128;
    let digits = std::iter::successors(Some(number), |rest| Some(rest / base));
    digits
        .take(ID_LENGTH)
        .map(|rest| char::from(UNMISTAKABLE[(rest % base) as usize]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_meteors_length_and_alphabet() {
        let id = random_id();
        assert_eq!(id.len(), ID_LENGTH);
        assert!(id.bytes().all(|c| UNMISTAKABLE.contains(&c)), "{id}");
        assert_ne!(id, random_id());
    }

    #[test]
    fn the_id_of_a_name_never_changes() {
        // Clients and stores remember it.
        assert_eq!(id_of("docker.io/library/app:latest"), "95EfaTA5dfRtmbXrF");
        assert_ne!(
            id_of("docker.io/library/app:1"),
            id_of("docker.io/library/app:2")
        );
    }
}
