//! A session that several tasks reach: the application's, those of the client's requests, and the
//! one that watches the time.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use parking_lot::Mutex;

use crate::session::Session;

/// For what somebody waits. One waiter each: whoever comes later takes the place.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    /// The application, for a message.
    Reader,
    /// The application, for room for its messages.
    Writer,
    /// The application, until its messages are taken.
    Drainer,
    /// The response or the WebSocket, for a frame.
    Receiver,
    /// The client, until it is heard again.
    Sender,
    /// The task that calls `timeout`, in case that the time becomes earlier.
    Timer,
}

const ROLES: [Role; 6] = [
    Role::Reader,
    Role::Writer,
    Role::Drainer,
    Role::Receiver,
    Role::Sender,
    Role::Timer,
];

/// A session behind a lock, and who waits for it.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// Held by the request whose body is read and whose messages are taken: the next one's come
    /// after them, and no two bodies are in memory.
    pub(crate) sending: tokio::sync::Mutex<()>,
}

struct Inner {
    session: Session,
    waiting: [Option<Waker>; ROLES.len()],
    /// When the timer will look by itself.
    armed: Option<Instant>,
}

impl Shared {
    pub(crate) fn new(session: Session) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                session,
                waiting: Default::default(),
                armed: None,
            }),
            sending: tokio::sync::Mutex::new(()),
        })
    }

    /// Does something to the session, and wakes those whom it concerns.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Session) -> R) -> R {
        let (result, woken) = {
            let mut inner = self.inner.lock();
            let result = act(&mut inner.session);
            (result, inner.take_concerned())
        };
        wake(woken);
        result
    }

    /// Like [`with`](Self::with); if it is pending, whoever has this role is woken later.
    pub(crate) fn poll<R>(
        &self,
        role: Role,
        context: &mut Context<'_>,
        attempt: impl FnOnce(&mut Session) -> Poll<R>,
    ) -> Poll<R> {
        let (result, woken) = {
            let mut inner = self.inner.lock();
            let result = attempt(&mut inner.session);
            let woken = inner.take_concerned();
            if result.is_pending() {
                inner.wait(role, context);
            }
            (result, woken)
        };
        wake(woken);
        result
    }

    /// When to call `timeout`. Pending it wakes, once it is due earlier than what it said.
    pub(crate) fn poll_deadline(&self, context: &mut Context<'_>) -> Option<Instant> {
        let mut inner = self.inner.lock();
        inner.armed = inner.session.poll_timeout();
        inner.wait(Role::Timer, context);
        inner.armed
    }
}

impl Inner {
    fn wait(&mut self, role: Role, context: &Context<'_>) {
        let place = &mut self.waiting[role as usize];
        match place {
            Some(waker) => waker.clone_from(context.waker()),
            None => *place = Some(context.waker().clone()),
        }
    }

    fn take_concerned(&mut self) -> [Option<Waker>; ROLES.len()] {
        ROLES.map(|role| {
            let concerned = self.waiting[role as usize].is_some() && self.concerns(role);
            concerned
                .then(|| self.waiting[role as usize].take())
                .flatten()
        })
    }

    fn concerns(&self, role: Role) -> bool {
        let session = &self.session;
        match role {
            Role::Reader => session.has_message() || !session.is_open(),
            Role::Writer => session.has_room() || !session.is_open(),
            Role::Drainer => session.queued_bytes() == 0 || !session.is_open(),
            Role::Receiver => session.has_frame(),
            Role::Sender => session.has_ear() || !session.is_open(),
            Role::Timer => session
                .poll_timeout()
                .is_none_or(|deadline| self.armed.is_none_or(|armed| deadline < armed)),
        }
    }
}

fn wake(woken: [Option<Waker>; ROLES.len()]) {
    woken.into_iter().flatten().for_each(Waker::wake);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    use super::*;
    use crate::session::{Closing, Limits, ReceiverId, ReceiverKind};

    #[derive(Default)]
    struct Alarm(AtomicBool);

    impl Wake for Alarm {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn session() -> (Arc<Shared>, ReceiverId) {
        let limits = Limits {
            heartbeat: Duration::from_secs(25),
            heartbeat_timeout: Duration::from_secs(10),
            disconnect_delay: Duration::from_secs(5),
            max_queued_bytes: 1,
        };
        let (mut session, receiver) = Session::open(limits, ReceiverKind::Response, Instant::now());
        session.poll_frame(receiver);
        (Shared::new(session), receiver)
    }

    /// Whether someone who waits in this role is woken by what is done.
    fn wakes(role: Role, shared: &Shared, act: impl FnOnce(&mut Session)) -> bool {
        let alarm = Arc::new(Alarm::default());
        let waker = Waker::from(Arc::clone(&alarm));
        let mut context = Context::from_waker(&waker);
        if let Role::Timer = role {
            shared.poll_deadline(&mut context);
        } else {
            let waiting = shared.poll(role, &mut context, |_| Poll::<()>::Pending);
            assert!(waiting.is_pending());
        }
        alarm.0.store(false, Ordering::Relaxed);
        shared.with(act);
        alarm.0.load(Ordering::Relaxed)
    }

    #[test]
    fn who_waits_is_woken_by_what_he_waits_for() {
        let message = || vec!["x".to_owned()];
        let (shared, receiver) = session();
        assert!(wakes(Role::Reader, &shared, |session| session.heard(message())));
        assert!(wakes(Role::Sender, &shared, |session| {
            session.poll_message();
        }));
        assert!(wakes(Role::Receiver, &shared, |session| {
            session.send("x".to_owned()).unwrap();
        }));
        for role in [Role::Writer, Role::Drainer] {
            shared.with(|session| {
                let _full = session.send("x".to_owned());
            });
            assert!(wakes(role, &shared, |session| {
                session.poll_frame(receiver);
            }));
        }
        assert!(wakes(Role::Timer, &shared, |session| {
            session.detach(receiver, Instant::now());
        }));
    }

    #[test]
    fn others_are_left_alone() {
        let (shared, _receiver) = session();
        shared.with(|session| session.heard(vec!["x".to_owned()]));
        assert!(!wakes(Role::Sender, &shared, |session| {
            session.send("x".to_owned()).unwrap();
        }));
        assert!(!wakes(Role::Writer, &shared, |session| session.heard(Vec::new())));
        let (shared, _receiver) = session();
        for role in [Role::Receiver, Role::Timer] {
            let heard = |session: &mut Session| session.heard(Vec::new());
            assert!(!wakes(role, &shared, heard), "{role:?}");
        }
    }

    #[test]
    fn the_end_wakes_everybody() {
        for role in ROLES {
            let (shared, _receiver) = session();
            assert!(
                wakes(role, &shared, |session| {
                    session.close(Closing::new(3000, "Go away!"), Instant::now());
                }),
                "{role:?}"
            );
        }
    }
}
