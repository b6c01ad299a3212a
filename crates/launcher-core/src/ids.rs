//! Identifiers of documents, of builds and of this launcher.

use rand::RngExt;

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
}
