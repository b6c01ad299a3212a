//! Limits on how often clients call and subscribe (Meteor's `packages/ddp-rate-limiter`).
//!
//! ```
//! use std::time::Duration;
//! use ddp_server::Server;
//! use ddp_server::rate_limit::{Match, Rule};
//!
//! let server = Server::builder()
//!     .rate_limit(Rule::accounts())
//!     .rate_limit(Rule::methods(20, Duration::from_secs(1)).connection_id(Match::any()))
//!     .build();
//!
//! // one more for a while
//! let search = Rule::methods(1, Duration::from_secs(5)).name("search").user_id(Match::any());
//! let search = server.rate_limiter().add(search);
//! assert!(server.rate_limiter().remove(search));
//! ```
//!
//! Each rule counts the requests that it matches, separately for each distinct combination of
//! what it looks at, in windows of its interval: the first request after the end of a window begins
//! the next one for all its counters. A request too many gets the error `too-many-requests`, whose
//! details say as `timeToReset` how many milliseconds there are to wait.

mod limits;
mod matching;
mod rule;

use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::limits::Limits;
pub use self::limits::RuleId;
pub use self::matching::Match;
pub use self::rule::Rule;
pub(crate) use self::rule::{Kind, Request};
use crate::error::Error;
use crate::object;
use crate::task::{self, Panicked};

/// The rules of a server.
#[derive(Default)]
pub struct RateLimiter(Mutex<Limits>);

impl RateLimiter {
    /// Adds a rule, from now on.
    pub fn add(&self, rule: Rule) -> RuleId {
        self.0.lock().add(rule)
    }

    /// Removes a rule. `false` if it was not there any more.
    pub fn remove(&self, rule: RuleId) -> bool {
        self.0.lock().remove(rule)
    }

    /// Counts a request, and says whether it may be served.
    pub(crate) fn check(&self, request: &Request<'_>) -> Result<(), Error> {
        let mut limits = self.0.lock();
        let checked = task::caught(|| limits.check(request, Instant::now()));
        let checked = checked.map_err(|Panicked| {
            tracing::error!("the condition of a rate limit panicked");
            Error::internal()
        })?;
        checked.map_err(too_many_requests)
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimiter").field(&*self.0.lock()).finish()
    }
}

/// The error in Meteor's words.
fn too_many_requests(wait: Duration) -> Error {
    let millis = wait.as_millis() as u64;
    let reason = format!(
        "Error, too many requests. Please slow down. You must wait {} seconds before trying again.",
        millis.div_ceil(1000)
    );
    Error::new("too-many-requests", reason).details(object! { "timeToReset": millis })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up() {
        let error = too_many_requests(Duration::from_micros(9_956_700));
        assert_eq!(
            error.details_value(),
            Some(&object! { "timeToReset": 9956 })
        );
        assert!(error.reason().unwrap().contains("must wait 10 seconds"));
    }

    #[test]
    fn a_condition_that_panics_is_an_internal_error() {
        let limiter = RateLimiter::default();
        let bad = Match::when(|_| panic!("this test wants a panic"));
        limiter.add(Rule::methods(1, Duration::from_secs(1)).name(bad));
        let request = Request {
            kind: Kind::Method,
            name: "x",
            user_id: None,
            client_address: None,
            connection_id: "c",
        };
        assert_eq!(limiter.check(&request), Err(Error::internal()));
    }
}
