//! A copy of the routes on disk, from which a proxy starts while nobody can tell it the newest.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::RouteDocument;

/// The file, `routes.json` in a directory.
#[derive(Clone, Debug)]
pub struct RouteCopy {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Copied<'a> {
    routes: std::borrow::Cow<'a, [RouteDocument]>,
}

impl RouteCopy {
    /// In this directory.
    #[must_use]
    pub fn in_directory(directory: &Path) -> Self {
        let path = directory.join("routes.json");
        Self { path }
    }

    /// The last routes that were saved; `None`: none yet.
    ///
    /// # Errors
    /// What cannot be read, or is no copy.
    pub fn load(&self) -> io::Result<Option<Vec<RouteDocument>>> {
        let text = match fs::read(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let copied: Copied<'_> = serde_json::from_slice(&text)?;
        Ok(Some(copied.routes.into_owned()))
    }

    /// Replaces what was saved, all at once, also if the machine loses its power.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn save(&self, routes: &[RouteDocument]) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let routes = routes.into();
        let text = serde_json::to_vec(&Copied { routes })?;
        let mut file = NamedTempFile::new_in(directory)?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        fs::File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SiteOptions, routing::Page};

    #[test]
    fn the_last_routes_are_there_again_and_half_a_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let copy = RouteCopy::in_directory(directory.path());
        assert_eq!(copy.load().unwrap(), None);
        for page in [Page::Starting, Page::Stopped] {
            let routes = [RouteDocument {
                hostname: "a.test".to_owned(),
                instance_id: "todos".to_owned(),
                upstreams: Vec::new(),
                page: Some(page),
                progress: None,
                options: SiteOptions::default(),
                is_default: false,
            }];
            copy.save(&routes).unwrap();
            assert_eq!(copy.load().unwrap().unwrap(), routes);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        fs::write(directory.path().join("routes.json"), "{\"routes\":[{").unwrap();
        assert!(copy.load().is_err());
    }
}
