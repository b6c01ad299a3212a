//! What callers may ask for.

/// What a caller may ask for beyond what everybody may.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Rights {
    /// Nothing: apps of his own, which cannot reach the machine that they run on.
    #[default]
    User,
    /// Also what reaches the machine, such as its directories and devices.
    Administrator,
}
