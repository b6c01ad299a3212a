//! The paths of an archive, and that none of them leads out of it.
//!
//! Rules, deliberately stricter than tar's own: names are UTF-8 (as Meteor's and Docker's own tools
//! write them), relative and without `..`; no entry lies behind a symbolic link; a link's path
//! appears once; links, followed as a kernel would follow them, never leave the tree; hard links
//! name a file that came before them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use super::error::SourceError;
use super::tar_reader::EntryKind;

/// Longest path of an entry or target of a link, in bytes.
const MAX_PATH: usize = 1024;
/// Most symbolic links in an archive; their texts are kept in memory.
const MAX_LINKS: usize = 50_000;
/// Links that are followed one after the other before it counts as a loop (Linux: 40).
const MAX_HOPS: usize = 40;
/// Path components that are looked up while all links are followed, against quadratic archives.
const MAX_STEPS: usize = 2_000_000;
const FILE_AND_FOLDER: &str = "appears twice, as a file and as a folder";
const LINK_OUT: &str = "is a link that leads out of the archive; remove it from the archive, or make it \
                        a relative link to something inside";

/// What is known of an archive's paths after one pass, in about 10 bytes per entry.
pub(super) struct Tree {
    max_entries: u64,
    entries: u64,
    /// Fingerprints with a key of this process; a collision (one in 10⁸ archives of the largest
    /// size) can only refuse an archive or misjudge whether it carries its modules.
    hasher: RandomState,
    files: HashSet<u64>,
    directories: HashSet<u64>,
    /// Files that are files of their own, not second names.
    own_files: HashSet<u64>,
    /// How often those appear again, by path.
    repeats: HashMap<String, u64>,
    /// Files that hard links name.
    named_files: HashSet<String>,
    links: HashMap<String, String>,
    /// Those of the links that hard links name, and which must be there for them.
    named_links: HashSet<String>,
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
enum Followed {
    Inside(String),
    Outside,
    /// Cannot be followed by a kernel either.
    Loop,
}

/// The canonical form of an entry's path: components joined by single slashes, "" for the root.
///
/// # Errors
///
/// [`SourceError::UnsafeEntry`] for paths that are absolute, too long, not UTF-8, hold a NUL or a
/// `..` component.
pub(super) fn clean(raw: &[u8]) -> Result<String, SourceError> {
    let lossy = || String::from_utf8_lossy(&raw[..raw.len().min(MAX_PATH)]).into_owned();
    let refuse = |problem| Err(SourceError::entry(&lossy(), problem));
    let Ok(text) = std::str::from_utf8(raw) else {
        return refuse("has a name that is not UTF-8");
    };
    if raw.len() > MAX_PATH {
        return refuse("has too long a path");
    }
    if text.starts_with('/') {
        return refuse("has an absolute path");
    }
    if text.contains('\0') {
        return refuse("has a NUL in its path");
    }
    let parts: Vec<_> = text
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if parts.contains(&"..") {
        refuse("has \"..\" in its path")
    } else {
        Ok(parts.join("/"))
    }
}

impl Tree {
    pub(super) fn new(max_entries: u64) -> Self {
        Self {
            max_entries,
            entries: 0,
            hasher: RandomState::new(),
            files: HashSet::new(),
            directories: HashSet::new(),
            own_files: HashSet::new(),
            repeats: HashMap::new(),
            named_files: HashSet::new(),
            links: HashMap::new(),
            named_links: HashSet::new(),
        }
    }

    /// Notes an entry of a [`clean`] path, unless it breaks a rule.
    pub(super) fn add(&mut self, path: &str, kind: &EntryKind) -> Result<(), SourceError> {
        self.count(1)?;
        self.add_parents(path)?;
        match kind {
            EntryKind::Forbidden(problem) => Err(SourceError::entry(path, problem)),
            _ if path.is_empty() && *kind != EntryKind::Directory => {
                Err(SourceError::entry(path, "has no name"))
            }
            EntryKind::Symlink(target) => self.add_link(path, target),
            EntryKind::Hardlink(target) => self.add_hardlink(path, target),
            EntryKind::File | EntryKind::Directory if self.links.contains_key(path) => {
                Err(SourceError::entry(path, "appears twice, once as a link"))
            }
            EntryKind::File => {
                let fingerprint = self.fingerprint(path);
                if self.directories.contains(&fingerprint) {
                    return Err(SourceError::entry(path, FILE_AND_FOLDER));
                }
                self.files.insert(fingerprint);
                if !self.own_files.insert(fingerprint) {
                    *self.repeats.entry(path.to_owned()).or_default() += 1;
                }
                Ok(())
            }
            EntryKind::Directory => {
                let fingerprint = self.fingerprint(path);
                if self.files.contains(&fingerprint) {
                    return Err(SourceError::entry(path, FILE_AND_FOLDER));
                }
                self.directories.insert(fingerprint);
                Ok(())
            }
        }
    }

    /// How often files appear again, by path: the last of them counts. Those that hard links name are
    /// left as they are, since a link may be to an earlier one.
    pub(super) fn take_repeats(&mut self) -> HashMap<String, u64> {
        let mut repeats = std::mem::take(&mut self.repeats);
        repeats.retain(|path, _| !self.named_files.contains(path));
        repeats
    }

    /// The links that lead out of the tree, if all of them can be spared. To be asked when all
    /// entries are added.
    ///
    /// The others were followed with these in place, so none of them needs what is spared.
    ///
    /// # Errors
    ///
    /// [`SourceError::UnsafeEntry`] for a link out that cannot be spared, be it because a hard link
    /// names it.
    pub(super) fn check_links(
        &self,
        can_be_spared: impl Fn(&str) -> bool,
    ) -> Result<BTreeSet<String>, SourceError> {
        let out = self.links_out()?;
        let needed = |path: &&str| self.named_links.contains(*path) || !can_be_spared(path);
        match out.iter().copied().find(needed) {
            Some(path) => Err(SourceError::entry(path, LINK_OUT)),
            None => Ok(out.into_iter().map(str::to_owned).collect()),
        }
    }

    /// Whether a file is there, be it through links.
    pub(super) fn has_file(&self, path: &str) -> bool {
        self.leads_to(path, &self.files)
    }

    /// Whether a folder is there, be it through links.
    pub(super) fn has_directory(&self, path: &str) -> bool {
        self.leads_to(path, &self.directories)
    }

    /// Whether there is any entry at all besides the root.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.links.is_empty()
    }

    fn links_out(&self) -> Result<BTreeSet<&str>, SourceError> {
        let mut steps = MAX_STEPS;
        let mut out = BTreeSet::new();
        for (path, target) in &self.links {
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            if self.follow(parent, target, &mut steps)? == Followed::Outside {
                out.insert(path.as_str());
            }
        }
        Ok(out)
    }

    fn leads_to(&self, path: &str, set: &HashSet<u64>) -> bool {
        let mut steps = MAX_STEPS;
        match self.follow("", path, &mut steps) {
            Ok(Followed::Inside(found)) => set.contains(&self.fingerprint(&found)),
            _ => false,
        }
    }

    fn add_parents(&mut self, path: &str) -> Result<(), SourceError> {
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            if self.links.contains_key(parent) {
                return Err(SourceError::entry(path, "lies behind a symbolic link"));
            }
            let fingerprint = self.fingerprint(parent);
            if self.files.contains(&fingerprint) {
                return Err(SourceError::entry(path, "lies below a file"));
            }
            if self.directories.insert(fingerprint) {
                self.count(1)?;
            }
        }
        Ok(())
    }

    fn add_link(&mut self, path: &str, target: &[u8]) -> Result<(), SourceError> {
        let Ok(target) = std::str::from_utf8(target) else {
            return Err(SourceError::entry(
                path,
                "is a link whose target is not UTF-8",
            ));
        };
        if target.is_empty() || target.len() > MAX_PATH || target.contains('\0') {
            return Err(SourceError::entry(
                path,
                "is a link whose target is no usable path",
            ));
        }
        let fingerprint = self.fingerprint(path);
        if self.files.contains(&fingerprint) || self.directories.contains(&fingerprint) {
            return Err(SourceError::entry(path, "appears twice, once as a link"));
        }
        if self
            .links
            .get(path)
            .is_some_and(|earlier| earlier != target)
        {
            return Err(SourceError::entry(
                path,
                "appears twice, as different links",
            ));
        }
        if self.links.len() >= MAX_LINKS {
            return Err(SourceError::Limit {
                what: "symbolic links",
                limit: MAX_LINKS as u64,
            });
        }
        self.links.insert(path.to_owned(), target.to_owned());
        Ok(())
    }

    fn add_hardlink(&mut self, path: &str, target: &[u8]) -> Result<(), SourceError> {
        if self.links.contains_key(path) {
            return Err(SourceError::entry(path, "appears twice, once as a link"));
        }
        let Ok(target) = clean(target) else {
            return Err(SourceError::entry(
                path,
                "is a hard link that leads out of the archive; pack the file itself",
            ));
        };
        // A second name of a symbolic link: the same text, but read from another folder.
        if let Some(text) = self.links.get(&target).cloned() {
            self.add_link(path, text.as_bytes())?;
            self.named_links.insert(target);
            return Ok(());
        }
        if !self.files.contains(&self.fingerprint(&target)) {
            return Err(SourceError::entry(
                path,
                "is a hard link to no earlier file",
            ));
        }
        let fingerprint = self.fingerprint(path);
        if self.directories.contains(&fingerprint) {
            return Err(SourceError::entry(path, FILE_AND_FOLDER));
        }
        self.named_files.insert(target);
        self.files.insert(fingerprint);
        Ok(())
    }

    fn follow(&self, base: &str, path: &str, steps: &mut usize) -> Result<Followed, SourceError> {
        let mut here = base.to_owned();
        let mut pending: Vec<&str> = path.split('/').rev().collect();
        if path.starts_with('/') {
            return Ok(Followed::Outside);
        }
        let mut hops = 0;
        while let Some(part) = pending.pop() {
            *steps = steps.checked_sub(1).ok_or(TOO_TANGLED)?;
            match part {
                "" | "." => continue,
                ".." if here.is_empty() => return Ok(Followed::Outside),
                ".." => here.truncate(here.rfind('/').unwrap_or(0)),
                name => push(&mut here, name)?,
            }
            let Some(target) = self.links.get(&here) else {
                continue;
            };
            hops += 1;
            if hops > MAX_HOPS {
                return Ok(Followed::Loop);
            }
            if target.starts_with('/') {
                return Ok(Followed::Outside);
            }
            here.truncate(here.rfind('/').unwrap_or(0));
            pending.extend(target.split('/').rev());
        }
        Ok(Followed::Inside(here))
    }

    fn count(&mut self, more: u64) -> Result<(), SourceError> {
        self.entries += more;
        if self.entries > self.max_entries {
            return Err(SourceError::Limit {
                what: "entries",
                limit: self.max_entries,
            });
        }
        Ok(())
    }

    fn fingerprint(&self, path: &str) -> u64 {
        self.hasher.hash_one(path)
    }
}

const TOO_TANGLED: SourceError =
    SourceError::Damaged("its symbolic links are too tangled to be followed");

fn push(here: &mut String, name: &str) -> Result<(), SourceError> {
    if here.len() + name.len() > 4 * MAX_PATH {
        return Err(TOO_TANGLED);
    }
    if !here.is_empty() {
        here.push('/');
    }
    here.push_str(name);
    Ok(())
}

#[cfg(test)]
mod tests;
