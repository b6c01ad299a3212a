//! Two machines, one wire, in memory: our client's connection against our session, with the wire
//! cut wherever it hurts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chance;
mod server;
mod world;

use ddp_protocol::client::{CallError, CallOptions};
use ddp_protocol::object;
use world::World;

#[test]
fn a_wire_cut_in_the_middle_of_a_subscription_loses_and_doubles_no_document() {
    let mut world = World::connected();
    for n in 0..5 {
        world.server.write(&n.to_string(), Some(n));
    }
    world.subscribe("s", "all");
    while world.client_sends() || world.server_hears() || world.server.works() {}
    for _ in 0..3 {
        world.server_sends();
        world.client_hears();
    }
    assert_eq!(world.changes.len(), 3);
    assert!(!world.client.is_ready("s"));
    world.cut();
    world.said();
    world.open();
    world.settles();
    assert_eq!(world.said(), ["connect", "sub"]);
    // as in Meteor: what was never ready is not waited for, so its three documents go and come
    assert_eq!(world.changes.len(), 3 + 3 + 5);
    assert!(world.client.is_ready("s"));
    world.assert_same_data(&["all"]);
}

#[test]
fn what_changed_while_the_wire_was_cut_arrives_as_one_difference() {
    let mut world = World::connected();
    for n in 0..5 {
        world.server.write(&n.to_string(), Some(n));
    }
    world.subscribe("a", "all");
    world.subscribe("e", "even");
    world.settles();
    world.cut();
    world.server.write("0", None);
    world.server.write("1", Some(10));
    world.server.write("new", Some(7));
    world.changes.clear();
    world.open();
    world.settles();
    let changes: Vec<_> = world.changes.iter().map(|c| c.id.to_string()).collect();
    assert_eq!(changes, ["0", "1", "new"]);
    world.assert_same_data(&["all", "even"]);
}

#[test]
fn a_call_that_was_cut_off_before_the_server_heard_it_runs_once() {
    let mut world = World::connected();
    let call = world.set("a", 1, CallOptions::default());
    world.client_sends();
    world.cut();
    world.said();
    world.open();
    world.settles();
    assert_eq!(world.said(), ["connect", "method"]);
    assert_eq!(world.server.runs["0"], 1);
    assert_eq!(world.finished[&call], [Ok(Some("0".into()))]);
}

#[test]
fn a_call_whose_answer_was_lost_runs_again() {
    let mut world = World::connected();
    let call = world.set("a", 1, CallOptions::default());
    while world.client_sends() | world.server_hears() | world.server.works() {}
    assert_eq!(world.server.runs["0"], 1);
    world.cut();
    world.open();
    world.settles();
    assert_eq!(world.server.runs["0"], 2);
    assert_eq!(world.finished[&call], [Ok(Some("0".into()))]);
}

#[test]
fn a_call_without_retry_whose_answer_was_lost_fails_and_does_not_run_again() {
    let mut world = World::connected();
    let options = CallOptions {
        no_retry: true,
        ..CallOptions::default()
    };
    let call = world.set("a", 1, options);
    while world.client_sends() | world.server_hears() | world.server.works() {}
    world.cut();
    world.open();
    world.settles();
    assert_eq!(world.server.runs["0"], 1);
    assert_eq!(world.finished[&call], [Err(CallError::ConnectionLost)]);
}

#[test]
fn a_call_whose_result_came_does_not_run_again_though_its_data_was_lost() {
    let mut world = World::connected();
    world.subscribe("s", "all");
    world.settles();
    let call = world.set("a", 1, CallOptions::default());
    while world.client_sends() | world.server_hears() | world.server.works() {}
    while world.server_sends() {}
    // as a server with a write that ends late says it: the result first, the data never
    let result = world.to_client.pop_back().unwrap();
    assert!(result.contains("result"));
    world.to_client.clear();
    world.to_client.push_back(result);
    world.client_hears();
    assert!(world.finished.is_empty());
    world.cut();
    world.open();
    world.settles();
    assert_eq!(world.server.runs["0"], 1);
    assert_eq!(world.finished[&call], [Ok(Some("0".into()))]);
    world.assert_same_data(&["all"]);
}

#[test]
fn a_login_that_was_cut_off_is_sent_again_and_once_known_goes_first() {
    let mut world = World::connected();
    world.subscribe("s", "all");
    let login = world.client.login(object! { "password": "p" }, None);
    let login = login.unwrap();
    let call = world.set("a", 1, CallOptions::default());
    while world.client_sends() {}
    assert_eq!(world.said(), ["connect", "sub", "method"], "the call waits");
    world.cut();
    world.open();
    world.settles();
    assert_eq!(world.said(), ["connect", "method", "sub", "method"]);
    assert_eq!(world.client.user_id(), Some("u"));
    world.cut();
    world.open();
    while world.client_sends() {}
    assert!(world.sent[1].contains(r#""params":[{"resume":"t"}]"#));
    assert_eq!(world.said(), ["connect", "method", "sub"]);
    world.settles();
    assert_eq!(world.finished[&login].len(), 1);
    assert_eq!(world.finished[&call].len(), 1);
    world.assert_same_data(&["all"]);
}

#[test]
fn a_subscription_that_the_server_refuses_is_not_made_again() {
    let mut world = World::connected();
    world.subscribe("s", "none");
    world.settles();
    assert_eq!(world.stopped, ["s"]);
    world.cut();
    world.said();
    world.open();
    world.settles();
    assert_eq!(world.said(), ["connect"]);
}
