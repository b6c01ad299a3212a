//! A server that says anything, in any order: nothing panics, what is told fits together, and a
//! better server later finds a client that works.

use std::collections::HashMap;

use ddp_protocol::client::{ConnectionConfig, Event, Status};
use proptest::prelude::*;

use crate::talk::{Talk, plain, wait};

const FRAMES: [&str; 9] = [
    r#"{"msg":"connected","session":"S"}"#,
    r#"{"msg":"ready","subs":["%"]}"#,
    r#"{"msg":"nosub","id":"%","error":{"error":404}}"#,
    r#"{"msg":"updated","methods":["%","2"]}"#,
    r#"{"msg":"result","id":"%","result":{"id":"u","token":"t"}}"#,
    r#"{"msg":"result","id":"%","error":{"error":403}}"#,
    r#"{"msg":"removed","collection":"c","id":"%"}"#,
    r#"{"msg":"added","collection":"c","id":"%","fields":{"n":%}}"#,
    r#"{"msg":"changed","collection":"c","id":"%","fields":{"m":%},"cleared":["n"]}"#,
];

#[derive(Debug, Clone)]
enum Step {
    Hears(usize, u8),
    HearsNonsense(String),
    Opens,
    Loses,
    Calls(bool),
    Subscribes,
    Unsubscribes(u8),
    LogsIn,
    Sends,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        9 => (0..FRAMES.len(), 1..6u8).prop_map(|(frame, id)| Step::Hears(frame, id)),
        1 => r#"\{"msg":"[a-z]{0,9}".{0,20}\}"#.prop_map(Step::HearsNonsense),
        2 => Just(Step::Opens),
        1 => Just(Step::Loses),
        2 => any::<bool>().prop_map(Step::Calls),
        1 => Just(Step::Subscribes),
        1 => (1..6u8).prop_map(Step::Unsubscribes),
        1 => Just(Step::LogsIn),
        2 => Just(Step::Sends),
    ]
}

fn happens(talk: &mut Talk, step: Step) {
    match step {
        Step::Hears(frame, id) => talk.hears(&FRAMES[frame].replace('%', &id.to_string())),
        Step::HearsNonsense(frame) => talk.hears(&frame),
        Step::Opens => talk.client.handle_open(talk.now),
        Step::Loses => talk.client.handle_disconnect(),
        Step::Calls(waits) => {
            talk.calls(if waits { wait() } else { plain() });
        }
        Step::Subscribes => {
            // the server knows them by the names of the calls
            let id = (talk.client.subscriptions() + 1).to_string();
            let _in_use = talk.client.subscribe(id, "pub", vec![]);
        }
        Step::Unsubscribes(id) => talk.client.unsubscribe(&id.to_string()),
        Step::LogsIn => {
            talk.client.login(true.into(), None).unwrap();
        }
        Step::Sends => {
            talk.says();
        }
    }
}

/// Answers everything, until nothing more is asked.
fn good_server(talk: &mut Talk) {
    talk.client.handle_disconnect();
    talk.connects_and_answers();
    for _ in 0..1000 {
        let said = talk.says();
        if said.is_empty() {
            return;
        }
        said.iter().for_each(|frame| talk.answers(frame));
    }
    panic!("the client never stops asking");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_a_server_says_the_client_lives(steps in prop::collection::vec(step(), 0..120)) {
        let mut talk = Talk::new(ConnectionConfig::default());
        let mut documents = HashMap::new();
        let mut finished = HashMap::new();
        let mut listen = |talk: &mut Talk| {
            for event in talk.happens() {
                match event {
                    Event::Data(change) => {
                        assert_ne!(change.before, change.after);
                        let before = match change.after {
                            Some(after) => documents.insert(change.id, after),
                            None => documents.remove(&change.id),
                        };
                        assert_eq!(before, change.before);
                    }
                    Event::CallFinished { call, .. } => {
                        assert_eq!(finished.insert(call, ()), None, "{call} ended twice");
                    }
                    _ => {}
                }
            }
        };
        for step in steps {
            happens(&mut talk, step);
            listen(&mut talk);
        }
        good_server(&mut talk);
        listen(&mut talk);
        prop_assert_eq!(talk.client.status(), Status::Connected);
        prop_assert_eq!(talk.client.unfinished_calls(), 0);
        prop_assert!(!talk.client.is_holding_back());
        prop_assert!(talk.ids().is_empty());
    }
}
