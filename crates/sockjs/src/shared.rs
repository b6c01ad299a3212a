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
    /// Held by the request whose messages are being taken, so that the next one's come after them.
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
