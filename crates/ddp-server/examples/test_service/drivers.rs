use ddp_server::ejson::{Fields, Value};
use ddp_server::{Builder, DocumentId, Error, ErrorCode, Subscription, fields};

use super::{Arguments, Tagged, wait};

/// Publications that do nothing by themselves, and the methods that drive them.
pub(super) fn offer(builder: Builder, tagged: &Tagged) -> Builder {
    let builder = offer_fenced(offer_publications(builder, tagged), tagged.clone());
    offer_ends(offer_writing(builder, tagged), tagged)
}

fn offer_publications(builder: Builder, tagged: &Tagged) -> Builder {
    let (live, not_ready) = (tagged.clone(), tagged.clone());
    builder
        .publish("live", move |sub, mut arguments: Arguments| {
            live.insert(&arguments.name(), &sub);
            if let Some(Value::Array(documents)) = arguments.next() {
                documents.iter().for_each(|document| add(&sub, document));
            }
            sub.ready();
            async { Ok(()) }
        })
        .publish("liveNotReady", move |sub, mut arguments: Arguments| {
            not_ready.insert(&arguments.name(), &sub);
            async { Ok(()) }
        })
}

fn offer_writing(builder: Builder, tagged: &Tagged) -> Builder {
    let [added, changed, removed] = std::array::from_fn(|_| tagged.clone());
    builder
        .method("pubAdded", move |_, arguments: Arguments| {
            let told = Told::read(arguments);
            added.each(&told.tag, |sub| {
                sub.added(&told.collection, &told.id, told.fields.clone());
            });
            async { Ok(()) }
        })
        .method("pubChanged", move |_, arguments: Arguments| {
            let told = Told::read(arguments);
            changed.each(&told.tag, |sub| {
                let (fields, cleared) = (told.fields.clone(), told.cleared.clone());
                sub.changed(&told.collection, &told.id, fields, cleared);
            });
            async { Ok(()) }
        })
        .method("pubRemoved", move |_, arguments: Arguments| {
            let told = Told::read(arguments);
            removed.each(&told.tag, |sub| sub.removed(&told.collection, &told.id));
            async { Ok(()) }
        })
}

/// What one of the methods says to those who have subscribed with a tag.
struct Told {
    tag: String,
    collection: String,
    id: DocumentId,
    fields: Fields,
    cleared: Vec<String>,
}

impl Told {
    fn read(mut arguments: Arguments) -> Self {
        Self {
            tag: arguments.name(),
            collection: arguments.name(),
            id: arguments.document_id(),
            fields: arguments.fields(),
            cleared: match arguments.next() {
                Some(Value::Array(keys)) => keys
                    .iter()
                    .filter_map(|key| key.as_str().map(str::to_owned))
                    .collect(),
                _ => Vec::new(),
            },
        }
    }
}

fn offer_ends(builder: Builder, tagged: &Tagged) -> Builder {
    let [ready, stop, error] = std::array::from_fn(|_| tagged.clone());
    builder
        .method("pubReady", move |_, mut arguments: Arguments| {
            ready.each(&arguments.name(), Subscription::ready);
            async { Ok(()) }
        })
        .method("pubStop", move |_, mut arguments: Arguments| {
            stop.each(&arguments.name(), Subscription::stop);
            async { Ok(()) }
        })
        .method("pubError", move |_, mut arguments: Arguments| {
            let (tag, failure) = (arguments.name(), failure(&mut arguments));
            error.each(&tag, |sub| sub.error(failure.clone()));
            async { Ok(()) }
        })
}

/// A write that is committed after its method has returned.
fn offer_fenced(builder: Builder, tagged: Tagged) -> Builder {
    builder.method("fenced", move |ctx, mut arguments: Arguments| {
        let (tagged, write) = (tagged.clone(), ctx.begin_write());
        let ms = arguments.millis();
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

/// Adds a document that is written as `{c: collection, id, f: fields}`.
fn add(sub: &Subscription, document: &Value) {
    let part = |key| document.get(key);
    let id = part("id").and_then(DocumentId::from_value);
    sub.added(
        part("c").and_then(Value::as_str).unwrap_or_default(),
        id.unwrap_or_else(DocumentId::undefined),
        part("f")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default(),
    );
}

fn failure(arguments: &mut Arguments) -> Error {
    let code: ErrorCode = match arguments.next() {
        Some(Value::Number(code)) => (code as i32).into(),
        Some(Value::String(code)) => code.into(),
        _ => return Error::internal(),
    };
    match arguments.next() {
        Some(Value::String(reason)) => Error::new(code, reason),
        _ => Error::code_only(code),
    }
}
