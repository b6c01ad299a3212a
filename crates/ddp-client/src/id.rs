use rand::RngExt as _;

/// Characters that cannot be mistaken for one another (Meteor's `packages/random`).
const UNMISTAKABLE: &[u8; 55] = b"23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz";

/// A random id as Meteor makes them: 17 characters.
pub(crate) fn random_id() -> String {
    let mut rng = rand::rng();
    (0..17)
        .map(|_| char::from(UNMISTAKABLE[rng.random_range(0..UNMISTAKABLE.len())]))
        .collect()
}
