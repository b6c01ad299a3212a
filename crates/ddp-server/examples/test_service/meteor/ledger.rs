use std::sync::Arc;

use ddp_server::ejson::{Fields, Value};
use ddp_server::live::{Collection, Writer, collection};
use ddp_server::{Builder, DocumentId, Error};

/// Accounts with balances, in worlds that tests keep apart.
pub(super) fn offer(builder: Builder) -> Builder {
    let (ledger, view) = collection("ledger");
    let (ledger, published) = (Arc::new(ledger), view.clone());
    let builder = ["/ledger/insertAsync", "/ledger/insert"]
        .into_iter()
        .fold(builder, |builder, name| {
            offer_insert(builder, name, &ledger)
        });
    builder
        .publish("ledger", move |_, (world,): (String,)| {
            let accounts = published.find().equals("world", world);
            async { Ok(accounts) }
        })
        .method("ledger/transfer", move |_, params: Transfer| {
            let outcome = transfer(&ledger, &view, &params);
            async { outcome }
        })
}

fn offer_insert(builder: Builder, name: &str, ledger: &Arc<Writer>) -> Builder {
    let ledger = Arc::clone(ledger);
    builder.method(name, move |_, (account, _): (Fields, Option<Value>)| {
        let id = ledger.insert(&account);
        async { Ok(id?.to_value()) }
    })
}

/// World, from, to, amount, and whether a client may cheat: on the server it may not.
type Transfer = (String, String, String, f64, Option<bool>);

fn transfer(
    ledger: &Writer,
    view: &Collection,
    (world, from, to, amount, _): &Transfer,
) -> Result<(), Error> {
    let account = |name: &str| {
        let found = view.find().equals("world", &**world).equals("name", name);
        let account = found.documents().into_iter().next();
        account.ok_or_else(|| Error::new(404, format!("No such account {name} in {world}")))
    };
    let (from, to) = (account(from)?, account(to)?);
    if balance(&from.1) < *amount {
        return Err(Error::new(409, "Insufficient funds"));
    }
    add(ledger, &from.0, -amount);
    add(ledger, &to.0, *amount);
    Ok(())
}

fn add(ledger: &Writer, account: &DocumentId, amount: f64) {
    ledger.update(account, |fields| {
        let sum = balance(fields) + amount;
        fields.insert("balance".to_owned(), sum.into());
    });
}

fn balance(account: &Fields) -> f64 {
    account
        .get("balance")
        .and_then(Value::as_f64)
        .unwrap_or_default()
}
