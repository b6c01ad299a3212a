use std::collections::HashSet;

use crate::error::Error;
use crate::live::Query;
use crate::subscription::Subscription;

/// What a publication returns: a [`Query`] or several, of different collections; or `()` if it
/// speaks through its [`Subscription`].
#[derive(Debug)]
pub struct Publication(Source);

#[derive(Debug)]
enum Source {
    Queries(Vec<Query>),
    Manual,
}

impl Publication {
    /// The handler speaks through its [`Subscription`], and says itself when it is ready.
    pub fn manual() -> Self {
        Self(Source::Manual)
    }

    /// Publishes the documents of the queries, and is ready when the present ones are sent.
    pub(crate) fn publish(self, sub: &Subscription) -> Result<(), Error> {
        let Source::Queries(queries) = self.0 else {
            return Ok(());
        };
        let collections: HashSet<&str> = queries.iter().map(Query::collection).collect();
        if collections.len() < queries.len() {
            tracing::error!("a publication returned two queries of the same collection");
            return Err(Error::internal());
        }
        for query in queries {
            query.publish(sub)?;
        }
        sub.ready();
        Ok(())
    }
}

/// As [`Publication::manual`].
impl From<()> for Publication {
    fn from((): ()) -> Self {
        Self::manual()
    }
}

impl From<Query> for Publication {
    fn from(query: Query) -> Self {
        Self(Source::Queries(vec![query]))
    }
}

impl From<Vec<Query>> for Publication {
    fn from(queries: Vec<Query>) -> Self {
        Self(Source::Queries(queries))
    }
}

impl<const N: usize> From<[Query; N]> for Publication {
    fn from(queries: [Query; N]) -> Self {
        Self(Source::Queries(queries.into()))
    }
}

/// Nothing is published where there is no query; the subscription is ready.
impl From<Option<Query>> for Publication {
    fn from(query: Option<Query>) -> Self {
        Self(Source::Queries(query.into_iter().collect()))
    }
}
