use ddp_protocol::random::id_by;
use rand::RngExt as _;

/// A random id as Meteor makes them for documents and sessions: 17 characters, hard to guess.
///
/// ```
/// assert_eq!(ddp_server::random_id().len(), 17);
/// ```
pub fn random_id() -> String {
    let mut rng = rand::rng();
    id_by(|below| rng.random_range(0..below))
}
