//! The test service's methods, publications and data.

mod drivers;
mod errors;
mod methods;
mod publications;
mod tasks;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ddp_server::ejson::Value;
use ddp_server::{Config, Server, Subscription};

/// The test service with these times and limits.
pub(crate) fn server(config: Config) -> Server {
    let builder = Server::builder().config(config);
    let builder = methods::offer(builder);
    let builder = errors::offer(builder);
    let builder = publications::offer(builder);
    let builder = tasks::offer(builder);
    drivers::offer(builder, &Tagged::default()).build()
}

/// The open subscriptions that methods drive, by the tag that they were opened with.
#[derive(Clone, Default)]
struct Tagged(Arc<Mutex<HashMap<String, Vec<Subscription>>>>);

impl Tagged {
    fn insert(&self, tag: &str, sub: &Subscription) {
        let mut tags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let subs = tags.entry(tag.to_owned()).or_default();
        subs.retain(|sub| !sub.is_stopped());
        subs.push(sub.clone());
    }

    fn each(&self, tag: &str, tell: impl Fn(&Subscription)) {
        let tags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tags.get(tag).into_iter().flatten().for_each(tell);
    }
}

/// An argument as text, empty where there is none.
fn text(params: &[Value], index: usize) -> &str {
    params
        .get(index)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// An argument as a number, 0 where there is none.
fn number(params: &[Value], index: usize) -> f64 {
    params
        .get(index)
        .and_then(Value::as_f64)
        .unwrap_or_default()
}

/// Waits as many milliseconds as an argument says.
async fn wait(params: &[Value], index: usize) {
    tokio::time::sleep(std::time::Duration::from_millis(
        number(params, index) as u64
    ))
    .await;
}
