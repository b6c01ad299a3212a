//! Whether an app answers: how that is found out ([`HealthSettings`]), by whom ([`Prober`]), and what
//! is known of a run at any time ([`Watch`]).
//!
//! What is decided is decided in `machine`, without clock, sockets or chance. This crate knows no
//! HTTP and no DDP: how an app is asked is its callers' business.

#[cfg(test)]
pub(crate) mod fake;
mod machine;
#[cfg(test)]
mod machine_properties;
mod settings;
mod target;
mod watch;
#[cfg(test)]
mod watch_tests;
mod words;

use std::time::Instant;

use async_trait::async_trait;

pub use settings::{HealthKind, HealthSettings, InvalidHealth};
pub use target::ProbeTarget;
pub use watch::{SignedAge, Watch};
pub use words::in_words;

/// Whether an app answers.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Health {
    /// Nobody asks it.
    #[default]
    None,
    /// It has not answered yet, and still has time.
    Starting,
    /// It answers.
    Healthy,
    /// It did not come to answer in time, or has ceased to.
    Unhealthy,
}

impl Health {
    /// The word that callers see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What is known of a run by its newest probe.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Probed {
    /// See [`Health`].
    pub health: Health,
    /// Since when it has been so.
    pub since: Instant,
    /// What the newest probe came to, in words for the caller: `connection refused`, `answers DDP`.
    /// Empty while there was none.
    pub answer: String,
    /// Probes that have failed in a row.
    pub failures: u32,
    /// What the app was found to be when it answered first.
    pub kind: Option<HealthKind>,
}

/// Asks apps whether they answer.
#[async_trait]
pub trait Prober: Send + Sync + 'static {
    /// Asks once, and returns within the target's timeout. `thorough`: of a Meteor app also whether
    /// it speaks DDP. Tells what the app was found to be, which is never [`HealthKind::Auto`] nor
    /// [`HealthKind::None`], or in one short sentence without secrets why it does not answer.
    async fn probe(&self, target: &ProbeTarget, thorough: bool) -> Result<HealthKind, String>;
}
