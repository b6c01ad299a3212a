use super::utf16;

/// A JavaScript regular expression, as text: it is carried, never run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regexp {
    source: String,
    flags: String,
}

impl Regexp {
    /// As `new RegExp(pattern, flags)` in Meteor's EJSON: of the flags `gimuy` are kept, each once
    /// and in JavaScript's order; a bare `/` in the pattern is escaped. `None` when the pattern is
    /// not well-formed (unbalanced brackets, nothing to repeat, a trailing backslash).
    pub fn new(pattern: &str, flags: &str) -> Option<Self> {
        let mut given = utf16(flags);
        given.truncate(50);
        let flags = "gimuy"
            .chars()
            .filter(|flag| given.contains(&(*flag as u16)))
            .collect();
        Some(Self {
            source: source(pattern)?,
            flags,
        })
    }

    /// The pattern between the slashes.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The flags, sorted.
    pub fn flags(&self) -> &str {
        &self.flags
    }
}

/// Checks the pattern and escapes it as the `source` property of a JavaScript regular expression.
fn source(pattern: &str) -> Option<String> {
    if pattern.is_empty() {
        return Some("(?:)".to_owned());
    }
    let mut out = String::with_capacity(pattern.len());
    let (mut groups, mut in_class, mut before) = (0usize, false, Before::Nothing);
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let last = std::mem::replace(&mut before, Before::Atom);
        match character {
            '\\' => {
                out.push('\\');
                push_source(&mut out, characters.next()?);
                continue;
            }
            ']' => in_class = false,
            _ if in_class => {}
            '[' => in_class = true,
            '(' => {
                groups += 1;
                before = Before::Group;
            }
            ')' => groups = groups.checked_sub(1)?,
            '|' | '^' | '$' => before = Before::Nothing,
            '*' | '+' | '?' => before = last.repeated(character)?,
            '/' => out.push('\\'),
            _ => {}
        }
        push_source(&mut out, character);
    }
    (groups == 0 && !in_class).then_some(out)
}

/// What stands before a quantifier.
enum Before {
    Nothing,
    Group,
    Atom,
    Quantifier,
}

impl Before {
    fn repeated(self, quantifier: char) -> Option<Self> {
        match (self, quantifier) {
            (Self::Atom, _) => Some(Self::Quantifier),
            // `(?:`, `(?=` and their kin, and the lazy `*?`
            (Self::Group | Self::Quantifier, '?') => Some(Self::Nothing),
            _ => None,
        }
    }
}

fn push_source(out: &mut String, character: char) {
    match character {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\u{2028}' => out.push_str("\\u2028"),
        '\u{2029}' => out.push_str("\\u2029"),
        other => out.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source_of(pattern: &str) -> Option<String> {
        Regexp::new(pattern, "").map(|regexp| regexp.source().to_owned())
    }

    #[test]
    fn the_source_is_escaped_as_in_javascript() {
        assert_eq!(source_of("a/b").as_deref(), Some("a\\/b"));
        assert_eq!(source_of("a\\/[/]\n").as_deref(), Some("a\\/[/]\\n"));
        assert_eq!(source_of("").as_deref(), Some("(?:)"));
    }

    #[test]
    fn flags_are_kept_once_and_sorted() {
        let flags = |flags| Regexp::new("a", flags).map(|regexp| regexp.flags().to_owned());
        assert_eq!(flags("gig").as_deref(), Some("gi"));
        assert_eq!(flags("yzumsig").as_deref(), Some("gimuy"));
    }

    #[test]
    fn broken_patterns_are_refused() {
        for pattern in ["(", ")", "[", "\\", "*", "a**", "(*)", "a|+", "^*"] {
            assert_eq!(source_of(pattern), None, "{pattern}");
        }
        for pattern in [
            "(?:a)", "(?=a)+", "a*?", "a+?b", "[(]", "\\(", "(a|b)*", "]", "^a$",
        ] {
            assert!(source_of(pattern).is_some(), "{pattern}");
        }
    }
}
