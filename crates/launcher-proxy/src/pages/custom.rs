//! An operator's own pages.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Said, html::escaped};

/// Pages in the place of the proxy's own, for people: `starting.html`, `stopped.html`, `crashed.html` and
/// `maintenance.html`, and one for each code that the JSON pages have, such as `unknown-hostname.html` or
/// `bad-gateway.html`; `error.html` is for all that have none.
///
/// `{{title}}`, `{{reason}}`, `{{progress}}`, `{{host}}` and `{{status}}` in them are replaced by what the page is
/// about, escaped for HTML.
#[derive(Debug, Clone, Default)]
pub struct CustomPages(HashMap<String, String>);

/// A page that cannot be used.
#[derive(Debug, Error)]
pub enum InvalidPage {
    /// It cannot be read, or is not UTF-8.
    #[error("{0}: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// It has more than 256 KiB.
    #[error("{0}: a page has at most {MAX_BYTES} bytes")]
    TooLarge(PathBuf),
    /// It would never be shown.
    #[error("{0}: there is no such page; there are {all}", all = NAMES.join(".html, ") + ".html")]
    Unknown(PathBuf),
}

const MAX_BYTES: u64 = 256 * 1024;

/// For what has no page of its own.
const FALLBACK: &str = "error";

const NAMES: [&str; 19] = [
    "starting",
    "stopped",
    "crashed",
    "maintenance",
    "not-running",
    "unknown-hostname",
    "bad-gateway",
    "gateway-timeout",
    "bad-request",
    "not-implemented",
    "headers-too-large",
    "body-too-large",
    "head-too-slow",
    "body-too-slow",
    "too-many-requests",
    "too-many-connections",
    "not-admitted",
    "moved",
    FALLBACK,
];

impl CustomPages {
    /// Reads the files of a directory that end in `.html`; others are left alone.
    ///
    /// # Errors
    /// [`InvalidPage`]: the first that cannot be used.
    pub fn read(directory: &Path) -> Result<Self, InvalidPage> {
        let unreadable = |error| InvalidPage::Unreadable(directory.to_owned(), error);
        let mut pages = HashMap::new();
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_none_or(|extension| extension != "html") {
                continue;
            }
            let name = path.file_stem().and_then(|name| name.to_str());
            let Some(name) = name.filter(|name| NAMES.contains(name)) else {
                return Err(InvalidPage::Unknown(path));
            };
            pages.insert(name.to_owned(), text(&path)?);
        }
        Ok(Self(pages))
    }

    /// The page with the first of these names that there is.
    pub(super) fn page<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
        said: &Said<'_>,
    ) -> Option<String> {
        let mut names = names.chain([FALLBACK]);
        let page = names.find_map(|name| self.0.get(name))?;
        Some(filled(page, said))
    }
}

fn text(path: &Path) -> Result<String, InvalidPage> {
    let unreadable = |error| InvalidPage::Unreadable(path.to_owned(), error);
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_BYTES {
        return Err(InvalidPage::TooLarge(path.to_owned()));
    }
    fs::read_to_string(path).map_err(unreadable)
}

/// In one pass: what is put in is not looked at again.
fn filled(page: &str, said: &Said<'_>) -> String {
    let mut parts = page.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let value = part.split_once("}}").and_then(|(name, rest)| {
            let value = match name.trim() {
                "title" => said.title.to_owned(),
                "reason" => escaped(&said.reason),
                "progress" => escaped(said.progress.unwrap_or_default()),
                "host" => escaped(said.host),
                "status" => said.status.as_u16().to_string(),
                _ => return None,
            };
            Some((value, rest))
        });
        match value {
            Some((value, rest)) => {
                filled.push_str(&value);
                filled.push_str(rest);
            }
            None => {
                filled.push_str("{{");
                filled.push_str(part);
            }
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn said(host: &str) -> Said<'_> {
        Said {
            status: StatusCode::NOT_FOUND,
            title: "Nothing here",
            reason: "<{{host}}>".to_owned(),
            progress: None,
            host,
            refresh: None,
        }
    }

    #[test]
    fn the_nearest_page_is_filled() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("style.css", "not a page");
        write(
            "stopped.html",
            "{{ host }} sleeps {{unknown}} {{progress}}{{",
        );
        write("error.html", "{{status}} {{title}}: {{reason}}");
        let pages = CustomPages::read(folder.path()).unwrap();
        let page = |name: &str, host: &str| {
            let names = [name, "not-running"].into_iter();
            pages.page(names, &said(host)).unwrap()
        };
        assert_eq!(page("stopped", "<a>"), "&lt;a&gt; sleeps {{unknown}} {{");
        assert_eq!(
            page("crashed", "a.test"),
            "404 Nothing here: &lt;{{host}}&gt;"
        );
        assert!(
            CustomPages::default()
                .page(["stopped"].into_iter(), &said(""))
                .is_none()
        );
    }

    #[test]
    fn what_would_never_be_shown_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("stoped.html"), "").unwrap();
        let error = CustomPages::read(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains(
                "stoped.html: there is no such page; there are starting.html, stopped.html"
            ),
            "{error}"
        );
        assert!(CustomPages::read(&folder.path().join("nowhere")).is_err());
    }
}
