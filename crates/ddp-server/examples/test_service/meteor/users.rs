use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ddp_server::ejson::{Fields, Value};
use ddp_server::live::{Collection, collection};
use ddp_server::{Builder, fields, random_id};

use super::super::lock;

/// What depends on who is logged in.
pub(super) fn offer(builder: Builder) -> Builder {
    let (objects, when_stopped) = (owned_objects(), Arc::new(Mutex::new(HashMap::new())));
    let recorded = Arc::clone(&when_stopped);
    builder
        .publish("objectsWithUsers", move |sub, _: Vec<Value>| {
            let user = sub.user_id().map(str::to_owned);
            let name = format!("owned by {user:?}");
            let owned = objects
                .find()
                .filter_named(name, move |object| is_owner(object, user.as_deref()));
            async { Ok(owned.exclude(["ownerUserIds"])) }
        })
        .publish("recordUserIdOnStop", move |sub, (key,): (String,)| {
            let (recorded, user) = (Arc::clone(&recorded), sub.user_id().map(str::to_owned));
            sub.on_stop(move || drop(lock(&recorded).insert(key, user)));
            async { Ok(()) }
        })
        .method("userIdWhenStopped", move |_, (key,): (String,)| {
            let user = lock(&when_stopped).get(&key).cloned();
            // undefined if nothing was stopped, null if nobody was logged in then
            let result = user.map(|user: Option<String>| Value::from(user));
            async { Ok(result) }
        })
}

fn owned_objects() -> Collection {
    let (objects, view) = collection("objectsWithUsers");
    for (name, owners) in [
        ("owned by none", vec![Value::Null]),
        ("owned by one - a", vec!["1".into()]),
        ("owned by one/two - a", vec!["1".into(), "2".into()]),
        ("owned by one/two - b", vec!["1".into(), "2".into()]),
        ("owned by two - a", vec!["2".into()]),
        ("owned by two - b", vec!["2".into()]),
    ] {
        objects.set(
            random_id(),
            fields! { "name": name, "ownerUserIds": owners },
        );
    }
    view
}

fn is_owner(object: &Fields, user: Option<&str>) -> bool {
    let owners = object.get("ownerUserIds").and_then(Value::as_array);
    owners.is_some_and(|owners| owners.contains(&Value::from(user)))
}
