//! How it is found out whether an app answers, as callers set it and releases keep it.

use std::{str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest path, in bytes.
const MAX_PATH: usize = 2_000;
/// Least and most time between two probes.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60 * 60));
/// Least and most time that a probe may take.
const TIMEOUT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
/// Most time that an app may take to start.
const MAX_START_PERIOD: Duration = Duration::from_secs(60 * 60);
/// Least and most time after which an app is restarted that does not answer.
const RESTART_AFTER: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));

/// How it is found out whether an app answers. Stored in releases, times in milliseconds
/// (`intervalMs`); what is left out there has its default.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthSettings {
    /// What the app is asked.
    pub kind: HealthKind,
    /// What an app that speaks HTTP is asked for; `/` where nothing else is said.
    pub path: Option<String>,
    /// Time from the end of a probe that succeeded to the next one.
    #[serde(rename = "intervalMs", with = "millis")]
    pub interval: Duration,
    /// Time that a probe may take.
    #[serde(rename = "timeoutMs", with = "millis")]
    pub timeout: Duration,
    /// Time from a start in which probes that fail do not count. They come quickly meanwhile, until
    /// the first that succeeds.
    #[serde(rename = "startPeriodMs", with = "millis")]
    pub start_period: Duration,
    /// An app that is unhealthy for so long is restarted. `None`: it is not.
    #[serde(rename = "restartAfterMs", with = "optional_millis")]
    pub restart_after: Option<Duration>,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            kind: HealthKind::Auto,
            path: None,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            start_period: Duration::from_secs(120),
            restart_after: Some(Duration::from_secs(5 * 60)),
        }
    }
}

/// What an app is, as far as asking it goes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HealthKind {
    /// To be found out.
    #[default]
    Auto,
    /// A Meteor app: `/sockjs/info` and DDP.
    Meteor,
    /// It answers HTTP.
    Http,
    /// It takes connections.
    Tcp,
    /// It is not asked.
    None,
}

impl HealthKind {
    const ALL: [Self; 5] = [Self::Auto, Self::Meteor, Self::Http, Self::Tcp, Self::None];

    /// The word that callers use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Meteor => "meteor",
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::None => "none",
        }
    }
}

impl FromStr for HealthKind {
    type Err = InvalidHealth;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut kinds = Self::ALL.into_iter();
        let known = kinds.find(|kind| kind.as_str() == text);
        known.ok_or(InvalidHealth::Kind)
    }
}

/// Which setting cannot be, and what it may be.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum InvalidHealth {
    /// No such word.
    #[error("kind must be \"auto\", \"meteor\", \"http\", \"tcp\" or \"none\"")]
    Kind,
    /// No path of a request.
    #[error(
        "path must begin with \"/\" and have at most {MAX_PATH} bytes, without spaces, control \
         characters, \"#\" and characters that are not ASCII"
    )]
    Path,
    /// Too short or too long.
    #[error("interval must be from 1,000 ms to 3,600,000 ms (1 h)")]
    Interval,
    /// Too short or too long.
    #[error("timeout must be from 100 ms to 60,000 ms (1 min)")]
    Timeout,
    /// Too long.
    #[error("startPeriod must be from 0 ms to 3,600,000 ms (1 h)")]
    StartPeriod,
    /// Too short or too long.
    #[error("restartAfter must be from 1,000 ms to 86,400,000 ms (24 h), or 0 for never")]
    RestartAfter,
}

impl HealthSettings {
    /// Whether all of it can be.
    ///
    /// # Errors
    /// [`InvalidHealth`] says which setting cannot.
    pub fn check(&self) -> Result<(), InvalidHealth> {
        let within = |time: Duration, (least, most)| (least..=most).contains(&time);
        let rules = [
            (
                self.path.as_deref().is_none_or(is_path),
                InvalidHealth::Path,
            ),
            (within(self.interval, INTERVAL), InvalidHealth::Interval),
            (within(self.timeout, TIMEOUT), InvalidHealth::Timeout),
            (
                self.start_period <= MAX_START_PERIOD,
                InvalidHealth::StartPeriod,
            ),
            (
                self.restart_after.is_none_or(|t| within(t, RESTART_AFTER)),
                InvalidHealth::RestartAfter,
            ),
        ];
        let broken = rules.into_iter().find(|(holds, _)| !holds);
        broken.map_or(Ok(()), |(_, invalid)| Err(invalid))
    }
}

/// Whether it can stand in a request's first line as it is.
fn is_path(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    text.starts_with('/') && text.len() <= MAX_PATH && text.bytes().all(is_allowed)
}

/// A duration as whole milliseconds.
mod millis {
    use super::{Deserialize, Duration, Serialize};

    pub(super) fn serialize<S: serde::Serializer>(
        time: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.as_millis().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// The same, or `null`.
mod optional_millis {
    use super::{Deserialize, Duration, Serialize};

    #[allow(clippy::ref_option, reason = "serde hands it over so")]
    pub(super) fn serialize<S: serde::Serializer>(
        time: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_millis()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let millis = Option::<u64>::deserialize(deserializer)?;
        Ok(millis.map(Duration::from_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut HealthSettings)) -> Result<(), InvalidHealth> {
        let mut settings = HealthSettings::default();
        change(&mut settings);
        settings.check()
    }

    #[test]
    fn what_is_stored_is_read_again_and_what_is_missing_has_its_default() {
        let settings = HealthSettings {
            kind: HealthKind::Http,
            path: Some("/up?a=1".into()),
            restart_after: None,
            ..HealthSettings::default()
        };
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            json,
            r#"{"kind":"http","path":"/up?a=1","intervalMs":10000,"timeoutMs":5000,"startPeriodMs":120000,"restartAfterMs":null}"#
        );
        assert_eq!(
            serde_json::from_str::<HealthSettings>(&json).unwrap(),
            settings
        );
        let empty: HealthSettings = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, HealthSettings::default());
    }

    #[test]
    fn kinds_are_known_by_their_words() {
        for kind in HealthKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{}\"", kind.as_str()));
        }
        assert_eq!("HTTP".parse::<HealthKind>(), Err(InvalidHealth::Kind));
    }

    #[test]
    fn limits_hold_and_what_is_at_them_is_fine() {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        assert_eq!(with(|_| {}), Ok(()));
        for (interval, holds) in [(ms(999), false), (s(1), true), (s(3600), true)] {
            assert_eq!(with(|h| h.interval = interval).is_ok(), holds);
        }
        assert_eq!(with(|h| h.interval = s(3601)), Err(InvalidHealth::Interval));
        assert_eq!(with(|h| h.timeout = ms(99)), Err(InvalidHealth::Timeout));
        assert_eq!(
            with(|h| h.timeout = ms(60_001)),
            Err(InvalidHealth::Timeout)
        );
        assert_eq!(with(|h| h.start_period = s(0)), Ok(()));
        assert_eq!(
            with(|h| h.start_period = s(3601)),
            Err(InvalidHealth::StartPeriod)
        );
        assert_eq!(with(|h| h.restart_after = None), Ok(()));
        for restart_after in [ms(999), s(86_401)] {
            assert_eq!(
                with(|h| h.restart_after = Some(restart_after)),
                Err(InvalidHealth::RestartAfter)
            );
        }
    }

    #[test]
    fn a_path_is_what_can_stand_in_a_request() {
        let long = format!("/{}", "x".repeat(MAX_PATH - 1));
        for path in ["/", "/up?x=%20&y=1", &long] {
            assert_eq!(with(|h| h.path = Some(path.to_owned())), Ok(()), "{path}");
        }
        let longer = format!("{long}x");
        for path in ["", "up", "/a b", "/a\r\nX: y", "/\0", "/ü", "/a#b", &longer] {
            assert_eq!(
                with(|h| h.path = Some(path.to_owned())),
                Err(InvalidHealth::Path),
                "{path:?}"
            );
        }
    }
}
