use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::load::OpenRequest;
use crate::upstream::Upstream;

/// The upstreams of one route, which take turns.
pub struct Upstreams {
    list: Box<[Upstream]>,
    turn: AtomicUsize,
}

/// Who gets a request.
pub(crate) enum Choice {
    Upstream(OpenRequest),
    /// All have been tried.
    Nobody,
    /// The table that this was read from is no longer the one in force.
    Outdated,
}

impl Upstreams {
    /// Those that `upstreams` names, each once.
    pub(crate) fn new(upstreams: impl IntoIterator<Item = Upstream>) -> Self {
        let mut list = Vec::new();
        for upstream in upstreams {
            if !list.contains(&upstream) {
                list.push(upstream);
            }
        }
        Self {
            list: list.into(),
            turn: AtomicUsize::new(0),
        }
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &Upstream> {
        self.list.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Upstream> {
        self.list.iter_mut()
    }

    /// Gives a request to the upstream that has the least to do, in turns where several are equal.
    /// One that could not be connected to of late comes after all others, and those in `tried` do
    /// not come at all.
    pub(crate) fn choose(&self, tried: &[Upstream], avoid: Duration) -> Choice {
        let chosen = match &*self.list {
            [only] => (!tried.contains(only)).then_some(only),
            _ => self.least_busy(tried),
        };
        let Some(chosen) = chosen else {
            return Choice::Nobody;
        };
        chosen.avoidance().go_on_unless_it_goes_well(avoid);
        OpenRequest::begin(chosen).map_or(Choice::Outdated, Choice::Upstream)
    }

    fn least_busy(&self, tried: &[Upstream]) -> Option<&Upstream> {
        let untried = || {
            self.list
                .iter()
                .filter(|upstream| !tried.contains(upstream))
        };
        let least = untried().map(busy).min()?;
        let equals = || untried().filter(|upstream| busy(upstream) <= least);
        // The numbers may have changed since they were compared: then anyone will do.
        let turn = self.turn.fetch_add(1, Relaxed) % equals().count().max(1);
        equals().nth(turn).or_else(|| untried().next())
    }
}

fn busy(upstream: &Upstream) -> (bool, usize) {
    (upstream.avoidance().is_on(), upstream.load().open())
}

impl Clone for Upstreams {
    fn clone(&self) -> Self {
        Self::new(self.list.iter().cloned())
    }
}

impl fmt::Debug for Upstreams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.list).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AVOID: Duration = Duration::from_secs(3600);

    fn upstreams(number: u16) -> Upstreams {
        Upstreams::new((1..=number).map(|port| Upstream::new("127.0.0.1", port)))
    }

    fn choose(upstreams: &Upstreams, tried: &[Upstream]) -> Option<OpenRequest> {
        match upstreams.choose(tried, AVOID) {
            Choice::Upstream(open) => Some(open),
            Choice::Nobody | Choice::Outdated => None,
        }
    }

    /// The ports of as many choices, each of which ends at once.
    fn ports(upstreams: &Upstreams, number: usize) -> Vec<u16> {
        let port = |_| choose(upstreams, &[]).unwrap().upstream().port();
        (0..number).map(port).collect()
    }

    #[test]
    fn equals_take_turns() {
        assert_eq!(ports(&upstreams(3), 6), [1, 2, 3, 1, 2, 3]);
        assert_eq!(ports(&upstreams(1), 2), [1, 1]);
    }

    #[test]
    fn the_least_busy_comes_first_whatever_keeps_the_others_busy() {
        let upstreams = upstreams(3);
        let open = |_| choose(&upstreams, &[]).unwrap();
        let [first, second] = [(); 2].map(open);
        let busy = [&first, &second].map(|open| open.upstream().port());
        let idle = (1..=3).find(|port| !busy.contains(port)).unwrap();
        let first = first.upgrade();
        assert_eq!(ports(&upstreams, 2), [idle, idle]);
        let third = open(());
        drop((first, second));
        let equals = ports(&upstreams, 4);
        for port in busy {
            let share = equals.iter().filter(|chosen| **chosen == port);
            assert_eq!(share.count(), 2, "those that are left share evenly");
        }
        drop(third);
    }

    #[test]
    fn one_that_failed_comes_last_but_comes() {
        let upstreams = upstreams(2);
        let first = upstreams.iter().next().unwrap().clone();
        first.avoidance().begin(AVOID);
        assert_eq!(ports(&upstreams, 3), [2, 2, 2]);
        let second = upstreams.iter().nth(1).unwrap().clone();
        let last = choose(&upstreams, &[second]).unwrap();
        assert_eq!(last.upstream().port(), 1);
        drop(last);
        first.avoidance().end();
        assert_eq!(ports(&upstreams, 2).iter().sum::<u16>(), 3);
    }

    #[test]
    fn who_was_tried_is_not_chosen_again() {
        let upstreams = upstreams(2);
        let all: Vec<_> = upstreams.iter().cloned().collect();
        assert!(matches!(upstreams.choose(&all, AVOID), Choice::Nobody));
        let alone = Upstreams::new([all[0].clone()]);
        assert!(matches!(alone.choose(&all, AVOID), Choice::Nobody));
    }

    #[test]
    fn a_retired_upstream_tells_that_the_table_is_old() {
        let upstreams = upstreams(1);
        upstreams.iter().next().unwrap().retire();
        assert!(matches!(upstreams.choose(&[], AVOID), Choice::Outdated));
    }

    #[test]
    fn an_address_that_is_named_twice_counts_once() {
        let twice = [1, 1].map(|port| Upstream::new("127.0.0.1", port));
        assert_eq!(Upstreams::new(twice).iter().count(), 1);
    }
}
