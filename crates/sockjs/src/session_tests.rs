use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    heartbeat: Duration::from_secs(25),
    heartbeat_timeout: Duration::from_secs(10),
    disconnect_delay: Duration::from_secs(5),
    max_queued_bytes: 1000,
};

/// A session and a clock that moves when it is told to.
struct Fixture {
    session: Session,
    receiver: ReceiverId,
    now: Instant,
}

impl Fixture {
    fn new(kind: ReceiverKind) -> Self {
        let now = Instant::now();
        let (session, receiver) = Session::open(LIMITS, kind, now);
        Self {
            session,
            receiver,
            now,
        }
    }

    /// One whose first response, with the open frame, is complete.
    fn polled() -> Self {
        let mut fixture = Self::new(ReceiverKind::Response);
        assert_eq!(fixture.next(), Next::Send(Frame::Open));
        fixture.detach();
        fixture
    }

    fn next(&mut self) -> Next {
        self.session.poll_frame(self.receiver)
    }

    fn attach(&mut self) -> Result<(), Refusal> {
        let attached = self.session.attach(ReceiverKind::Response, self.now);
        attached.map(|receiver| self.receiver = receiver)
    }

    fn detach(&mut self) {
        self.session.detach(self.receiver, self.now);
    }

    fn after(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.session.timeout(self.now);
    }

    fn send(&mut self, message: &str) {
        self.session.send(message.to_owned()).unwrap();
    }

    fn close(&mut self) {
        self.session.close(Closing::new(3000, "Go away!"), self.now);
    }
}

fn messages(messages: &[&str]) -> Next {
    Next::Send(Frame::Messages(
        messages.iter().map(ToString::to_string).collect(),
    ))
}

fn closed(code: u16, reason: &str) -> Next {
    Next::Send(Frame::Close(Closing::new(code, reason)))
}

#[test]
fn it_opens_once() {
    let mut at = Fixture::polled();
    at.attach().unwrap();
    assert_eq!(at.next(), Next::Wait);
}

#[test]
fn messages_wait_for_a_receiver_and_go_together() {
    let mut at = Fixture::polled();
    at.send("a");
    at.send("b");
    at.attach().unwrap();
    assert_eq!(at.next(), messages(&["a", "b"]));
    assert_eq!(at.next(), Next::Wait);
    at.send("c");
    assert_eq!(at.next(), messages(&["c"]));
    assert_eq!(at.session.queued_bytes(), 0);
}

#[test]
fn on_a_socket_each_message_is_a_frame() {
    let mut at = Fixture::new(ReceiverKind::Socket);
    at.send("a");
    at.send("b");
    assert_eq!(at.next(), Next::Send(Frame::Open));
    assert_eq!(at.next(), messages(&["a"]));
    assert_eq!(at.next(), messages(&["b"]));
}

#[test]
fn a_second_receiver_is_turned_away() {
    let mut at = Fixture::new(ReceiverKind::Response);
    let refused = Closing::new(2010, "Another connection still open");
    assert_eq!(at.attach(), Err(Refusal::Tell(refused)));
    assert_eq!(at.next(), Next::Send(Frame::Open), "the first one goes on");
}

#[test]
fn what_was_said_before_the_close_is_delivered_before_it() {
    let mut at = Fixture::polled();
    at.send("a");
    at.close();
    assert_eq!(at.session.send("b".to_owned()), Err(NotSent::Closed));
    at.attach().unwrap();
    assert_eq!(at.next(), messages(&["a"]));
    assert_eq!(at.next(), closed(3000, "Go away!"));
    assert_eq!(at.next(), Next::End);
}

#[test]
fn a_closed_session_tells_so_until_it_is_over() {
    let mut at = Fixture::polled();
    at.close();
    for _ in 0..4 {
        at.after(1);
        at.attach().unwrap();
        assert_eq!(at.next(), closed(3000, "Go away!"));
    }
    at.after(1);
    assert!(at.session.is_over());
    assert_eq!(at.attach(), Err(Refusal::Over));
    assert_eq!(at.session.poll_timeout(), None);
}

#[test]
fn while_one_receiver_has_yet_to_take_the_end_others_are_told_it() {
    let mut at = Fixture::polled();
    at.send("a");
    at.attach().unwrap();
    at.close();
    let refused = Closing::new(3000, "Go away!");
    assert_eq!(at.attach(), Err(Refusal::Tell(refused)));
    assert_eq!(at.next(), messages(&["a"]));
}

#[test]
fn the_first_close_counts() {
    let mut at = Fixture::polled();
    at.close();
    at.session
        .close(Closing::new(1000, "Normal closure"), at.now);
    at.attach().unwrap();
    assert_eq!(at.next(), closed(3000, "Go away!"));
}

#[test]
fn without_a_receiver_it_ends_after_the_delay() {
    let mut at = Fixture::polled();
    at.after(4);
    at.attach().unwrap();
    at.after(6);
    assert!(at.session.is_open(), "somebody is there");
    at.detach();
    at.after(4);
    assert!(at.session.is_open());
    at.after(1);
    assert!(at.session.is_over());
}

#[test]
fn an_interrupted_session_is_closed_and_says_why() {
    let mut at = Fixture::polled();
    at.attach().unwrap();
    at.session.heard(vec!["last words".to_owned()]);
    at.send("lost");
    at.session.interrupted(at.receiver, at.now);
    assert!(!at.session.is_open());
    assert_eq!(at.session.poll_message().as_deref(), Some("last words"));
    at.attach().unwrap();
    assert_eq!(at.next(), closed(1002, "Connection interrupted"));
    at.after(5);
    assert!(at.session.is_over());
}

#[test]
fn interrupting_a_closed_session_does_not_change_what_it_tells() {
    let mut at = Fixture::polled();
    at.attach().unwrap();
    at.close();
    at.session.interrupted(at.receiver, at.now);
    at.attach().unwrap();
    assert_eq!(at.next(), closed(3000, "Go away!"));
}

#[test]
fn who_is_not_the_receiver_any_more_changes_nothing() {
    let mut at = Fixture::polled();
    let old = at.receiver;
    at.attach().unwrap();
    at.session.detach(old, at.now);
    at.session.interrupted(old, at.now);
    assert_eq!(at.session.poll_frame(old), Next::End);
    at.send("a");
    assert_eq!(at.next(), messages(&["a"]));
}

#[test]
fn the_session_of_a_socket_ends_with_it() {
    for interrupted in [true, false] {
        let mut at = Fixture::new(ReceiverKind::Socket);
        if interrupted {
            at.session.interrupted(at.receiver, at.now);
        } else {
            at.detach();
        }
        assert!(at.session.is_over());
        assert_eq!(at.next(), Next::End);
    }
}

#[test]
fn a_waiting_response_gets_heartbeats() {
    let mut at = Fixture::polled();
    at.attach().unwrap();
    for _ in 0..3 {
        at.after(24);
        assert_eq!(at.next(), Next::Wait);
        at.after(1);
        assert_eq!(at.next(), Next::Send(Frame::Heartbeat));
        assert_eq!(at.next(), Next::Wait);
    }
    assert!(at.session.is_open());
}

#[test]
fn heartbeats_do_not_pile_up() {
    let mut at = Fixture::polled();
    at.attach().unwrap();
    at.after(25);
    at.after(25);
    assert_eq!(at.next(), Next::Send(Frame::Heartbeat));
    assert_eq!(at.next(), Next::Wait);
}

#[test]
fn a_socket_must_answer_heartbeats() {
    let mut at = Fixture::new(ReceiverKind::Socket);
    assert_eq!(at.next(), Next::Send(Frame::Open));
    at.after(25);
    assert_eq!(at.next(), Next::Send(Frame::Heartbeat));
    at.session.alive(at.now);
    at.after(25);
    assert_eq!(at.next(), Next::Send(Frame::Heartbeat));
    at.after(9);
    assert_eq!(at.next(), Next::Wait);
    at.after(1);
    assert_eq!(at.next(), closed(3000, "No response from heartbeat"));
}

#[test]
fn a_socket_that_takes_nothing_is_given_up() {
    let mut at = Fixture::new(ReceiverKind::Socket);
    at.send("a");
    at.close();
    at.after(5);
    assert!(at.session.is_over());
}

#[test]
fn a_closed_session_does_not_listen() {
    let mut at = Fixture::polled();
    at.session.heard(vec!["before".to_owned()]);
    at.close();
    at.session.heard(vec!["after".to_owned()]);
    assert_eq!(at.session.poll_message(), None);
}

#[test]
fn both_directions_have_an_end() {
    let mut at = Fixture::polled();
    at.send(&"x".repeat(967));
    assert!(at.session.has_room());
    at.send("");
    assert_eq!(at.session.send("x".to_owned()), Err(NotSent::Full));
    at.attach().unwrap();
    at.next();
    assert!(at.session.has_room());

    let many = vec![String::new(); 32];
    at.session.heard(many);
    assert!(!at.session.has_ear(), "empty messages take room too");
    at.session.poll_message();
    assert!(at.session.has_ear());
}

#[test]
fn nothing_happens_before_its_time() {
    let mut at = Fixture::polled();
    let due = at.session.poll_timeout().unwrap();
    assert_eq!(due, at.now + LIMITS.disconnect_delay);
    at.session.timeout(due - Duration::from_nanos(1));
    assert!(at.session.is_open());
    at.session.timeout(due);
    assert!(at.session.is_over());
}

#[derive(Debug, Clone)]
enum Step {
    Attach,
    Detach,
    Interrupt,
    Poll,
    Send,
    Heard(u8),
    Close,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Attach),
        3 => Just(Step::Detach),
        1 => Just(Step::Interrupt),
        6 => Just(Step::Poll),
        6 => Just(Step::Send),
        2 => (0..4_u8).prop_map(Step::Heard),
        1 => Just(Step::Close),
        3 => (0..30_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever comes in whatever order: messages arrive in order, at most once, and, unless the
    /// session was interrupted, all that were accepted come before the end.
    #[test]
    fn messages_arrive_in_order_once_and_completely(steps in prop::collection::vec(step(), 0..200)) {
        let mut at = Fixture::polled();
        let (mut sent, mut received, mut heard) = (0, 0, 0);
        let mut interrupted = false;
        let mut closes = 0;
        for step in steps {
            let was_open = at.session.is_open();
            match step {
                Step::Attach => { let _refused = at.attach(); }
                Step::Detach => at.detach(),
                Step::Interrupt => {
                    at.session.interrupted(at.receiver, at.now);
                    interrupted |= was_open && !at.session.is_open();
                }
                Step::Poll => match at.next() {
                    Next::Send(Frame::Messages(messages)) => for message in messages {
                        prop_assert_eq!(message, received.to_string());
                        received += 1;
                    },
                    Next::Send(Frame::Close(_)) => {
                        closes += 1;
                        prop_assert!(!at.session.is_open());
                        prop_assert!(interrupted || received == sent, "lost before the end");
                    }
                    Next::Send(Frame::Open) => prop_assert!(false, "opened twice"),
                    Next::Send(Frame::Heartbeat) => prop_assert!(was_open),
                    Next::Wait => prop_assert_eq!(at.session.queued_bytes(), 0),
                    Next::End => {}
                },
                Step::Send => if at.session.send(sent.to_string()).is_ok() {
                    prop_assert!(was_open && closes == 0);
                    sent += 1;
                },
                Step::Heard(count) => {
                    at.session.heard(vec![String::new(); count.into()]);
                    heard += if was_open { usize::from(count) } else { 0 };
                }
                Step::Close => { at.close(); }
                Step::Wait(seconds) => at.after(seconds),
            }
            prop_assert!(received <= sent);
            prop_assert!(was_open || !at.session.is_open(), "open again");
            if at.session.is_open() && !interrupted {
                // lives on: everything accepted can still be had
                let waiting = at.session.queued_bytes();
                prop_assert_eq!(waiting == 0, received == sent);
            }
        }
        let mut told = 0;
        while at.session.poll_message().is_some() { told += 1; }
        prop_assert!(told <= heard);
    }
}
