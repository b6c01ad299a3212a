use ddp_server::ejson::{Fields, Value};
use ddp_server::live::{Collection, Query, collection};
use ddp_server::{Builder, Error, Subscription, fields, random_id};

/// Publications that do what publications may do.
pub(super) fn offer(builder: Builder) -> Builder {
    let (one, two) = (
        values("collectionOne", 1..=2),
        values("collectionTwo", 3..=5),
    );
    builder
        .publish("multiPublish", move |_, (options,): (Fields,)| {
            let queries = queries(&one, &two, &options);
            async { queries }
        })
        .publish(
            "publisherErrors",
            |sub, (all, options): (String, Fields)| async move {
                sub.added(&all, random_id(), fields! { "foo": 42 });
                sub.ready();
                misbehave(&sub, &options)
            },
        )
        .publish("publisherCloning", |sub, _: Vec<Value>| async move {
            let fields = |y: i32| fields! { "x": fields! { "y": y } };
            sub.added("publisherCloning", "a", fields(42));
            sub.changed("publisherCloning", "a", fields(43), Vec::new());
            sub.ready();
            Ok(())
        })
}

fn values(name: &str, numbers: std::ops::RangeInclusive<u32>) -> Collection {
    let (writer, view) = collection(name);
    for n in numbers {
        writer.set(random_id(), fields! { "name": format!("value{n}") });
    }
    view
}

fn queries(one: &Collection, two: &Collection, options: &Fields) -> Result<Vec<Query>, Error> {
    if is_set(options, "normal") {
        return Ok(vec![one.find(), two.find()]);
    }
    if is_set(options, "dup") {
        let again = one.find().equals("name", "value2");
        return Ok(vec![one.find(), again, two.find()]);
    }
    // what is no cursor cannot even be returned here
    Err(Error::internal())
}

fn misbehave(sub: &Subscription, options: &Fields) -> Result<(), Error> {
    let set = |option| is_set(options, option);
    let error = match set("internalError") {
        true => Error::internal(),
        false => Error::new(412, "Explicit error"),
    };
    if set("stopInHandler") {
        sub.stop();
    } else if set("throwInHandler") || (set("throwWhenUserIdSet") && sub.user_id().is_some()) {
        return Err(error);
    } else if set("errorInHandler") {
        sub.error(error);
    } else if set("errorLater") {
        let sub = sub.clone();
        tokio::spawn(async move { sub.error(error) });
    }
    Ok(())
}

/// Whether an option is what JavaScript takes for true: Meteor's tests write `{normal: 1}`.
fn is_set(options: &Fields, option: &str) -> bool {
    match options.get(option) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Number(number)) => *number != 0.0 && !number.is_nan(),
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    }
}
