//! Who is logged in, without accounts.

use ddp_server::ejson::Value;
use ddp_server::{Builder, Error, Subscription, fields};

pub(super) fn offer(builder: Builder) -> Builder {
    builder
        .method("setUserId", |ctx, params: Vec<Value>| async move {
            match params.first() {
                Some(Value::String(id)) => ctx.set_user_id(Some(id)),
                Some(Value::Null) => ctx.set_user_id(None),
                _ => Err(Error::internal()),
            }
        })
        .method("setUserIdAfterUnblock", |ctx, _: Vec<Value>| async move {
            ctx.unblock();
            ctx.set_user_id(Some("after-unblock"))
        })
        .publish("byUser", |sub, _: Vec<Value>| async move {
            own_documents(&sub);
            sub.ready();
            Ok(())
        })
        .publish("byUserErr", |sub, _: Vec<Value>| async move {
            own_documents(&sub);
            if sub.user_id().is_some() {
                return Err(Error::new(412, "no users"));
            }
            sub.ready();
            Ok(())
        })
}

fn own_documents(sub: &Subscription) {
    let owner = sub.user_id();
    sub.added("mine", "shared", fields! { "v": "s" });
    let id = format!("u-{}", owner.unwrap_or("null"));
    sub.added("mine", id, fields! { "owner": owner });
}
