use std::collections::HashMap;

use super::generator::Random;

/// The random sequences of one method call: one for each purpose, so that client and server make
/// the same ids for a collection even if one of them makes more for others.
///
/// ```
/// use ddp_protocol::random::RandomStream;
///
/// let mut stream = RandomStream::new("fixedseed0001");
/// assert_eq!(stream.collection("tasks").id(), "DcPXsmXcMrRJAtLhS");
/// assert_eq!(stream.collection("tasks").id(), "QyfErHfj7utfRir75");
/// ```
#[derive(Debug, Clone)]
pub struct RandomStream {
    seed: String,
    sequences: HashMap<String, Random>,
}

impl RandomStream {
    /// The sequences of a call with this `randomSeed`.
    pub fn new(seed: impl Into<String>) -> Self {
        Self {
            seed: seed.into(),
            sequences: HashMap::new(),
        }
    }

    /// The sequence of a name; it goes on where it was left.
    pub fn sequence(&mut self, name: &str) -> &mut Random {
        let seed = &self.seed;
        self.sequences
            .entry(name.to_owned())
            .or_insert_with(|| Random::new([seed.as_str(), name]))
    }

    /// The sequence for the ids of a collection: `/collection/NAME`.
    pub fn collection(&mut self, collection: &str) -> &mut Random {
        self.sequence(&format!("/collection/{collection}"))
    }

    /// The sequence for everything else: `default`.
    pub fn default_sequence(&mut self) -> &mut Random {
        self.sequence("default")
    }

    /// The seed of a method that is called from within this call: 20 hexadecimal digits from
    /// `/rpc/NAME`.
    pub fn rpc_seed(&mut self, method: &str) -> String {
        self.sequence(&format!("/rpc/{method}")).hex_string(20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_meteors() {
        let mut stream = RandomStream::new("fixedseed0001");
        let ids: Vec<_> = (0..3).map(|_| stream.collection("tasks").id()).collect();
        assert_eq!(
            ids,
            [
                "DcPXsmXcMrRJAtLhS",
                "QyfErHfj7utfRir75",
                "E7YDbpogapqTQ5ScZ"
            ]
        );
        assert_eq!(stream.default_sequence().id(), "ybFDuhS2nw7MQD58X");
        let mut stream = RandomStream::new("fixedseed0001");
        let hex = stream.collection("tasks").hex_string(24);
        assert_eq!(hex, "3967dc795d642e5b76fa3d4a");
        assert_eq!(stream.rpc_seed("m"), "916f3edb1b38bd03dcf1");
    }

    #[test]
    fn one_sequence_does_not_move_another() {
        let (mut busy, mut quiet) = (RandomStream::new("s"), RandomStream::new("s"));
        busy.collection("other").id();
        assert_eq!(busy.rpc_seed("m"), quiet.rpc_seed("m"));
        let mut nested = RandomStream::new(quiet.rpc_seed("m"));
        assert_ne!(nested.collection("c").id(), quiet.collection("c").id());
    }
}
