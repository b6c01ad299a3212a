//! The audit log.

use ddp_server::{
    Builder, Publication,
    ejson::{Fields, Value},
    fields,
    live::Collection,
};
use launcher_core::audit::AuditEntry;

use super::{
    arguments::Arguments,
    builds::{Newest, newest},
    publications::date,
};

/// Entries that are sent to whoever does not say how many.
const LIMIT: usize = 100;

/// Adds the publication to a server.
pub(super) fn register(builder: Builder, entries: Collection) -> Builder {
    builder.publish("auditLog", move |_subscription, params: Vec<Value>| {
        let wanted = Newest {
            of: "entries",
            at: "at",
            default: LIMIT,
        };
        let found = newest(&entries, &Arguments::new(params), &wanted);
        async move { Ok(Publication::from(found?)) }
    })
}

pub(super) fn fields_of(entry: &AuditEntry) -> Fields {
    let command = entry.command.iter().map(|word| Value::from(word.as_str()));
    fields! {
        "at": date(entry.started_at),
        "action": entry.action.as_str(),
        "instanceId": entry.instance.as_str(),
        "peer": entry.peer.as_deref(),
        "command": Value::Array(command.collect()),
        "startedAt": date(entry.started_at),
        "endedAt": entry.ended_at.map(date),
        "exitCode": entry.exit_code.map(|code| code as f64),
        "reason": entry.reason.as_deref(),
    }
}
