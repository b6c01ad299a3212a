use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::admission::{Admitted, Newcomer};
use crate::load::OpenRequest;
use crate::route::Replica;
use crate::upstream::Upstream;

/// The upstreams of one route, which take turns.
pub struct Upstreams {
    serving: Box<[Replica]>,
    /// Those that are being taken out of service.
    draining: Box<[Replica]>,
    turn: AtomicUsize,
}

/// Who gets a request.
pub(crate) enum Choice {
    Upstream(OpenRequest, Option<Newcomer>),
    /// Nobody has room for one who comes to stay. This one may have soon, if there is one.
    NotAdmitted(Option<Upstream>),
    /// All have been tried.
    Nobody,
    /// The table that this was read from is no longer the one in force.
    Outdated,
}

impl Upstreams {
    /// Each address once; what serves does not drain.
    pub(crate) fn new(
        serving: impl IntoIterator<Item = Replica>,
        draining: impl IntoIterator<Item = Replica>,
    ) -> Self {
        let serving = each_once(serving, &[]);
        let draining = each_once(draining, &serving);
        Self {
            serving: serving.into(),
            draining: draining.into(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Those that get requests, one after the other.
    pub fn serving(&self) -> impl Iterator<Item = &Upstream> {
        self.serving.iter().map(|replica| &replica.upstream)
    }

    /// Those that are being taken out of service.
    pub fn draining(&self) -> impl Iterator<Item = &Upstream> {
        self.draining.iter().map(|replica| &replica.upstream)
    }

    /// Whether `upstream` is one of those.
    pub(crate) fn lets_drain(&self, upstream: &Upstream) -> bool {
        self.draining().any(|draining| draining == upstream)
    }

    /// The serving ones, then the draining ones.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Upstream> {
        let all = self.serving.iter_mut().chain(&mut self.draining);
        all.map(|replica| &mut replica.upstream)
    }

    /// The one at an address.
    pub(crate) fn serving_at(&self, upstream: &Upstream) -> Option<&Replica> {
        self.serving.iter().find(|own| own.upstream == *upstream)
    }

    /// Whether one of a release is live: serves or drains.
    pub(crate) fn have_release(&self, release: &str) -> bool {
        self.live().any(|replica| *replica.release == *release)
    }

    /// The live one of all other releases that has the least open, those that serve first where several are equal.
    pub(crate) fn of_another_release(&self, release: &str) -> Option<&Replica> {
        let others = self.live().filter(|other| *other.release != *release);
        let usable = others.filter(|other| !other.upstream.avoidance().is_on());
        usable.min_by_key(|other| other.upstream.load().open())
    }

    fn live(&self) -> impl Iterator<Item = &Replica> {
        self.serving.iter().chain(&self.draining)
    }

    /// Whether clients have to be told apart.
    pub(crate) fn are_several(&self) -> bool {
        self.serving.len() > 1
    }

    /// Whose client somebody is: of the one that has his SockJS session, or that one of his tokens
    /// stands for, unless it could not be connected to of late.
    pub(crate) fn owner<'token>(
        &self,
        session: Option<&Upstream>,
        mut tokens: impl Iterator<Item = &'token str>,
    ) -> Option<&Upstream> {
        let having =
            session.and_then(|session| self.serving().find(|upstream| *upstream == session));
        having.or_else(|| {
            tokens.find_map(|token| {
                let stands =
                    |upstream: &&Upstream| upstream.token().is_some_and(|own| own.is(token));
                let owner = self.serving().find(stands);
                owner.filter(|owner| !owner.avoidance().is_on())
            })
        })
    }

    /// Gives a request to its `owner`; without one, to the upstream that has the least to do, in turns
    /// where several are equal. One that could not be connected to of late comes after all others, and
    /// those in `tried` do not come at all.
    pub(crate) fn choose(
        &self,
        owner: Option<&Upstream>,
        tried: &[Upstream],
        avoid: Duration,
    ) -> Choice {
        match self.first(owner, tried) {
            Some(chosen) => begin(chosen, avoid, None),
            None => Choice::Nobody,
        }
    }

    /// The same for one who comes to stay: whoever has no room is passed over.
    pub(crate) fn choose_with_room(
        &self,
        owner: Option<&Upstream>,
        tried: &[Upstream],
        avoid: Duration,
    ) -> Choice {
        let (mut passed, mut full) = (tried.to_vec(), None);
        while let Some(chosen) = self.first(owner, &passed) {
            match chosen.admission().admit(chosen) {
                Admitted::Yes(newcomer) => return begin(chosen, avoid, newcomer),
                Admitted::Full => full = Some(chosen.clone()),
                Admitted::No => {}
            }
            passed.push(chosen.clone());
        }
        if passed.len() == tried.len() {
            return Choice::Nobody;
        }
        Choice::NotAdmitted(full)
    }

    fn first<'a>(
        &'a self,
        owner: Option<&'a Upstream>,
        tried: &[Upstream],
    ) -> Option<&'a Upstream> {
        let owner = owner.filter(|owner| !tried.contains(owner));
        owner.or_else(|| match &*self.serving {
            [only] => (!tried.contains(&only.upstream)).then_some(&only.upstream),
            _ => self.least_busy(tried),
        })
    }

    fn least_busy(&self, tried: &[Upstream]) -> Option<&Upstream> {
        let untried = || self.serving().filter(|upstream| !tried.contains(upstream));
        let least = untried().map(busy).min()?;
        let equals = || untried().filter(|upstream| busy(upstream) <= least);
        // The numbers may have changed since they were compared: then anyone will do.
        let turn = self.turn.fetch_add(1, Relaxed) % equals().count().max(1);
        equals().nth(turn).or_else(|| untried().next())
    }
}

fn begin(chosen: &Upstream, avoid: Duration, newcomer: Option<Newcomer>) -> Choice {
    chosen.avoidance().go_on_unless_it_goes_well(avoid);
    match OpenRequest::begin(chosen) {
        Some(open) => Choice::Upstream(open, newcomer),
        None => Choice::Outdated,
    }
}

fn each_once(replicas: impl IntoIterator<Item = Replica>, but: &[Replica]) -> Vec<Replica> {
    let mut once: Vec<Replica> = Vec::new();
    for replica in replicas {
        let mut known = once.iter().chain(but);
        if !known.any(|known| known.upstream == replica.upstream) {
            once.push(replica);
        }
    }
    once
}

fn busy(upstream: &Upstream) -> (bool, usize) {
    (upstream.avoidance().is_on(), upstream.load().open())
}

impl Clone for Upstreams {
    fn clone(&self) -> Self {
        Self::new(self.serving.iter().cloned(), self.draining.iter().cloned())
    }
}

impl fmt::Debug for Upstreams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Upstreams")
            .field("serving", &self.serving)
            .field("draining", &self.draining)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::admission::AdmissionSettings;
    use crate::affinity::Affinity;

    const AVOID: Duration = Duration::from_secs(3600);

    fn serving(upstreams: impl IntoIterator<Item = Upstream>) -> Upstreams {
        Upstreams::new(upstreams.into_iter().map(Into::into), [])
    }

    fn upstreams(number: u16) -> Upstreams {
        serving((1..=number).map(|port| Upstream::new("127.0.0.1", port)))
    }

    fn choose(upstreams: &Upstreams, tried: &[Upstream]) -> Option<OpenRequest> {
        match upstreams.choose(None, tried, AVOID) {
            Choice::Upstream(open, _) => Some(open),
            _ => None,
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
        let first = upstreams.serving().next().unwrap().clone();
        first.avoidance().begin(AVOID);
        assert_eq!(ports(&upstreams, 3), [2, 2, 2]);
        let second = upstreams.serving().nth(1).unwrap().clone();
        let last = choose(&upstreams, &[second]).unwrap();
        assert_eq!(last.upstream().port(), 1);
        drop(last);
        first.avoidance().end();
        assert_eq!(ports(&upstreams, 2).iter().sum::<u16>(), 3);
    }

    #[test]
    fn who_was_tried_is_not_chosen_again() {
        let upstreams = upstreams(2);
        let all: Vec<_> = upstreams.serving().cloned().collect();
        assert!(matches!(
            upstreams.choose(None, &all, AVOID),
            Choice::Nobody
        ));
        let alone = serving([all[0].clone()]);
        assert!(matches!(alone.choose(None, &all, AVOID), Choice::Nobody));
    }

    #[test]
    fn a_retired_upstream_tells_that_the_table_is_old() {
        let upstreams = upstreams(1);
        upstreams.serving().next().unwrap().retire();
        assert!(matches!(
            upstreams.choose(None, &[], AVOID),
            Choice::Outdated
        ));
    }

    #[test]
    fn who_comes_to_stay_passes_over_those_that_have_no_room() {
        let upstreams = upstreams(2);
        let settings = AdmissionSettings {
            first_rate: 1,
            waiting: 1,
            ..AdmissionSettings::default()
        };
        for upstream in upstreams.serving() {
            upstream.admission().begin(&settings, Instant::now());
        }
        let first = upstreams.serving().next();
        let come = || upstreams.choose_with_room(first, &[], AVOID);
        let [one, other] = [(); 2].map(|()| match come() {
            Choice::Upstream(open, Some(newcomer)) => (open.upstream().port(), newcomer),
            _ => panic!("there is room"),
        });
        assert_eq!([one.0, other.0], [1, 2]);
        assert!(matches!(come(), Choice::NotAdmitted(Some(_))));
        drop(other);
        assert!(matches!(come(), Choice::Upstream(..)));
        let all: Vec<_> = upstreams.serving().cloned().collect();
        let nobody = upstreams.choose_with_room(first, &all, AVOID);
        assert!(matches!(nobody, Choice::Nobody));
        assert_eq!(ports(&upstreams, 1).len(), 1, "others pass");
    }

    #[test]
    fn an_address_that_is_named_twice_counts_once() {
        let twice = [1, 1].map(|port| Upstream::new("127.0.0.1", port));
        assert_eq!(serving(twice).serving().count(), 1);
    }

    #[test]
    fn what_serves_does_not_drain() {
        let [first, second] = [1, 2].map(|port| Replica::from(Upstream::new("127.0.0.1", port)));
        let both = Upstreams::new([first.clone()], [first, second]);
        let draining: Vec<_> = both.draining().map(Upstream::port).collect();
        assert_eq!(draining, [2]);
    }

    #[test]
    fn another_release_is_that_of_whoever_is_live_and_has_the_least_to_do() {
        let replica = |port, release| Replica::new(Upstream::new("127.0.0.1", port), release);
        let serving = [replica(1, "2"), replica(2, "3")];
        let all = Upstreams::new(serving, [replica(3, "1"), replica(4, "1")]);
        let other = |release| {
            let other = all.of_another_release(release);
            other.map(|other| other.upstream.port())
        };
        assert_eq!(other("2"), Some(2), "it serves");
        let second = &all.serving[1].upstream;
        let _busy = OpenRequest::begin(second).unwrap();
        assert_eq!(other("2"), Some(3), "it has less to do");
        all.draining[0].upstream.avoidance().begin(AVOID);
        assert_eq!(other("2"), Some(4), "it can be connected to");
        assert_eq!(other("1"), Some(1));
        assert!(all.have_release("1") && all.have_release("3") && !all.have_release("4"));
        assert!(upstreams(2).of_another_release("").is_none());
    }

    #[test]
    fn a_client_goes_to_its_owner_however_busy_that_is() {
        let upstreams = upstreams(3);
        let affinity = Affinity::new("a", [1; 32]).unwrap();
        upstreams
            .serving()
            .for_each(|upstream| upstream.name(&affinity));
        let [_, second, third] = [0, 1, 2].map(|at| upstreams.serving().nth(at).unwrap());
        let _busy = OpenRequest::begin(second).unwrap();
        let token = affinity.token(&second.address());
        let tokens = || [token.text(), "unknown"].into_iter().rev();
        assert_eq!(upstreams.owner(None, tokens()), Some(second));
        assert_eq!(
            upstreams.owner(Some(third), tokens()),
            Some(third),
            "where its session is"
        );
        assert_eq!(
            upstreams.owner(Some(&Upstream::new("127.0.0.1", 9)), tokens()),
            Some(second)
        );
        assert_eq!(upstreams.owner(None, ["unknown"].into_iter()), None);
        let port = |owner, tried: &[Upstream]| match upstreams.choose(owner, tried, AVOID) {
            Choice::Upstream(open, _) => open.upstream().port(),
            _ => 0,
        };
        assert_eq!(port(Some(second), &[]), 2);
        assert_ne!(
            port(Some(second), std::slice::from_ref(second)),
            2,
            "tried in vain"
        );
        second.avoidance().begin(AVOID);
        assert_eq!(upstreams.owner(None, tokens()), None);
        assert_eq!(
            upstreams.owner(Some(second), tokens()),
            Some(second),
            "its session is nowhere else"
        );
    }
}
