use std::ops::DerefMut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ddp_protocol::random::RandomStream;
use ddp_protocol::session::{CallKey, Work};
use parking_lot::{Mutex, MutexGuard};

use crate::command::{Command, SetUserId};
use crate::connection::Connection;
use crate::error::Error;
use crate::id::random_id;

/// What a method knows about its call (Meteor's `this` in a method).
#[derive(Debug)]
pub struct MethodContext {
    connection: Connection,
    call: CallKey,
    random_seed: Option<String>,
    user_id: Mutex<Option<Arc<str>>>,
    unblocked: AtomicBool,
    random: Mutex<Option<RandomStream>>,
}

/// Why the user could not be set.
#[derive(Debug, thiserror::Error)]
#[error("the user can only be set before unblock is called")]
struct Unblocked;

impl MethodContext {
    pub(crate) fn new(
        connection: Connection,
        call: CallKey,
        random_seed: Option<String>,
        user_id: Option<Arc<str>>,
    ) -> Self {
        Self {
            connection,
            call,
            random_seed,
            user_id: Mutex::new(user_id),
            unblocked: AtomicBool::new(false),
            random: Mutex::new(None),
        }
    }

    /// Lets the client's next message start before this method has returned.
    pub fn unblock(&self) {
        self.unblocked.store(true, Ordering::Relaxed);
        self.connection
            .send(Command::Unblock(Work::Method(self.call)));
    }

    /// The caller's connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Who is logged in on the connection, as this method knows it.
    pub fn user_id(&self) -> Option<Arc<str>> {
        self.user_id.lock().clone()
    }

    /// Logs a user in on the connection, or out. All subscriptions of the connection are run again
    /// with the new user; the client hears what is different in one go, and then this method's
    /// result.
    ///
    /// # Errors
    ///
    /// After [`unblock`](Self::unblock), as other messages of the client may be running: `500
    /// Internal server error`, as in Meteor (`packages/ddp-common/method_invocation.js`).
    pub fn set_user_id(&self, user_id: Option<&str>) -> Result<(), Error> {
        if self.unblocked.load(Ordering::Relaxed) {
            return Err(Unblocked.into());
        }
        let user_id: Option<Arc<str>> = user_id.map(Arc::from);
        self.user_id.lock().clone_from(&user_id);
        let call = self.call;
        let set = SetUserId { call, user_id };
        self.connection.send(Command::SetUserId(Box::new(set)));
        Ok(())
    }

    /// The random sequences of this call. Where the client has sent a seed, its stub makes the same
    /// values in the same order: ids for a collection come from `collection(name)`.
    ///
    /// ```
    /// # use ddp_server::Server;
    /// Server::builder().method("newId", |ctx, ()| async move {
    ///     Ok(ctx.random().collection("tasks").id())
    /// });
    /// ```
    pub fn random(&self) -> impl DerefMut<Target = RandomStream> + '_ {
        MutexGuard::map(self.random.lock(), |random| {
            random.get_or_insert_with(|| {
                let seed = self.random_seed.clone();
                RandomStream::new(seed.unwrap_or_else(random_id))
            })
        })
    }

    /// The seed that the client sent for ids that both sides make alike.
    pub fn random_seed(&self) -> Option<&str> {
        self.random_seed.as_deref()
    }

    /// Begins a write that may end after the method has returned (Meteor's write fence). The
    /// client hears `updated` only when the guard is dropped; drop it after the data was given
    /// to publications and live collections.
    pub fn begin_write(&self) -> WriteGuard {
        self.connection.send(Command::BeginWrite(self.call));
        WriteGuard {
            connection: self.connection.clone(),
            call: self.call,
        }
    }
}

/// A write that has not ended; see [`MethodContext::begin_write`].
#[derive(Debug)]
#[must_use = "the write ends when the guard is dropped"]
pub struct WriteGuard {
    connection: Connection,
    call: CallKey,
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        self.connection.send(Command::CommitWrite(self.call));
    }
}
