use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::rule::{Counter, Request, Rule};

/// Names a rule of a [`RateLimiter`](super::RateLimiter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleId(u64);

/// Rules and what they have counted. Time comes in as an argument.
#[derive(Debug, Default)]
pub(super) struct Limits {
    rules: Vec<Counted>,
    next_id: u64,
}

#[derive(Debug)]
struct Counted {
    id: RuleId,
    rule: Rule,
    window: Option<Window>,
}

/// What was counted since a window began. Nothing is remembered of earlier ones.
#[derive(Debug)]
struct Window {
    began: Instant,
    counts: HashMap<Counter, u32>,
}

impl Limits {
    pub(super) fn add(&mut self, rule: Rule) -> RuleId {
        self.next_id += 1;
        let id = RuleId(self.next_id);
        self.rules.push(Counted {
            id,
            rule,
            window: None,
        });
        id
    }

    pub(super) fn remove(&mut self, id: RuleId) -> bool {
        let before = self.rules.len();
        self.rules.retain(|counted| counted.id != id);
        self.rules.len() < before
    }

    /// Counts a request by every rule that is for it. Where it is one too many, gives the time
    /// until all of those rules forget.
    pub(super) fn check(&mut self, request: &Request<'_>, now: Instant) -> Result<(), Duration> {
        let waits = self
            .rules
            .iter_mut()
            .map(|counted| counted.count(request, now));
        match waits.max().flatten() {
            Some(wait) => Err(wait),
            None => Ok(()),
        }
    }
}

impl Counted {
    /// The time to wait if the request is one too many.
    fn count(&mut self, request: &Request<'_>, now: Instant) -> Option<Duration> {
        let interval = self.rule.interval;
        let over = |window: &mut Window| now.duration_since(window.began) >= interval;
        self.window.take_if(over);
        let counter = self.rule.counter(request)?;
        let window = self.window.get_or_insert_with(|| Window {
            began: now,
            counts: HashMap::new(),
        });
        let count = window.counts.entry(counter).or_default();
        *count = count.saturating_add(1);
        let too_many = *count > self.rule.number_of_requests;
        too_many.then(|| interval - now.duration_since(window.began))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Match};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn request<'a>(name: &'a str, connection_id: &'a str) -> Request<'a> {
        Request {
            kind: Kind::Method,
            name,
            user_id: None,
            client_address: Some("127.0.0.1"),
            connection_id,
        }
    }

    fn limits(rule: Rule) -> Limits {
        let mut limits = Limits::default();
        limits.add(rule);
        limits
    }

    #[test]
    fn a_window_begins_with_its_first_request() {
        let (mut limits, start) = (limits(Rule::methods(2, 10 * SECOND)), Instant::now());
        let mut check = |at: u32| limits.check(&request("m", "c"), start + SECOND * at);
        assert_eq!(check(5), Ok(()));
        assert_eq!(check(6), Ok(()));
        assert_eq!(check(7), Err(8 * SECOND));
        assert_eq!(check(14), Err(SECOND));
        assert_eq!(check(15), Ok(()));
        assert_eq!(check(16), Ok(()));
        assert_eq!(check(16), Err(9 * SECOND));
    }

    #[test]
    fn each_value_that_a_rule_looks_at_is_counted_by_itself() {
        let mut limits = limits(Rule::accounts());
        let mut count = |name, connection| {
            let now = Instant::now();
            let served = |_: &u32| limits.check(&request(name, connection), now).is_ok();
            (0..10).filter(served).count()
        };
        assert_eq!(count("login", "a"), 5);
        assert_eq!(count("login", "a"), 0);
        assert_eq!(count("createUser", "a"), 5);
        assert_eq!(count("login", "b"), 5);
        assert_eq!(count("logout", "a"), 10);
    }

    #[test]
    fn what_a_rule_does_not_look_at_is_counted_together() {
        let (mut limits, now) = (limits(Rule::methods(1, SECOND)), Instant::now());
        assert!(limits.check(&request("a", "x"), now).is_ok());
        assert!(limits.check(&request("b", "y"), now).is_err());
    }

    #[test]
    fn a_rule_is_only_for_what_it_matches() {
        let strict = |rule: Rule| {
            limits(rule)
                .check(&request("m", "c"), Instant::now())
                .is_err()
        };
        assert!(strict(Rule::requests(0, SECOND)));
        assert!(strict(
            Rule::methods(0, SECOND).name("m").connection_id("c")
        ));
        assert!(strict(Rule::methods(0, SECOND).client_address("127.0.0.1")));
        assert!(strict(
            Rule::methods(0, SECOND).user_id(Match::when(|user| user.is_none()))
        ));
        assert!(!strict(Rule::subscriptions(0, SECOND)));
        assert!(!strict(Rule::methods(0, SECOND).name("n")));
        assert!(!strict(Rule::methods(0, SECOND).connection_id("d")));
        assert!(!strict(
            Rule::methods(0, SECOND).client_address("127.0.0.2")
        ));
        assert!(!strict(Rule::methods(0, SECOND).user_id("ada")));
    }

    #[test]
    fn of_several_rules_the_longest_wait_counts() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        limits.add(Rule::methods(0, SECOND));
        let long = limits.add(Rule::methods(0, 10 * SECOND));
        limits.add(Rule::methods(1, 20 * SECOND));
        assert_eq!(limits.check(&request("m", "c"), now), Err(10 * SECOND));
        assert!(limits.remove(long));
        assert!(!limits.remove(long));
        assert_eq!(limits.check(&request("m", "c"), now), Err(20 * SECOND));
    }

    #[test]
    fn nothing_is_kept_of_a_window_that_is_over() {
        let (mut limits, start) = (
            limits(Rule::methods(5, SECOND).name(Match::any())),
            Instant::now(),
        );
        for name in 0..100 {
            assert!(
                limits
                    .check(&request(&name.to_string(), "c"), start)
                    .is_ok()
            );
        }
        let other = Request {
            kind: Kind::Subscription,
            ..request("other", "c")
        };
        assert!(limits.check(&other, start + SECOND).is_ok());
        assert!(limits.rules[0].window.is_none());
    }
}
