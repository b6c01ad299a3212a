use ddp_server::ejson::{ObjectId, Value};
use ddp_server::{Builder, DocumentId, Error, Subscription, fields};

use super::{Arguments, wait};

pub(super) fn offer(builder: Builder) -> Builder {
    let builder = manual(builder, "empty", Subscription::ready);
    let builder = manual(builder, "never", |_| {});
    let builder = manual(builder, "twoDocs", two_docs);
    let builder = manual(builder, "thenStop", then_stop);
    let builder = manual(builder, "errors", |sub| {
        sub.error(Error::new(403, "Access denied"));
    });
    let builder = manual(builder, "ids", ids);
    let builder = manual(builder, "changeBeforeReady", change_before_ready);
    let builder = manual(builder, "dupAdd", dup_add);
    let builder = manual(builder, "badChange", |sub| {
        sub.changed("things", "nosuch", fields! { "x": 1 }, Vec::new());
    });
    offer_failing(builder)
        .publish("asyncReady", ready_later)
        .publish("asyncUnblockReady", |sub, arguments: Arguments| {
            sub.unblock();
            ready_later(sub, arguments)
        })
}

fn offer_failing(builder: Builder) -> Builder {
    // what is no cursor cannot even be returned here; to a client it is the same internal error
    let builder = ["throwsPlain", "returnsJunk", "returnsArrayJunk"]
        .into_iter()
        .fold(builder, |builder, name| {
            builder.publish(name, |_, _: Vec<Value>| async {
                Err::<(), _>(Error::internal())
            })
        });
    builder.publish("throwsMeteorError", |sub, _: Vec<Value>| async move {
        sub.added("things", "a", fields! { "x": 1 });
        Err::<(), _>(Error::new("pub-code", "pub reason").details("pub details"))
    })
}

fn manual(builder: Builder, name: &str, speak: fn(&Subscription)) -> Builder {
    builder.publish(name, move |sub, _: Vec<Value>| async move {
        speak(&sub);
        Ok(())
    })
}

fn two_docs(sub: &Subscription) {
    sub.added("things", "a", fields! { "x": 1 });
    sub.added("things", "b", fields! { "x": 2, "y": fields! { "z": 3 } });
    sub.ready();
}

fn then_stop(sub: &Subscription) {
    sub.added("things", "a", fields! { "x": 1 });
    sub.ready();
    sub.stop();
}

fn change_before_ready(sub: &Subscription) {
    sub.added("things", "a", fields! { "x": 1 });
    sub.changed("things", "a", fields! { "x": 2 }, Vec::new());
    sub.ready();
}

fn dup_add(sub: &Subscription) {
    sub.added("things", "a", fields! { "x": 1 });
    sub.added("things", "a", fields! { "x": 2 });
    sub.ready();
}

fn ids(sub: &Subscription) {
    let digits = "0123456789abcdef01234567";
    let add = |id: DocumentId, kind: &str| sub.added("ids", id, fields! { "k": kind });
    add("plain".into(), "plain");
    add("-dash".into(), "dash");
    add("~tilde".into(), "tilde");
    add("{brace".into(), "brace");
    add(digits.into(), "hex string");
    add("0123456789ABCDEF01234567".into(), "upper hex string");
    if let (Some(id), Some(other)) = (ObjectId::parse(digits), ObjectId::parse(&"a".repeat(24))) {
        sub.added("ids", id, fields! { "k": "oid", "ref": other });
    }
    for (value, kind) in [
        (5.into(), "number"),
        (true.into(), "true"),
        (Value::Null, "null"),
    ] {
        if let Some(id) = DocumentId::from_value(&value) {
            add(id, kind);
        }
    }
    add("".into(), "empty");
    add(DocumentId::undefined(), "undefined");
    sub.ready();
}

async fn ready_later(sub: Subscription, mut arguments: Arguments) -> Result<(), Error> {
    let ms = arguments.millis();
    wait(ms).await;
    sub.added("slowthings", format!("s{ms}"), fields! { "ms": ms });
    sub.ready();
    Ok(())
}
