use std::fmt;

use parking_lot::Mutex;

use crate::task;

type Callback = Box<dyn FnOnce() + Send>;

/// What is to be done when something is over.
pub(crate) struct Callbacks(Mutex<State>);

enum State {
    Waiting(Vec<Callback>),
    Over,
}

impl Callbacks {
    /// Remembers a callback; calls it at once if it is over already.
    pub(crate) fn add(&self, callback: impl FnOnce() + Send + 'static) {
        if let State::Waiting(callbacks) = &mut *self.0.lock() {
            callbacks.push(Box::new(callback));
            return;
        }
        callback();
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(*self.0.lock(), State::Over)
    }

    /// It is over now. A callback that panics does not keep the others from being called.
    pub(crate) fn run(&self, what: &'static str) {
        let was = std::mem::replace(&mut *self.0.lock(), State::Over);
        let State::Waiting(callbacks) = was else {
            return;
        };
        for callback in callbacks {
            if task::caught(callback).is_err() {
                tracing::error!("an {what} callback panicked");
            }
        }
    }
}

impl Default for Callbacks {
    fn default() -> Self {
        Self(Mutex::new(State::Waiting(Vec::new())))
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0.lock() {
            State::Waiting(callbacks) => write!(f, "{} callbacks", callbacks.len()),
            State::Over => f.write_str("over"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn each_callback_is_called_once() {
        let (callbacks, count) = (Callbacks::default(), Arc::new(AtomicUsize::new(0)));
        let counting = || {
            let count = Arc::clone(&count);
            move || {
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        callbacks.add(|| panic!("this test wants a panic"));
        callbacks.add(counting());
        callbacks.run("on_stop");
        callbacks.run("on_stop");
        assert_eq!(count.load(Ordering::Relaxed), 1);
        assert!(callbacks.is_over());
        callbacks.add(counting());
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
}
