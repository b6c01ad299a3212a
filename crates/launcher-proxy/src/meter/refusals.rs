use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// More than there are codes.
const CODES: usize = 32;

/// Requests that the proxy answered itself, by code. A code has its place from when it is first met.
pub(crate) struct Refusals([(OnceLock<&'static str>, AtomicU64); CODES]);

impl Default for Refusals {
    fn default() -> Self {
        Self([const { (OnceLock::new(), AtomicU64::new(0)) }; CODES])
    }
}

impl Refusals {
    pub(crate) fn count(&self, code: &'static str) {
        let places = self.0.iter();
        let mut of_code = places.filter(|(known, _)| *known.get_or_init(|| code) == code);
        if let Some((_, count)) = of_code.next() {
            count.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
        let known = self.0.iter();
        let counted = known.filter_map(|(code, count)| Some((*code.get()?, count.load(Relaxed))));
        counted.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_counted_by_itself_and_too_many_do_no_harm() {
        let refusals = Refusals::default();
        for code in ["a", "b", "a"] {
            refusals.count(code);
        }
        assert_eq!(refusals.all(), [("a", 2), ("b", 1)]);
        let names: Vec<&'static str> = (0..2 * CODES)
            .map(|number| &*number.to_string().leak())
            .collect();
        names.into_iter().for_each(|code| refusals.count(code));
        assert_eq!(refusals.all().len(), CODES);
    }
}
