//! The parts of an image reference, by the grammar of the distribution project, which the OCI distribution specification
//! takes over: <https://github.com/distribution/reference/blob/main/reference.go>.

use std::sync::LazyLock;

use regex_lite::Regex;

/// The registry of names that say none.
const DOCKER_HUB: &str = "docker.io";
const OLD_DOCKER_HUB: &str = "index.docker.io";
/// Where images of one word are on Docker Hub.
const OFFICIAL: &str = "library";
/// Longest repository, in bytes.
const MAX_REPOSITORY: usize = 255;

/// A small engine for a small grammar: `oci-spec`, which knows it as well, keeps 15 MiB for it.
static GRAMMAR: LazyLock<Regex> = LazyLock::new(|| {
    let domain_part = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
    let domain = format!(r"{domain_part}(?:\.{domain_part})*(?::[0-9]+)?");
    let path_part = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
    let name = format!("(?:{domain}/)?{path_part}(?:/{path_part})*");
    let tag = "[A-Za-z0-9_][A-Za-z0-9_.-]*";
    let digest = "([a-z0-9]+):([0-9a-fA-F]+)";
    let whole = format!("^({name})(?::({tag}))?(?:@{digest})?$");
    Regex::new(&whole).expect("a constant that the tests read")
});

#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Reference {
    pub(crate) registry: String,
    pub(crate) repository: String,
    /// `latest` where neither tag nor digest is given.
    pub(crate) tag: Option<String>,
    pub(crate) digest: Option<String>,
}

impl Reference {
    /// # Errors
    /// The rule that the text breaks.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let parts = GRAMMAR.captures(text).ok_or("invalid reference format")?;
        let part = |number| parts.get(number).map(|m| m.as_str());
        let digest = match (part(3), part(4)) {
            (Some(algorithm), Some(hex)) => Some(checked_digest(algorithm, hex)?),
            _ => None,
        };
        let tag = match part(2) {
            Some(tag) if tag.len() > 128 => return Err("a tag has at most 128 characters"),
            None if digest.is_none() => Some("latest".to_owned()),
            tag => tag.map(str::to_owned),
        };
        let (registry, repository) = split(&parts[1]);
        if repository.len() > MAX_REPOSITORY {
            return Err("repository name must not be more than 255 characters");
        }
        Ok(Self {
            registry,
            repository,
            tag,
            digest,
        })
    }

    /// With all that the short form leaves out.
    pub(crate) fn whole(&self) -> String {
        let mut whole = format!("{}/{}", self.registry, self.repository);
        for (mark, part) in [(':', &self.tag), ('@', &self.digest)] {
            if let Some(part) = part {
                whole.push(mark);
                whole.push_str(part);
            }
        }
        whole
    }
}

fn checked_digest(algorithm: &str, hex: &str) -> Result<String, &'static str> {
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err("unsupported digest algorithm"),
    };
    if hex.len() == length {
        Ok(format!("{algorithm}:{hex}"))
    } else {
        Err("invalid checksum digest length")
    }
}

/// Registry and repository. What stands before the first slash is a registry only if it looks like one.
fn split(name: &str) -> (String, String) {
    let looks_like = |first: &str| first.contains(['.', ':']) || first == "localhost";
    let (registry, rest) = match name.split_once('/') {
        Some((first, rest)) if looks_like(first) => (first, rest),
        _ => (DOCKER_HUB, name),
    };
    if ![DOCKER_HUB, OLD_DOCKER_HUB].contains(&registry) {
        return (registry.to_owned(), rest.to_owned());
    }
    let rest = if rest.contains('/') {
        rest.to_owned()
    } else {
        format!("{OFFICIAL}/{rest}")
    };
    (DOCKER_HUB.to_owned(), rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `oci-spec` reads, as ours.
    fn theirs(text: &str) -> Option<Reference> {
        let theirs: oci_spec::distribution::Reference = text.parse().ok()?;
        Some(Reference {
            registry: theirs.registry().to_owned(),
            repository: theirs.repository().to_owned(),
            tag: theirs.tag().map(str::to_owned),
            digest: theirs.digest().map(str::to_owned),
        })
    }

    /// Texts that are names, or nearly.
    fn nearly_a_name() -> impl Strategy<Value = String> {
        let hex = "[0-9a-f]{64}";
        let word = prop_oneof![
            "[a-z0-9]{1,3}",
            "[A-Za-z0-9._:/@-]{1,4}",
            Just("localhost".to_owned()),
            Just("docker.io".to_owned()),
            Just("index.docker.io".to_owned()),
            Just("_".repeat(2)),
            Just("t".repeat(128)),
        ];
        let mark = prop_oneof![
            Just("/"),
            Just(":"),
            Just("."),
            Just("-"),
            Just("_"),
            Just("")
        ];
        let words = prop::collection::vec((word, mark), 1..6);
        let digest = prop_oneof![
            Just(String::new()),
            hex.prop_map(|hex| format!("@sha256:{hex}")),
            "[0-9a-f]{40,70}".prop_map(|hex| format!("@sha256:{hex}")),
        ];
        (words, digest).prop_map(|(words, digest)| {
            let words: String = words
                .iter()
                .flat_map(|(word, mark)| [word, *mark])
                .collect();
            words.trim_end_matches(['/', ':', '.', '-']).to_owned() + &digest
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn it_is_read_as_others_read_it(text in nearly_a_name()) {
            prop_assert_eq!(Reference::parse(&text).ok(), theirs(&text), "{}", text);
        }

        #[test]
        fn any_text_is_read_as_others_read_it(text in "[ -~]{0,40}") {
            prop_assert_eq!(Reference::parse(&text).ok(), theirs(&text), "{}", text);
        }

        #[test]
        fn the_whole_means_the_same(text in nearly_a_name()) {
            // An upper-case word is no registry, and no part of a repository.
            if crate::ImageName::parse(&text).is_ok() {
                let reference = Reference::parse(&text).unwrap();
                let whole = reference.whole();
                prop_assert_eq!(Reference::parse(&whole), Ok(reference), "{}", whole);
            }
        }
    }

    #[test]
    fn what_breaks_a_rule_is_told_which() {
        for (text, rule) in [
            ("a b", "invalid reference format"),
            ("a@sha256:0123", "invalid checksum digest length"),
            ("a@md5:0123", "unsupported digest algorithm"),
        ] {
            assert_eq!(Reference::parse(text), Err(rule), "{text}");
        }
        let long = format!("a:{}", "t".repeat(129));
        assert_eq!(
            Reference::parse(&long),
            Err("a tag has at most 128 characters")
        );
    }
}
