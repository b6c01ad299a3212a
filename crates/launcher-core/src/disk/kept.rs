//! Why an image stays, and why one goes.

use std::fmt;

/// Why an image is kept, in the order in which it is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kept {
    /// The launcher did not make it.
    NotMadeHere,
    /// Somebody else has given it this name.
    NamedByOthers(String),
    /// Containers were made from it, whether they run or not.
    InUse {
        /// Those of this launcher's instances.
        instances: usize,
        /// All others.
        others: usize,
    },
    /// So many instances run it, or would when they are started.
    Wanted(usize),
    /// It is being built, pulled or pushed.
    UnderWay,
    /// It is one of the so many that this instance ran last.
    Ran(usize, String),
    /// It is one of the so many newest of this repository.
    Newest(usize, String),
    /// Builds of Meteor bundles begin with it, and there is room.
    Base,
    /// Builds go on from it, and there is room.
    Cache,
    /// So many images that stay were built on it.
    BaseOf(usize),
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMadeHere => f.write_str("not made by this launcher"),
            Self::NamedByOthers(name) => write!(f, "somebody else named it {name}"),
            Self::InUse {
                instances,
                others: 0,
            } => write!(f, "in use by {}", count(*instances, "app instance")),
            Self::InUse {
                instances: 0,
                others,
            } => write!(f, "in use by {}", count(*others, "other container")),
            Self::InUse { instances, others } => {
                let (instances, others) = (
                    count(*instances, "app instance"),
                    count(*others, "other container"),
                );
                write!(f, "in use by {instances} and {others}")
            }
            Self::Wanted(instances) => write!(f, "wanted by {}", count(*instances, "app instance")),
            Self::UnderWay => f.write_str("being built, pulled or pushed"),
            Self::Ran(1, instance) => write!(f, "the one that app instance {instance} ran last"),
            Self::Ran(keep, instance) => {
                write!(f, "one of the {keep} that app instance {instance} ran last")
            }
            Self::Newest(1, repository) => write!(f, "the newest of {repository}"),
            Self::Newest(keep, repository) => write!(f, "one of the {keep} newest of {repository}"),
            Self::Base => f.write_str("builds of Meteor bundles begin with it"),
            Self::Cache => f.write_str("build cache, for which there is room"),
            Self::BaseOf(images) => write!(f, "{} built on it", are(*images)),
        }
    }
}

/// Why an image is removed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Why {
    /// There are so many newer ones of this repository, and nothing uses it.
    Superseded(usize, String),
    /// It is build cache, and the disk is fuller than it should be.
    Cache,
    /// It is a base image that nothing is built on, and the disk is fuller than it should be.
    Base,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superseded(keep, repository) => {
                write!(
                    f,
                    "not used, and not one of the {keep} newest of {repository}"
                )
            }
            Self::Cache => f.write_str("build cache, and the disk is above its watermark"),
            Self::Base => f.write_str(
                "a base image that nothing is built on, and the disk is above its watermark",
            ),
        }
    }
}

fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

fn are(number: usize) -> String {
    match number {
        1 => "1 image is".to_owned(),
        number => format!("{number} images are"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_as_sentences_do() {
        let in_use = |instances, others| Kept::InUse { instances, others }.to_string();
        assert_eq!(in_use(2, 0), "in use by 2 app instances");
        assert_eq!(in_use(0, 1), "in use by 1 other container");
        assert_eq!(
            in_use(1, 2),
            "in use by 1 app instance and 2 other containers"
        );
        assert_eq!(Kept::BaseOf(1).to_string(), "1 image is built on it");
        let newest = Kept::Newest(5, "team/app".into());
        assert_eq!(newest.to_string(), "one of the 5 newest of team/app");
    }
}
