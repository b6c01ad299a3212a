use std::fmt;

/// What a [`Rule`](super::Rule) wants of one property of a request.
pub struct Match(Condition);

type Predicate = dyn Fn(Option<&str>) -> bool + Send + Sync;

enum Condition {
    Exact(String),
    Any,
    When(Box<Predicate>),
}

impl Match {
    /// Any value; each is counted by itself. No value (nobody is logged in) counts as one.
    pub fn any() -> Self {
        Self(Condition::Any)
    }

    /// Values for which the closure says yes; each is counted by itself. `None` is no value: nobody
    /// is logged in, or the address is not known.
    pub fn when(condition: impl Fn(Option<&str>) -> bool + Send + Sync + 'static) -> Self {
        Self(Condition::When(Box::new(condition)))
    }

    pub(super) fn fits(&self, value: Option<&str>) -> bool {
        match &self.0 {
            Condition::Exact(wanted) => value == Some(wanted),
            Condition::Any => true,
            Condition::When(condition) => condition(value),
        }
    }
}

/// Exactly this value.
impl From<&str> for Match {
    fn from(value: &str) -> Self {
        Self(Condition::Exact(value.to_owned()))
    }
}

/// Exactly this value.
impl From<String> for Match {
    fn from(value: String) -> Self {
        Self(Condition::Exact(value))
    }
}

impl fmt::Debug for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Condition::Exact(value) => write!(f, "{value:?}"),
            Condition::Any => f.write_str("any"),
            Condition::When(_) => f.write_str("when(..)"),
        }
    }
}
