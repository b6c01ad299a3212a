//! The test service's methods, publications and data.

mod accounts;
mod drivers;
mod errors;
mod load;
mod meteor;
mod methods;
mod oddities;
mod publications;
mod tasks;
mod users;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ddp_server::ejson::{self, Fields, Value};
use ddp_server::{Config, DocumentId, Error, FromParams, Server, Strategy, Subscription, fields};

/// What the service can do besides, off by default.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// Publish a document to everybody.
    pub(crate) universal: bool,
    /// Offer logins.
    pub(crate) accounts: bool,
    /// Say what exactly was wrong with a login.
    pub(crate) clear_errors: bool,
}

/// The test service with these times and limits.
pub(crate) fn server(config: Config, options: Options) -> Server {
    let tagged = Tagged::default();
    let mut builder = Server::builder()
        .config(config)
        .publication_strategy("nm", Strategy::NoMerge)
        .publication_strategy("nmnh", Strategy::NoMergeNoHistory)
        .publication_strategy("nmm", Strategy::NoMergeMulti);
    for offer in [
        methods::offer,
        errors::offer,
        publications::offer,
        oddities::offer,
        users::offer,
        tasks::offer,
        load::offer,
    ] {
        builder = offer(builder);
    }
    builder = drivers::offer(builder, &tagged);
    if options.universal {
        builder = builder.publish_universal(|sub| async move {
            let fields = fields! { "hello": "world", "userId": sub.user_id() };
            sub.added("universal", "u", fields);
            Ok(())
        });
    }
    if options.accounts {
        builder = accounts::offer(builder, options.clear_errors);
    }
    meteor::serve(builder)
}

/// The open subscriptions that methods drive, by the tag that they were opened with.
#[derive(Clone, Default)]
struct Tagged(Arc<Mutex<HashMap<String, Vec<Subscription>>>>);

impl Tagged {
    fn insert(&self, tag: &str, sub: &Subscription) {
        let mut tags = lock(&self.0);
        let subs = tags.entry(tag.to_owned()).or_default();
        subs.retain(|sub| !sub.is_stopped());
        subs.push(sub.clone());
    }

    fn each(&self, tag: &str, tell: impl Fn(&Subscription)) {
        lock(&self.0).get(tag).into_iter().flatten().for_each(tell);
    }
}

/// The arguments of a JavaScript function, which takes any kind and number of them.
struct Arguments(std::vec::IntoIter<Value>);

impl Arguments {
    /// The next one. `None` is `undefined`, which is not `null`.
    fn next(&mut self) -> Option<Value> {
        self.0.next()
    }

    /// The next one as a name, by which things are kept.
    fn name(&mut self) -> String {
        match self.next() {
            Some(Value::String(name)) => name,
            Some(other) => ejson::stringify(&other),
            None => "undefined".to_owned(),
        }
    }

    /// The next one as a time in ms.
    fn millis(&mut self) -> f64 {
        self.next().and_then(|ms| ms.as_f64()).unwrap_or_default()
    }

    fn fields(&mut self) -> Fields {
        match self.next() {
            Some(Value::Object(fields)) => fields,
            _ => Fields::new(),
        }
    }

    fn document_id(&mut self) -> DocumentId {
        let id = self.next().as_ref().and_then(DocumentId::from_value);
        id.unwrap_or_else(DocumentId::undefined)
    }
}

impl FromParams for Arguments {
    fn from_params(params: Vec<Value>) -> Result<Self, Error> {
        Ok(Self(params.into_iter()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits so many milliseconds.
async fn wait(millis: f64) {
    let millis = millis.clamp(0.0, 600_000.0) as u64;
    tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
}
