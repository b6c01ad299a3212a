use std::fmt;

use crate::json;

/// Why a Rust value and an EJSON value do not fit each other.
///
/// Prints as `tasks[2].due: invalid type: integer 5, expected a date`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerdeError {
    message: String,
    /// From the inside out.
    path: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl SerdeError {
    /// What is wrong, without where.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where, as one would write it in JavaScript: `tasks[2].due`; empty for the value itself.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in self.path.iter().rev() {
            step.write(&mut path);
        }
        path
    }

    pub(super) fn new(message: impl fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            path: Vec::new(),
        }
    }

    pub(super) fn at_key(mut self, key: &str) -> Self {
        self.path.push(Step::Key(key.to_owned()));
        self
    }

    pub(super) fn at_index(mut self, index: usize) -> Self {
        self.path.push(Step::Index(index));
        self
    }
}

impl Step {
    fn write(&self, path: &mut String) {
        match self {
            Self::Index(index) => {
                path.push('[');
                path.push_str(&index.to_string());
                path.push(']');
            }
            Self::Key(key) if is_name(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Self::Key(key) => {
                path.push('[');
                json::write_string(path, key);
                path.push(']');
            }
        }
    }
}

fn is_name(key: &str) -> bool {
    !key.is_empty()
        && !key.starts_with(|first: char| first.is_ascii_digit())
        && key
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '$')
}

impl fmt::Display for SerdeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path())?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for SerdeError {}

impl serde::ser::Error for SerdeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message)
    }
}

impl serde::de::Error for SerdeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message)
    }
}
