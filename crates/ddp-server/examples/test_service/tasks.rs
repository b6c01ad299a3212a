use std::sync::Arc;

use ddp_server::ejson::{Fields, Value};
use ddp_server::live::{Writer, collection};
use ddp_server::{Builder, Error};

use super::Arguments;

/// How many ids one call may ask for.
const MOST_IDS: u32 = 10_000;

/// A live collection that methods write, with ids that the caller's seed decides.
pub(super) fn offer(builder: Builder) -> Builder {
    let (tasks, view) = collection("tasks");
    let twice = view.clone();
    let builder = builder
        .publish("tasks", move |_, _: Vec<Value>| {
            let all = view.find();
            async { Ok(all) }
        })
        .publish("tasksTwice", move |_, _: Vec<Value>| {
            let both = [twice.find(), twice.find()];
            async { Ok(both) }
        });
    offer_random(offer_writing(builder, tasks))
}

fn offer_writing(builder: Builder, tasks: Writer) -> Builder {
    let tasks = Arc::new(tasks);
    let [touch, set, remove] = std::array::from_fn(|_| Arc::clone(&tasks));
    builder
        .method("insertTask", move |ctx, mut arguments: Arguments| {
            let id = ctx.random().collection("tasks").id();
            let text = arguments.next().map(|text| ("text".to_owned(), text));
            let n = ("n".to_owned(), Value::from(0));
            tasks.set(&id, text.into_iter().chain([n]).collect());
            async { Ok(id) }
        })
        .method("touchTask", move |_, (id,): (String,)| {
            let touched = update(&touch, &id, |task| {
                let n = task.get("n").and_then(Value::as_f64).unwrap_or_default();
                task.insert("n".to_owned(), Value::Number(n + 1.0));
            });
            async move { Ok(touched) }
        })
        .method("setField", move |_, mut arguments: Arguments| {
            let (id, key) = (arguments.name(), arguments.name());
            let changed = update(&set, &id, |task| match arguments.next() {
                Some(value) => drop(task.insert(key, value)),
                None => drop(task.shift_remove(&key)),
            });
            async move { Ok(changed) }
        })
        .method("removeTask", move |_, (id,): (String,)| {
            let removed = u32::from(remove.remove(&id));
            async move { Ok(removed) }
        })
}

/// How many documents were changed, as Mongo's update returns.
fn update(tasks: &Writer, id: &str, edit: impl FnOnce(&mut Fields)) -> u32 {
    tasks.update(id, edit).into()
}

fn offer_random(builder: Builder) -> Builder {
    builder
        .method("randomIds", |ctx, (n,): (u32,)| async move {
            if n > MOST_IDS {
                return Err(Error::match_failed());
            }
            let mut random = ctx.random();
            let ids = (0..n).map(|_| random.collection("tasks").id());
            Ok(ids.collect::<Vec<_>>())
        })
        .method("randomHex", |ctx, _: Vec<Value>| async move {
            Ok(ctx.random().collection("tasks").hex_string(24))
        })
        .method("randomDefault", |ctx, _: Vec<Value>| async move {
            Ok(ctx.random().default_sequence().id())
        })
}
