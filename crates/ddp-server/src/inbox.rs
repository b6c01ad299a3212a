use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Waker};

use parking_lot::Mutex;

use crate::command::Command;

/// Buffers up to this many commands are kept for the next ones.
pub(crate) const KEPT: usize = 4;

/// What waits for a session's task. As many sessions wait for most of their time, an empty one
/// holds nothing, and the task is woken only by the first command after it has gone to rest.
#[derive(Default)]
pub(crate) struct Inbox(Mutex<State>);

#[derive(Default)]
struct State {
    commands: VecDeque<Command>,
    /// The task's, while it rests.
    resting: Option<Waker>,
    over: bool,
}

impl Inbox {
    fn push(&self, command: Command) {
        let mut state = self.0.lock();
        if state.over {
            return;
        }
        state.commands.push_back(command);
        let waker = state.resting.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Moves what waits to `batch`, which must be empty.
    pub(crate) fn take(&self, batch: &mut VecDeque<Command>) {
        let mut state = self.0.lock();
        if !state.commands.is_empty() {
            std::mem::swap(&mut state.commands, batch);
        }
    }

    /// The task has nothing to do. `false` if something waits; otherwise what comes next wakes
    /// it.
    pub(crate) fn rest(&self, context: &Context<'_>) -> bool {
        let mut state = self.0.lock();
        if !state.commands.is_empty() {
            return false;
        }
        if state.commands.capacity() > KEPT {
            state.commands = VecDeque::new();
        }
        state.resting = Some(context.waker().clone());
        true
    }

    /// Nobody listens any more.
    pub(crate) fn close(&self) {
        *self.0.lock() = State {
            over: true,
            ..State::default()
        };
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

/// The way to a session's task. Talking to a session that is over does nothing.
#[derive(Debug, Clone)]
pub(crate) struct Commands(Arc<Inbox>);

impl Commands {
    /// What waits in between has no bound of its own: the session's task never stops emptying it,
    /// however slowly the client reads, and it is the application that fills it.
    pub(crate) fn new() -> (Self, Arc<Inbox>) {
        let inbox = Arc::new(Inbox::default());
        (Self(Arc::clone(&inbox)), inbox)
    }

    pub(crate) fn send(&self, command: Command) {
        self.0.push(command);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_the_first_command_after_a_rest_wakes() {
        let (commands, inbox) = Commands::new();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let (mut batch, context) = (VecDeque::new(), Context::from_waker(&waker));
        assert!(inbox.rest(&context));
        commands.send(Command::Close);
        commands.send(Command::Close);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(!inbox.rest(&context), "two commands wait");
        inbox.take(&mut batch);
        assert_eq!(batch.len(), 2);
        assert!(inbox.rest(&context));
    }

    #[test]
    fn what_is_said_to_a_session_that_is_over_is_not_kept() {
        let (commands, inbox) = Commands::new();
        let mut batch = VecDeque::new();
        inbox.close();
        commands.send(Command::Close);
        inbox.take(&mut batch);
        assert!(batch.is_empty());
    }
}
