use crate::ejson::utf16;

/// Johannes Baagøe's Alea, a generator in JavaScript's doubles (`AleaRandomGenerator.js`).
#[derive(Debug, Clone)]
pub(super) struct Alea {
    state: [f64; 3],
    carry: f64,
}

const TWO_POW_32: f64 = 4_294_967_296.0;
const TWO_POW_MINUS_32: f64 = 1.0 / TWO_POW_32;

impl Alea {
    pub(super) fn new<S: AsRef<str>>(seeds: impl IntoIterator<Item = S>) -> Self {
        let mut mash = Mash::new();
        let mut state = [mash.mix(" "), mash.mix(" "), mash.mix(" ")];
        for seed in seeds {
            for part in &mut state {
                *part -= mash.mix(seed.as_ref());
                if *part < 0.0 {
                    *part += 1.0;
                }
            }
        }
        Self { state, carry: 1.0 }
    }

    /// The next fraction, from 0 up to but not including 1.
    pub(super) fn next(&mut self) -> f64 {
        let [first, second, third] = self.state;
        let total = 2_091_639.0 * first + self.carry * TWO_POW_MINUS_32;
        self.carry = total.trunc();
        let fraction = total - self.carry;
        self.state = [second, third, fraction];
        fraction
    }
}

/// Turns texts into fractions, each depending on all texts before.
struct Mash(f64);

impl Mash {
    fn new() -> Self {
        Self(f64::from(0xefc8_249d_u32))
    }

    fn mix(&mut self, text: &str) -> f64 {
        let mut n = self.0;
        for unit in utf16(text) {
            n += f64::from(unit);
            let mut h = 0.025_196_032_824_169_38 * n;
            n = to_uint32(h);
            h -= n;
            h *= n;
            n = to_uint32(h);
            h -= n;
            n += h * TWO_POW_32;
        }
        self.0 = n;
        to_uint32(n) * TWO_POW_MINUS_32
    }
}

/// JavaScript's `x >>> 0` for what is not negative.
fn to_uint32(x: f64) -> f64 {
    x.trunc() % TWO_POW_32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ejson::from_utf16;

    #[test]
    fn a_seed_is_mixed_by_the_units_that_it_has_in_javascript() {
        let seed = from_utf16(&[0xd800, 0x78, 0xd83d, 0xde00]);
        assert_eq!(Alea::new([seed]).next(), 0.989_205_201_622_098_7);
    }
}
