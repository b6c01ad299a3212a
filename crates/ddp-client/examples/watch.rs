//! Prints what changes in a collection, until it is interrupted:
//! `cargo run -p ddp-client --example watch -- localhost:3000 tasks tasks`.

#![allow(
    clippy::print_stdout,
    reason = "the changes are what this program is for"
)]

use std::sync::Arc;

use ddp_client::ejson::{self, Fields, Value};
use ddp_client::{Client, DocumentChange, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut words = std::env::args().skip(1);
    let (Some(address), Some(publication), Some(collection)) =
        (words.next(), words.next(), words.next())
    else {
        println!("usage: watch ADDRESS PUBLICATION COLLECTION [ARGUMENT]...");
        return Ok(());
    };
    let params = words.map(|word| ejson::parse(&word).unwrap_or_else(|_| Value::from(word)));
    let params: Vec<Value> = params.collect();

    let client = Client::connect(&address).await?;
    let subscription = client.subscribe(&publication, params).await?;
    subscription.ready().await?;

    let mut changes = client.collection(&collection).observe();
    while let Some(change) = changes.next().await {
        match change {
            DocumentChange::Added(document) => {
                println!("+ {} {}", document.id, json(&document.fields));
            }
            DocumentChange::Changed { document, .. } => {
                println!("  {} {}", document.id, json(&document.fields));
            }
            DocumentChange::Removed(document) => println!("- {}", document.id),
        }
    }
    Ok(())
}

fn json(fields: &Arc<Fields>) -> String {
    ejson::stringify(&Value::Object(Fields::clone(fields)))
}
