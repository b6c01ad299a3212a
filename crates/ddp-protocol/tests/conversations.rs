//! Random conversations: whatever client and application say in whatever order, the session does
//! not panic, answers everything exactly once and after its data, and never wedges its queue.

mod support;

use ddp_protocol::session::SessionConfig;
use proptest::prelude::*;
use proptest::sample::Index;
use support::Talk;
use support::world::{Act, GARBAGE, Step, World};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn everything_is_answered_and_nothing_wedges(steps in prop::collection::vec(step(), 0..80)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.return_everything();
        prop_assert!(world.talk.session.is_open());
        prop_assert!(world.listener.is_answered(), "{:?}", world.listener);
        prop_assert_eq!(world.listener.documents(), world.talk.session.documents());
        world.talk.calls("probe");
        world.talk.runs_method("probe");
    }

    #[test]
    fn no_frame_makes_a_session_panic(frames in prop::collection::vec(".{0,40}", 0..10)) {
        let mut talk = Talk::connected(SessionConfig::default());
        for frame in frames {
            talk.says(&frame);
        }
        talk.calls("probe");
        talk.runs_method("probe");
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => any::<bool>().prop_map(|known| Step::Call { known }),
        2 => (0..3u8, any::<bool>()).prop_map(|(id, known)| Step::Subscribe { id, known }),
        1 => (0..3u8).prop_map(|id| Step::Unsubscribe { id }),
        1 => (0..GARBAGE.len()).prop_map(Step::Garbage),
        1 => (0..5000u64).prop_map(|millis| Step::Pass { millis }),
        1 => Just(Step::Read),
        1 => Just(Step::AddUniversal),
        8 => (any::<Index>(), act()).prop_map(|(on, act)| Step::Act { on, act }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Return),
        1 => Just(Act::Fail),
        1 => Just(Act::Unblock),
        1 => Just(Act::Ready),
        1 => Just(Act::Stop),
        2 => (0..3u8).prop_map(Act::Added),
        1 => (0..3u8).prop_map(Act::Changed),
        1 => (0..3u8).prop_map(Act::Removed),
        1 => Just(Act::BeginWrite),
        1 => Just(Act::CommitWrite),
        2 => Just(Act::Write),
        1 => (0..2u8).prop_map(Act::SetUser),
    ]
}
