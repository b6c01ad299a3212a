//! What Docker tells of as it happens.

use bollard::models::{EventMessage, EventMessageTypeEnum};
use jiff::Timestamp;

use super::{Ended, Event, LABEL_INSTANCE, LABEL_OWNER};

/// What an event tells, if it is about a container of this launcher, or an image.
pub(super) fn event(message: EventMessage, owner: &str) -> Option<Event> {
    if message.typ == Some(EventMessageTypeEnum::IMAGE) {
        return Some(image_event(message));
    }
    let actor = message.actor?;
    let mut attributes = actor.attributes?;
    if attributes
        .get(LABEL_OWNER)
        .is_none_or(|label| label != owner)
    {
        return None;
    }
    let instance = attributes.remove(LABEL_INSTANCE)?;
    let died = message.action.as_deref() == Some("die");
    let at = message
        .time_nano
        .and_then(|t| Timestamp::from_nanosecond(t.into()).ok());
    let ended = actor
        .id
        .zip(at)
        .filter(|_| died)
        .map(|(container, at)| Ended { container, at });
    Some(Event::Container { instance, ended })
}

/// The engine names what was pulled as it was asked for it.
fn image_event(message: EventMessage) -> Event {
    let was_pulled = message.action.as_deref() == Some("pull");
    let name = message.actor.and_then(|actor| actor.id);
    let name = name.filter(|name| was_pulled && name.contains('@'));
    name.map_or(Event::Image, Event::PulledByDigest)
}
