use super::alea::Alea;

/// What people do not mistake for one another.
const UNMISTAKABLE: &[u8; 55] = b"23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz";
const ID_LENGTH: usize = 17;
const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE64: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

/// A sequence of values that follows from its seeds, as Meteor's `Random.createWithSeeds`.
///
/// Who sees some of them can compute the others: not for secrets, unless the seeds are secret and
/// the sequence is used for nothing else.
///
/// ```
/// use ddp_protocol::random::Random;
///
/// let mut random = Random::new(["0"]);
/// assert_eq!(random.id(), "cp9hWvhg8GSvuZ9os");
/// assert_eq!(random.id(), "3f3k6Xo7rrHCifQhR");
/// ```
#[derive(Debug, Clone)]
pub struct Random(Alea);

impl Random {
    /// A sequence. Numbers are given as JavaScript prints them.
    pub fn new<S: AsRef<str>>(seeds: impl IntoIterator<Item = S>) -> Self {
        Self(Alea::new(seeds))
    }

    /// A number from 0 up to but not including 1.
    pub fn fraction(&mut self) -> f64 {
        self.0.next()
    }

    /// One of the items; `None` if there is none.
    pub fn choice<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let at = (self.fraction() * items.len() as f64) as usize;
        items.get(at)
    }

    /// An id as Meteor gives documents: 17 characters that people do not confuse.
    pub fn id(&mut self) -> String {
        self.id_of_length(ID_LENGTH)
    }

    /// An id of so many characters.
    pub fn id_of_length(&mut self, length: usize) -> String {
        self.string(length, UNMISTAKABLE)
    }

    /// So many hexadecimal digits, in lower case. Mongo object ids have 24.
    pub fn hex_string(&mut self, digits: usize) -> String {
        self.string(digits, HEX)
    }

    /// So many characters of base 64 for URLs. Meteor's default is 43, which is 256 bits.
    pub fn secret(&mut self, length: usize) -> String {
        self.string(length, BASE64)
    }

    fn string(&mut self, length: usize, alphabet: &[u8]) -> String {
        let characters = (0..length).filter_map(|_| self.choice(alphabet));
        characters.map(|byte| char::from(*byte)).collect()
    }
}

/// An id like those of [`Random::id`], by another source of chance: `below(n)` gives a number from
/// 0 up to but not including `n`.
///
/// ```
/// let mut next = 0;
/// let id = ddp_protocol::random::id_by(|below| {
///     next += 1;
///     next % below
/// });
/// assert_eq!(id, "3456789ABCDEFGHJK");
/// ```
pub fn id_by(mut below: impl FnMut(usize) -> usize) -> String {
    let letters = UNMISTAKABLE.len();
    let places = (0..ID_LENGTH).map(|_| below(letters) % letters);
    places.map(|at| char::from(UNMISTAKABLE[at])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_meteors() {
        let mut random = Random::new(["0"]);
        let ids: Vec<_> = (0..4).map(|_| random.id()).collect();
        assert_eq!(
            ids,
            [
                "cp9hWvhg8GSvuZ9os",
                "3f3k6Xo7rrHCifQhR",
                "shxDnjWWmnKPEoLhM",
                "6QTjB8C5SEqhmz4ni"
            ]
        );
    }

    #[test]
    fn seeds_are_read_in_units_of_utf_16() {
        assert_eq!(Random::new(["😀é"]).id(), "TLzEsKrK5KBoTdLjS");
    }

    #[test]
    fn what_does_not_fit_into_32_bits_wraps() {
        assert_eq!(
            Random::new(["seed3014", "default"]).id(),
            "dciy58Aq9AxnYu5tz"
        );
    }

    #[test]
    fn doubles_stay_those_of_javascript_for_long() {
        let mut random = Random::new(["x".repeat(5000) + "\u{ffff}"]);
        for _ in 0..100_000 {
            random.fraction();
        }
        assert_eq!(random.id(), "Jytn3KGndcuNM4GXs");
    }

    #[test]
    fn strings_have_the_length_and_the_letters_that_were_asked_for() {
        let mut random = Random::new(["s"]);
        let secret = random.secret(43);
        assert_eq!(secret.len(), 43);
        assert!(secret.bytes().all(|byte| BASE64.contains(&byte)));
        assert_eq!(random.id_of_length(5).len(), 5);
        assert_eq!(random.hex_string(0), "");
        assert_eq!(random.choice::<u8>(&[]), None);
        assert_eq!(random.choice(&["only"]), Some(&"only"));
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.fraction())));
    }
}
