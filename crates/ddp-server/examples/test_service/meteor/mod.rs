//! What Meteor's own client tests need of a server
//! (`packages/ddp-client/test/livedata_test_service.js` and its neighbours).

mod arrays;
mod events;
mod ledger;
mod overlapping;
mod publishing;
mod runtime;
mod users;
mod waiting;

use std::sync::{Arc, OnceLock};

use ddp_server::{Builder, Server};

/// The server, for methods that change what it offers.
type Running = Arc<OnceLock<Server>>;

/// The finished server, with all of that.
pub(super) fn serve(mut builder: Builder) -> Server {
    let running = Running::default();
    for offer in [
        arrays::offer,
        events::offer,
        ledger::offer,
        publishing::offer,
        users::offer,
        waiting::offer,
    ] {
        builder = offer(builder);
    }
    let builder = overlapping::offer(offer_server_to_server(builder), &running);
    let server = runtime::offer(builder, &running).build();
    running.get_or_init(|| server).clone()
}

/// What `livedata_tests.js` itself offers to those who connect as servers do.
fn offer_server_to_server(builder: Builder) -> Builder {
    builder.method("s2s", |_, (text,): (String,)| async move {
        Ok(format!("s2s {text}"))
    })
}
