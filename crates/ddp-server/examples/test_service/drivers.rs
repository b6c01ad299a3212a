use std::sync::Arc;

use ddp_server::ejson::{Fields, Value};
use ddp_server::{Builder, DocumentId, Error, MethodContext, Publication, Subscription, fields};

use super::{Tagged, number, text, wait};

/// Publications that do nothing by themselves, and the methods that drive them.
pub(super) fn offer(builder: Builder, tagged: &Tagged) -> Builder {
    let builder = offer_fenced(offer_publications(builder, tagged), tagged.clone());
    let builder = drive(builder, "pubAdded", tagged, |sub, params| {
        sub.added(text(params, 1), id(params), object(params, 3));
    });
    let builder = drive(builder, "pubChanged", tagged, |sub, params| {
        let cleared = params.get(4).and_then(Value::as_array).unwrap_or_default();
        let cleared = cleared
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        sub.changed(text(params, 1), id(params), object(params, 3), cleared);
    });
    let builder = drive(builder, "pubRemoved", tagged, |sub, params| {
        sub.removed(text(params, 1), id(params));
    });
    let builder = drive(builder, "pubReady", tagged, |sub, _| sub.ready());
    let builder = drive(builder, "pubStop", tagged, |sub, _| sub.stop());
    drive(builder, "pubError", tagged, |sub, params| {
        sub.error(error(params));
    })
}

fn offer_publications(builder: Builder, tagged: &Tagged) -> Builder {
    let (live, not_ready) = (tagged.clone(), tagged.clone());
    builder
        .publish("live", move |sub: Subscription, params: Vec<Value>| {
            live.insert(text(&params, 0), &sub);
            for document in params.get(1).and_then(Value::as_array).unwrap_or_default() {
                add(&sub, document);
            }
            sub.ready();
            async { Ok(Publication::manual()) }
        })
        .publish(
            "liveNotReady",
            move |sub: Subscription, params: Vec<Value>| {
                not_ready.insert(text(&params, 0), &sub);
                async { Ok(Publication::manual()) }
            },
        )
}

fn drive(
    builder: Builder,
    name: &str,
    tagged: &Tagged,
    tell: fn(&Subscription, &[Value]),
) -> Builder {
    let tagged = tagged.clone();
    builder.method(name, move |_: MethodContext, params: Vec<Value>| {
        tagged.each(text(&params, 0), |sub| tell(sub, &params));
        async { Ok::<_, Error>(()) }
    })
}

/// A write that is committed after its method has returned.
fn offer_fenced(builder: Builder, tagged: Tagged) -> Builder {
    let tagged = Arc::new(tagged);
    builder.method(
        "fenced",
        move |context: MethodContext, params: Vec<Value>| {
            let (tagged, write) = (Arc::clone(&tagged), context.begin_write());
            tokio::spawn(async move {
                wait(&params, 0).await;
                let fields = fields! { "committed": number(&params, 0) };
                tagged.each("fence", |sub| {
                    sub.changed("fence", "f", fields.clone(), Vec::new());
                });
                drop(write);
            });
            async { Ok::<_, Error>("result-first") }
        },
    )
}

fn add(sub: &Subscription, document: &Value) {
    let of = |key| {
        document
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let fields = document
        .get("f")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    sub.added(of("c"), of("id"), fields);
}

fn id(params: &[Value]) -> DocumentId {
    params
        .get(2)
        .and_then(DocumentId::from_value)
        .unwrap_or_else(DocumentId::undefined)
}

fn object(params: &[Value], index: usize) -> Fields {
    params
        .get(index)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

fn error(params: &[Value]) -> Error {
    match params.get(1) {
        Some(Value::Number(code)) => Error::new(*code as i32, text(params, 2)),
        _ => Error::new(text(params, 1), text(params, 2)),
    }
}
