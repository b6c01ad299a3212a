use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ddp_server::ejson::{Date, Fields, Value};
use ddp_server::live::{Collection, Writer, collection};
use ddp_server::{Builder, Error, MethodContext, Publication, Subscription, fields, random_id};

use super::{number, text};

/// Live collections: `tasks`, which methods write, and two for load tests.
pub(super) fn offer(builder: Builder) -> Builder {
    let (tasks, view) = collection("tasks");
    let twice = view.clone();
    let builder = publish(builder, "tasks", view).publish(
        "tasksTwice",
        move |_: Subscription, _: Vec<Value>| {
            let both = [twice.find(), twice.find()];
            async { Ok(Publication::from(both)) }
        },
    );
    offer_load(offer_writing(builder, &Arc::new(tasks)))
}

fn offer_writing(builder: Builder, tasks: &Arc<Writer>) -> Builder {
    let builder = writes(builder, "insertTask", tasks, |tasks, params| {
        let id = random_id();
        tasks.set(&id, fields! { "text": text(params, 0), "n": 0 });
        id.into()
    });
    let builder = writes(builder, "touchTask", tasks, |tasks, params| {
        update(tasks, params, |task| {
            let n = task.get("n").and_then(Value::as_f64).unwrap_or_default();
            task.insert("n".to_owned(), Value::Number(n + 1.0));
        })
    });
    let builder = writes(builder, "setField", tasks, |tasks, params| {
        update(tasks, params, |task| match params.get(2) {
            Some(value) => drop(task.insert(text(params, 1).to_owned(), value.clone())),
            None => drop(task.shift_remove(text(params, 1))),
        })
    });
    writes(builder, "removeTask", tasks, |tasks, params| {
        i32::from(tasks.remove(text(params, 0))).into()
    })
}

/// How many documents were changed, as Mongo's update returns.
fn update(tasks: &Writer, params: &[Value], edit: impl FnOnce(&mut Fields)) -> Value {
    i32::from(tasks.update(text(params, 0), edit)).into()
}

fn writes(
    builder: Builder,
    name: &str,
    writer: &Arc<Writer>,
    write: fn(&Writer, &[Value]) -> Value,
) -> Builder {
    let writer = Arc::clone(writer);
    builder.method(name, move |_: MethodContext, params: Vec<Value>| {
        let result = write(&writer, &params);
        async { Ok::<_, Error>(result) }
    })
}

fn offer_load(builder: Builder) -> Builder {
    let (ten, ten_view) = collection("ten");
    for n in 0..10 {
        ten.set(
            format!("doc{n}"),
            fields! { "n": n, "text": "one of ten documents" },
        );
    }
    let (ticks, ticks_view) = collection("ticks");
    let tick = |ticks: &Writer, v: Value| {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = i64::try_from(since.as_millis()).unwrap_or_default();
        ticks.set("tick", fields! { "v": v, "t": Date::from_millis(now) });
    };
    tick(&ticks, Value::Number(0.0));
    let builder = publish(publish(builder, "tenDocs", ten_view), "ticker", ticks_view);
    builder.method("tick", move |_: MethodContext, params: Vec<Value>| {
        tick(&ticks, number(&params, 0).into());
        async { Ok::<_, Error>(()) }
    })
}

fn publish(builder: Builder, name: &str, view: Collection) -> Builder {
    builder.publish(name, move |_: Subscription, _: Vec<Value>| {
        let all = view.find();
        async { Ok::<_, Error>(all) }
    })
}
