//! A client that becomes another user.

use std::sync::Arc;

use ddp_protocol::ejson::Fields;
use ddp_protocol::merge_box::SubscriptionKey;
use ddp_protocol::session::{CallKey, Event};

use super::Talk;

pub(crate) fn user(name: &str) -> Option<Arc<str>> {
    Some(name.into())
}

pub(crate) fn has(talk: &mut Talk, sub: SubscriptionKey, id: &str, fields: Fields) {
    talk.session.added(sub, "c", &id.into(), fields);
}

pub(crate) fn done(talk: &mut Talk, sub: SubscriptionKey) {
    talk.session.ready(sub);
    talk.session.publication_returned(sub);
}

/// A client that has subscribed and whose method is about to set the user.
pub(crate) fn logging_in(
    talk: &mut Talk,
    publication: &str,
    documents: &[(&str, Fields)],
) -> CallKey {
    talk.subscribes(publication);
    let sub = talk.runs_publication(publication);
    for (id, fields) in documents {
        has(talk, sub, id, fields.clone());
    }
    done(talk, sub);
    talk.hears();
    talk.calls("login");
    talk.runs_method("login")
}

/// Sets the user; gives the key of the one subscription that begins again.
pub(crate) fn becomes(talk: &mut Talk, call: CallKey, name: &str) -> SubscriptionKey {
    assert_eq!(talk.session.set_user_id(call, user(name)), Ok(()));
    let Some(Event::Stopped { .. }) = talk.session.poll_event() else {
        panic!("nothing was stopped");
    };
    match talk.session.poll_event() {
        Some(Event::Subscribe { sub, user_id, .. }) if user_id == user(name) => sub,
        other => panic!("{other:?}"),
    }
}
