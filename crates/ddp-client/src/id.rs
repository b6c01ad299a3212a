use ddp_protocol::random::id_by;
use rand::RngExt as _;

/// A random id as Meteor makes them: 17 characters.
pub(crate) fn random_id() -> String {
    let mut rng = rand::rng();
    id_by(|below| rng.random_range(0..below))
}
