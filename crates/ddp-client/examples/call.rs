//! Calls a method: `cargo run -p ddp-client --example call -- localhost:3000 add 1 2`.
//!
//! Arguments are EJSON; what is not is taken as text.

#![allow(
    clippy::print_stdout,
    reason = "the result is what this program is for"
)]

use ddp_client::ejson::{self, Value};
use ddp_client::{CallOptions, Client, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut words = std::env::args().skip(1);
    let (Some(address), Some(method)) = (words.next(), words.next()) else {
        println!("usage: call ADDRESS METHOD [ARGUMENT]...");
        return Ok(());
    };
    let params = words.map(|word| ejson::parse(&word).unwrap_or_else(|_| Value::from(word)));

    let client = Client::connect(&address).await?;
    let result = client.call_value(&method, params.collect(), CallOptions::new());
    match result.await? {
        Some(value) => println!("{}", ejson::stringify(&value)),
        None => println!("undefined"),
    }
    client.close().await;
    Ok(())
}
