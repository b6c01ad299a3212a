//! Which images go and which stay, and why: a pure function of what is on the engine.
//!
//! An image goes only if the launcher made it, nothing uses it, no instance wants it, nothing that stays
//! is built on it, and it is not one of the newest of its repository or of those that an instance ran
//! last. With it go the layers of its build that nothing else is built on. Only when the disk is above
//! its watermark, what builds could go on from goes as well, oldest first, until there is room.

use std::collections::{BTreeMap, HashMap};

use super::{
    forest::Forest,
    kept::{Kept, Why},
    record::{Made, MadeImage},
    stock::{Stock, StockImage, canonical, repository},
};

/// How much is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rules {
    /// Images of each repository, and of each instance, that are kept though nothing uses them.
    pub keep: usize,
    /// What is to be freed, when the disk is above its watermark.
    pub pressure: Option<Pressure>,
}

/// How much is to be freed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pressure {
    /// So many bytes, if that can be.
    Bytes(u64),
    /// As much as can be: files are what is short, and nobody knows how many an image has.
    Everything,
}

impl Pressure {
    fn bytes(self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Everything => u64::MAX,
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// What goes, in this order.
    pub removals: Vec<Removal>,
    /// Why each of the others stays.
    pub kept: BTreeMap<String, Kept>,
}

/// One image that goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Removal {
    /// Its id.
    pub image: String,
    /// Its names.
    pub names: Vec<String>,
    /// Nameless layers that go after it, each built on the next.
    pub layers: Vec<String>,
    /// What that frees, in bytes.
    pub freed_bytes: u64,
    /// Why.
    pub why: Why,
}

impl Plan {
    /// What all removals free together, in bytes.
    #[must_use]
    pub fn freed_bytes(&self) -> u64 {
        self.removals
            .iter()
            .map(|removal| removal.freed_bytes)
            .sum()
    }
}

/// Decides what goes.
#[must_use]
pub fn plan(stock: &Stock, rules: &Rules) -> Plan {
    let newest = newest(stock, rules.keep);
    let mut plan = Plan::default();
    let mut superseded = Vec::new();
    let mut cache = Vec::new();
    for image in stock.images.values() {
        let made = stock.made.get(&image.id);
        if let Some(kept) = kept(stock, image, made, rules.keep, &newest) {
            plan.kept.insert(image.id.clone(), kept);
        } else if let Some(made) = made {
            match made.how {
                Made::Built | Made::Pulled => superseded.push(made),
                Made::Base | Made::Layer => cache.push(made),
            }
        }
    }
    let mut forest = Forest::new(stock, &plan.kept);
    let limit = rules.pressure.map(Pressure::bytes);
    // What goes of one kind may be the last that was built on something of the other.
    let mut before = usize::MAX;
    while before != plan.removals.len() {
        before = plan.removals.len();
        remove_all(&mut forest, &mut plan, &superseded, u64::MAX, |made| {
            Why::Superseded(rules.keep, repository_of(made))
        });
        if let Some(limit) = limit {
            remove_all(&mut forest, &mut plan, &cache, limit, spared_no_longer);
        }
    }
    for made in superseded
        .into_iter()
        .chain(cache)
        .filter(|made| forest.has(&made.id))
    {
        let kept = match forest.children(&made.id) {
            0 if made.how == Made::Base => Kept::Base,
            0 => Kept::Cache,
            children => Kept::BaseOf(children),
        };
        plan.kept.insert(made.id.clone(), kept);
    }
    plan
}

/// Removes images that nothing is built on, the oldest first, until so much is free in all.
fn remove_all(
    forest: &mut Forest<'_>,
    plan: &mut Plan,
    images: &[&MadeImage],
    limit: u64,
    why: impl Fn(&MadeImage) -> Why,
) {
    let mut images = images.to_vec();
    images.sort_by_key(|made| (made.made_at, &made.id));
    while plan.freed_bytes() < limit {
        let may_go = |made: &&MadeImage| forest.has(&made.id) && forest.children(&made.id) == 0;
        let Some(made) = images.iter().copied().find(may_go) else {
            return;
        };
        let removal = forest.remove(&made.id, why(made));
        plan.removals.extend(removal);
    }
}

fn spared_no_longer(made: &MadeImage) -> Why {
    match made.how {
        Made::Base => Why::Base,
        _ => Why::Cache,
    }
}

/// Why an image stays whatever happens, if it does.
fn kept(
    stock: &Stock,
    image: &StockImage,
    made: Option<&MadeImage>,
    keep: usize,
    newest: &HashMap<&str, String>,
) -> Option<Kept> {
    let Some(made) = made else {
        return Some(Kept::NotMadeHere);
    };
    let foreign = image
        .names
        .iter()
        .find(|name| !made.names.contains(&canonical(name)));
    if let Some(name) = foreign {
        return Some(Kept::NamedByOthers(name.clone()));
    }
    let (instances, others) = (image.used_by_instances, image.used_by_others);
    if instances + others > 0 {
        return Some(Kept::InUse { instances, others });
    }
    let wanted = stock
        .wanted
        .iter()
        .filter(|name| image.is_meant_by(name))
        .count();
    if wanted > 0 {
        return Some(Kept::Wanted(wanted));
    }
    if stock.under_way.iter().any(|name| image.has_name(name)) {
        return Some(Kept::UnderWay);
    }
    let mut lasts = stock
        .ran
        .iter()
        .map(|ran| (ran, ran.images.iter().take(keep)));
    if let Some((ran, _)) = lasts.find(|(_, ids)| ids.clone().any(|id| *id == image.id)) {
        return Some(Kept::Ran(keep, ran.instance.clone()));
    }
    let repository = newest.get(image.id.as_str())?;
    Some(Kept::Newest(keep, repository.clone()))
}

/// The newest images of each repository: the repository by the image's id.
fn newest(stock: &Stock, keep: usize) -> HashMap<&str, String> {
    let mut repositories: BTreeMap<String, Vec<&MadeImage>> = BTreeMap::new();
    let is_there = |made: &&MadeImage| stock.images.contains_key(&made.id);
    let releases = stock
        .made
        .values()
        .filter(|made| matches!(made.how, Made::Built | Made::Pulled));
    for made in releases.filter(is_there) {
        repositories
            .entry(repository_of(made))
            .or_default()
            .push(made);
    }
    let mut newest = HashMap::new();
    for (repository, mut images) in repositories {
        images.sort_by(|a, b| (b.made_at, &b.id).cmp(&(a.made_at, &a.id)));
        let first = images.into_iter().take(keep);
        newest.extend(first.map(|made| (made.id.as_str(), repository.clone())));
    }
    newest
}

/// The repository of the name that an image was first given.
fn repository_of(made: &MadeImage) -> String {
    repository(made.names.first().map_or("", String::as_str))
}
