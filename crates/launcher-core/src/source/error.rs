//! Why a source cannot be used, in words for the caller.

use std::io;
use std::time::Duration;

use thiserror::Error;

/// Longest piece of an archive's own text (a path, say) that is repeated in an error.
const SHOWN_CHARS: usize = 120;
/// Longest text of a library's error that is repeated.
const SHOWN_CAUSE: usize = 300;

/// Why an archive could not be fetched or is not one that an image can be built from.
///
/// The texts are shown to callers as they are: they hold no credentials and no path of this machine.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The URL is not one that is fetched at all.
    #[error("the archive's URL {0}")]
    BadUrl(&'static str),
    /// The host is, or resolves to, an address that callers may not reach through the launcher.
    #[error(
        "{host} is in a private or otherwise reserved address range, from which archives are not \
         fetched unless the launcher was started with --allow-private-sources"
    )]
    PrivateAddress {
        /// Host name or address, without credentials.
        host: String,
    },
    /// More redirects than are followed.
    #[error("{url} redirects more than {limit} times")]
    TooManyRedirects {
        /// Where it began, without credentials and query.
        url: String,
        /// How many are followed.
        limit: usize,
    },
    /// A redirect without a usable target.
    #[error("{url} redirects to something that is not a usable URL")]
    BadRedirect {
        /// Where it was found, without credentials and query.
        url: String,
    },
    /// The server answered with anything but 200.
    #[error("{url} answered {status}")]
    Status {
        /// What was asked for, without credentials and query.
        url: String,
        /// Status code and its name.
        status: String,
    },
    /// No connection, or it broke before the answer.
    #[error("{url} could not be fetched: {cause}")]
    Unreachable {
        /// What was asked for, without credentials and query.
        url: String,
        /// The innermost cause, which names no URL.
        cause: String,
    },
    /// The server sent nothing for too long.
    #[error("{url} sent nothing for {after:?}")]
    Stalled {
        /// What was asked for, without credentials and query.
        url: String,
        /// How long was waited.
        after: Duration,
    },
    /// The whole download took too long.
    #[error("the archive was not downloaded within {0:?} (see --download-timeout)")]
    Deadline(Duration),
    /// More bytes than are taken.
    #[error("the archive is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The download ended before its end.
    #[error("the download was cut off after {received} bytes{}", of_expected(*.expected))]
    DownloadCutOff {
        /// Bytes that came.
        received: u64,
        /// Bytes that were announced, if any were.
        expected: Option<u64>,
    },
    /// Nothing in it.
    #[error("the archive is empty")]
    Empty,
    /// Something else than a tar; the text says what.
    #[error("this is not a tar archive (plain or gzip) but {0}")]
    NotTar(&'static str),
    /// The archive ends too early.
    #[error("the archive is cut off: it ends in the middle")]
    CutOff,
    /// The archive contradicts itself.
    #[error("the archive is damaged: {0}")]
    Damaged(&'static str),
    /// An entry that could reach out of the tree, or that no image needs.
    #[error("the archive is refused: its entry {path} {problem}")]
    UnsafeEntry {
        /// The entry's path, shortened and quoted.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// More than is unpacked.
    #[error("the archive is refused: it has more than {limit} {what}")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// Meteor's source tree, not the bundle made from it.
    #[error(
        "this is the source tree of a Meteor app (it has .meteor/), not a bundle made from it; make \
         one with \"meteor build <directory> --architecture {architecture}\" and give that"
    )]
    MeteorSource {
        /// The engine's architecture, as Meteor names it.
        architecture: String,
    },
    /// An app of npm's, without a word about how it becomes an image.
    #[error(
        "this is an npm project (it has package.json) and not a Meteor bundle; to build an image of \
         it, put a Dockerfile at the archive's root"
    )]
    NpmProject,
    /// A bundle in a folder of another name.
    #[error(
        "a Meteor bundle lies in {folder}, but it must lie in \"bundle\" or at the archive's root; \
         pack it as \"meteor build\" does"
    )]
    BundleElsewhere {
        /// The folder, shortened and quoted.
        folder: String,
    },
    /// Neither form of archive.
    #[error("the archive has no Dockerfile at its root and is not a Meteor bundle{}", found_at(.found))]
    NoDockerfile {
        /// A Dockerfile that lies deeper, shortened and quoted.
        found: Option<String>,
    },
    /// A Meteor bundle that lacks files.
    #[error("this looks like a Meteor bundle, but {} {} missing", .missing.join(", "), is_are(.missing))]
    BundleIncomplete {
        /// Paths of the missing files.
        missing: Vec<String>,
    },
    /// A file of a Meteor bundle that cannot be read.
    #[error("the Meteor bundle's {file} {problem}")]
    BundleFile {
        /// Path inside the bundle.
        file: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A bundle that was made for other machines.
    #[error(
        "the Meteor bundle was made for {found}, but images are built for {wanted} here; make it \
         with \"meteor build <directory> --architecture {wanted}\""
    )]
    Architecture {
        /// The bundle's architecture, as Meteor names it.
        found: String,
        /// The engine's.
        wanted: String,
    },
    /// A bundle that needs a Node version which has no usable image.
    #[error(
        "the Meteor bundle needs Node {0}; bundles for Node 4 (Meteor 1.4) and newer can be built"
    )]
    NodeTooOld(String),
    /// A bundle that does not tell which Node it needs.
    #[error(
        "the Meteor bundle does not say which Node it needs: bundle/star.json has neither \
         nodeVersion nor a known meteorRelease, and there is no .node_version.txt"
    )]
    NodeUnknown,
    /// The configured name of the base image.
    #[error("the name of the Node base image is not usable: {0}")]
    BadNodeImage(&'static str),
    /// An option that is none of its words.
    #[error("the option sourceMapSupport is not one of \"auto\", \"registry\" and \"bundle\"")]
    BadSourceMapSupport,
    /// This machine failed, not the source.
    #[error("the launcher could not {action}: {}", .cause.kind())]
    Local {
        /// What it tried.
        action: &'static str,
        /// Why it failed; its text may name local paths and is not shown.
        #[source]
        cause: io::Error,
    },
    /// Nobody waits for the answer any more, or the launcher is going down.
    #[error("the work was given up")]
    Cancelled,
}

impl SourceError {
    /// An entry is refused.
    pub(super) fn entry(path: &str, problem: &'static str) -> Self {
        Self::UnsafeEntry {
            path: shown(path),
            problem,
        }
    }

    /// Maps a failure to read an archive: our own errors travel inside `io::Error` through decoders.
    pub(super) fn from_read(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof => Self::CutOff,
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                    Self::Damaged("its gzip data is corrupt")
                }
                _ => Self::Local {
                    action: "read the archive",
                    cause: error,
                },
            },
        }
    }
}

impl From<SourceError> for io::Error {
    fn from(error: SourceError) -> Self {
        Self::other(error)
    }
}

/// An archive's own text in a form that is safe in errors and logs: short, quoted, escaped.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// A library's error in a form that is safe in errors and logs: on one line, not too long.
pub(super) fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().take(SHOWN_CAUSE).map(plain).collect()
}

fn of_expected(expected: Option<u64>) -> String {
    expected.map_or_else(String::new, |bytes| format!(" of {bytes}"))
}

fn found_at(found: &Option<String>) -> String {
    match found {
        Some(path) => format!("; {path} is not at the root"),
        None => String::new(),
    }
}

fn is_are(items: &[String]) -> &'static str {
    if items.len() == 1 { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_texts_cannot_steer_a_terminal() {
        let hostile = "a\x1b[31m\r\n\t\x07\x7f\u{9b}2J\u{202e}\u{2028}\"é";
        let text = shown(hostile);
        assert_eq!(
            text,
            r#""a\u{1b}[31m\r\n\t\u{7}\u{7f}\u{9b}2J\u{202e}\u{2028}\"é""#
        );
        let long = shown(&"\x1b".repeat(2 * SHOWN_CHARS));
        assert!(long.ends_with("…\"") && !long.contains('\x1b'), "{long}");
        assert!(!printable(hostile).contains(char::is_control));
    }
}
