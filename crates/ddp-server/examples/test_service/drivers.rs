use ddp_server::ejson::{Fields, Value};
use ddp_server::{Builder, DocumentId, Error, ErrorCode, Subscription, fields};

use super::{Tagged, wait};

type Driven = (String, String, Option<Value>);
type Written = (
    String,
    String,
    Option<Value>,
    Option<Value>,
    Option<Vec<String>>,
);

/// Publications that do nothing by themselves, and the methods that drive them.
pub(super) fn offer(builder: Builder, tagged: &Tagged) -> Builder {
    let builder = offer_fenced(offer_publications(builder, tagged), tagged.clone());
    offer_ends(offer_writing(builder, tagged), tagged)
}

fn offer_publications(builder: Builder, tagged: &Tagged) -> Builder {
    let (live, not_ready) = (tagged.clone(), tagged.clone());
    builder
        .publish(
            "live",
            move |sub, (tag, documents): (String, Option<Vec<Value>>)| {
                live.insert(&tag, &sub);
                documents.iter().flatten().for_each(|it| add(&sub, it));
                sub.ready();
                async { Ok(()) }
            },
        )
        .publish("liveNotReady", move |sub, (tag,): (String,)| {
            not_ready.insert(&tag, &sub);
            async { Ok(()) }
        })
}

fn offer_writing(builder: Builder, tagged: &Tagged) -> Builder {
    let [added, changed, removed] = std::array::from_fn(|_| tagged.clone());
    builder
        .method("pubAdded", move |_, written: Written| {
            let (tag, collection, id, fields, _) = written;
            added.each(&tag, |sub| {
                sub.added(
                    &collection,
                    document_id(id.as_ref()),
                    object(fields.as_ref()),
                );
            });
            async { Ok(()) }
        })
        .method("pubChanged", move |_, written: Written| {
            let (tag, collection, id, fields, cleared) = written;
            changed.each(&tag, |sub| {
                let (id, fields) = (document_id(id.as_ref()), object(fields.as_ref()));
                let cleared = cleared.clone().unwrap_or_default();
                sub.changed(&collection, id, fields, cleared);
            });
            async { Ok(()) }
        })
        .method("pubRemoved", move |_, (tag, collection, id): Driven| {
            removed.each(&tag, |sub| {
                sub.removed(&collection, document_id(id.as_ref()));
            });
            async { Ok(()) }
        })
}

fn offer_ends(builder: Builder, tagged: &Tagged) -> Builder {
    let [ready, stop, error] = std::array::from_fn(|_| tagged.clone());
    builder
        .method("pubReady", move |_, (tag,): (String,)| {
            ready.each(&tag, Subscription::ready);
            async { Ok(()) }
        })
        .method("pubStop", move |_, (tag,): (String,)| {
            stop.each(&tag, Subscription::stop);
            async { Ok(()) }
        })
        .method(
            "pubError",
            move |_, params: (String, Value, Option<String>)| {
                let (tag, code, reason) = params;
                error.each(&tag, |sub| sub.error(failure(&code, reason.as_deref())));
                async { Ok(()) }
            },
        )
}

/// A write that is committed after its method has returned.
fn offer_fenced(builder: Builder, tagged: Tagged) -> Builder {
    builder.method("fenced", move |ctx, (ms,): (f64,)| {
        let (tagged, write) = (tagged.clone(), ctx.begin_write());
        tokio::spawn(async move {
            wait(ms).await;
            let fields = fields! { "committed": ms };
            tagged.each("fence", |sub| {
                sub.changed("fence", "f", fields.clone(), Vec::new());
            });
            drop(write);
        });
        async { Ok("result-first") }
    })
}

fn add(sub: &Subscription, document: &Value) {
    let of = |key| {
        document
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    sub.added(
        of("c"),
        document_id(document.get("id")),
        object(document.get("f")),
    );
}

fn document_id(value: Option<&Value>) -> DocumentId {
    value
        .and_then(DocumentId::from_value)
        .unwrap_or_else(DocumentId::undefined)
}

fn object(value: Option<&Value>) -> Fields {
    value
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

fn failure(code: &Value, reason: Option<&str>) -> Error {
    let code: ErrorCode = match code {
        Value::Number(code) => (*code as i32).into(),
        code => code.as_str().unwrap_or_default().into(),
    };
    match reason {
        Some(reason) => Error::new(code, reason),
        None => Error::code_only(code),
    }
}
