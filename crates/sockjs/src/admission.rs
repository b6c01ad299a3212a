use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Counts connections, in all and by address.
#[derive(Debug)]
pub(crate) struct Admission {
    max: usize,
    max_per_address: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The place of one connection, free again when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    pub(crate) fn new(max: usize, max_per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            max_per_address,
            counts: Mutex::default(),
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.counts.lock().all
    }

    /// A place, if there is one.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let mut counts = self.counts.lock();
        let same = counts.by_address.get(&address).copied().unwrap_or_default();
        if counts.all >= self.max || same >= self.max_per_address {
            return None;
        }
        counts.all += 1;
        counts.by_address.insert(address, same + 1);
        Some(Permit {
            admission: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.counts.lock();
        counts.all -= 1;
        if let Some(same) = counts.by_address.get_mut(&self.address) {
            *same -= 1;
            if *same == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_given_back() {
        let admission = Admission::new(3, 2);
        let [one, two]: [IpAddr; 2] = [[127, 0, 0, 1].into(), [127, 0, 0, 2].into()];
        let first = admission.admit(one);
        let second = admission.admit(one);
        assert!(first.is_some() && second.is_some());
        assert!(admission.admit(one).is_none(), "two of one address");
        let third = admission.admit(two);
        assert!(third.is_some());
        assert!(admission.admit(two).is_none(), "three in all");
        drop(first);
        assert_eq!(admission.count(), 2);
        assert!(admission.admit(one).is_some());
        drop((second, third));
        assert_eq!(admission.count(), 0);
        assert!(admission.counts.lock().by_address.is_empty());
    }
}
