//! How full a file system is, and what logs take.

use std::{io, path::Path};

use super::document::Filesystem;

/// Containers whose logs are counted.
const MOST_CONTAINERS: usize = 10_000;

/// The file system that a directory is on. Blocks.
///
/// # Errors
/// When there is no such directory here, or it cannot be looked at.
pub(crate) fn of(directory: &Path) -> io::Result<Filesystem> {
    let found = rustix::fs::statvfs(directory)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(Filesystem {
        total_bytes: bytes(found.f_blocks),
        used_bytes: bytes(found.f_blocks.saturating_sub(found.f_bfree)),
        free_bytes: bytes(found.f_bavail),
        inodes: found.f_files,
        inodes_free: found.f_favail,
    })
}

impl Filesystem {
    /// How full it is in percent, as `df` has it: what only root may use does not count.
    pub(super) fn percent(&self) -> f64 {
        percent(
            self.used_bytes,
            self.used_bytes.saturating_add(self.free_bytes),
        )
    }

    /// How many percent of the files that it can have it has.
    pub(super) fn inodes_percent(&self) -> f64 {
        percent(self.inodes.saturating_sub(self.inodes_free), self.inodes)
    }

    /// How many bytes must go until it is so many percent full.
    pub(super) fn bytes_above(&self, percent: f64) -> u64 {
        let usable = self.used_bytes.saturating_add(self.free_bytes) as f64;
        (self.used_bytes as f64 - usable * percent / 100.0).max(0.0) as u64
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 * 100.0 / whole as f64,
    }
}

/// What the logs of containers take under the engine's directory, as far as they can be seen. Blocks.
pub(super) fn logs_bytes(root: &Path) -> Option<u64> {
    let containers = std::fs::read_dir(root.join("containers")).ok()?;
    let files = containers
        .flatten()
        .take(MOST_CONTAINERS)
        .filter_map(|container| std::fs::read_dir(container.path()).ok())
        .flat_map(Iterator::flatten);
    let is_log = |name: &str| name.contains("-json.log");
    let logs = files.filter(|file| file.file_name().to_str().is_some_and(is_log));
    Some(
        logs.filter_map(|log| log.metadata().ok())
            .map(|found| found.len())
            .sum(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_root_may_use_does_not_count() {
        let filesystem = Filesystem {
            total_bytes: 110,
            used_bytes: 80,
            free_bytes: 20,
            inodes: 200,
            inodes_free: 50,
        };
        assert_eq!(filesystem.percent(), 80.0);
        assert_eq!(filesystem.inodes_percent(), 75.0);
        assert_eq!(filesystem.bytes_above(70.0), 10);
        assert_eq!(filesystem.bytes_above(90.0), 0);
        assert_eq!(Filesystem::default().inodes_percent(), 0.0);
    }

    #[test]
    fn logs_are_counted_with_the_older_files_of_each() {
        let root = tempfile::tempdir().unwrap();
        let container = root.path().join("containers/c");
        std::fs::create_dir_all(&container).unwrap();
        for (name, content) in [
            ("c-json.log", "12"),
            ("c-json.log.1", "345"),
            ("config.json", "x"),
        ] {
            std::fs::write(container.join(name), content).unwrap();
        }
        assert_eq!(logs_bytes(root.path()), Some(5));
        assert_eq!(logs_bytes(&root.path().join("nowhere")), None);
        assert!(of(root.path()).unwrap().total_bytes > 0);
        let nowhere = of(&root.path().join("nowhere")).unwrap_err();
        assert_eq!(nowhere.kind(), io::ErrorKind::NotFound);
    }
}
