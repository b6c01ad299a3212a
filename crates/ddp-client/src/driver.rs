//! The task of a client: it pumps between handles, the connection's state machine and the socket.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use ddp_protocol::client::{Backoff, Change, Connection, Event as Happened, Loss, Status as Phase};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep_until;

use crate::command::Command;
use crate::dial::{Dialer, Socket};
use crate::dial_error::DialError;
use crate::errands::Errands;
use crate::event::Event;
use crate::shared::Shared;
use crate::status::Status;
use crate::time::later;
use crate::wire::{Arrived, Wire};

/// A client and what it needs to run.
pub(crate) struct Driver {
    pub(crate) connection: Connection,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) backoff: Backoff,
    /// Whether a lost connection is replaced.
    pub(crate) reconnects: bool,
    /// Whether the first attempt must succeed.
    pub(crate) must_begin: bool,
    pub(crate) connected_at: Option<Instant>,
    pub(crate) commands: UnboundedReceiver<Command>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) errands: Errands,
    pub(crate) link: Link,
    pub(crate) _ending: Ending,
    /// What was last heard of the socket when it ended.
    pub(crate) last_words: Option<String>,
}

/// Tells everybody that there is no more news, however the task ends.
pub(crate) struct Ending(pub(crate) Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What there is of a connection.
pub(crate) enum Link {
    /// Nothing, and nothing is done about it.
    Idle,
    /// The next attempt comes at this time.
    Waiting(Instant),
    Dialing(Pin<Box<dyn Future<Output = Result<Socket, DialError>> + Send>>),
    Up(Box<Wire>),
}

/// What the task has waited for.
enum Input {
    Command(Option<Command>),
    Dialed(Result<Socket, DialError>),
    Arrived(Arrived),
    RetryNow,
    Alarm,
}

impl Driver {
    /// Runs until nobody has a handle any more, or one asks for the end.
    pub(crate) async fn run(mut self) {
        self.dial();
        loop {
            match self.next().await {
                Input::Command(None | Some(Command::Close)) => break,
                Input::Command(Some(command)) => self.obey(command),
                Input::Dialed(Ok(socket)) => self.open(socket),
                Input::Dialed(Err(error)) => self.fail_to_dial(&error),
                Input::Arrived(arrived) => self.take(arrived),
                Input::RetryNow => self.dial(),
                Input::Alarm => self.connection.handle_timeout(Instant::now()),
            }
            self.dispatch();
        }
        self.end().await;
    }

    async fn next(&mut self) -> Input {
        let alarm = self.connection.poll_timeout();
        tokio::select! {
            command = self.commands.recv() => Input::Command(command),
            input = self.link.next(&mut self.connection) => input,
            () = at(alarm) => Input::Alarm,
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Reconnect => self.reconnect(),
            Command::Disconnect => self.disconnect(),
            other => self.errands.take(other, &mut self.connection),
        }
    }

    fn take(&mut self, arrived: Arrived) {
        match arrived {
            Arrived::Text(text) => self.connection.handle_text(&text, Instant::now()),
            Arrived::Nothing => {}
            Arrived::End(reason) => {
                self.last_words = Some(reason);
                self.connection.handle_disconnect();
            }
        }
    }

    fn dial(&mut self) {
        self.shared.set_status(Status::Connecting);
        self.link = Link::Dialing(Box::pin(Arc::clone(&self.dialer).dial()));
    }

    fn fail_to_dial(&mut self, error: &DialError) {
        let reason = format!("{}: {error}", self.dialer.address.authority);
        tracing::debug!(reason, "cannot connect");
        self.retry_later(reason.into());
    }

    fn open(&mut self, socket: Socket) {
        self.link = Link::Up(Box::new(Wire::new(socket)));
        self.connection.handle_open(Instant::now());
    }

    fn reconnect(&mut self) {
        if matches!(self.link, Link::Idle | Link::Waiting(_)) {
            self.backoff.reset();
            self.dial();
        }
    }

    fn disconnect(&mut self) {
        self.connection.disconnect();
        self.hang_up();
        self.shared.set_status(Status::Offline);
    }

    /// Tells everybody what has happened.
    fn dispatch(&mut self) {
        let mut changes: Vec<Change> = Vec::new();
        while let Some(event) = self.connection.poll_event() {
            if let Happened::Data(change) = event {
                changes.push(change);
                continue;
            }
            self.shared.apply(std::mem::take(&mut changes));
            self.tell(event);
        }
        self.shared.apply(changes);
    }

    fn tell(&mut self, event: Happened) {
        match event {
            Happened::Status(phase) => self.follow(phase),
            Happened::CallFinished { call, result } => self.errands.finish_call(call, result),
            Happened::Ready { sub } => self.errands.make_ready(&sub),
            Happened::Stopped { sub, error } => self.errands.stop(&sub, error),
            Happened::Data(change) => self.shared.apply(vec![change]),
            Happened::ShownEarly => {
                tracing::warn!("data was held back for too long, and is shown though not complete");
                self.shared.tell(Event::ShownEarly);
            }
            Happened::User { id } => self.shared.set_user(id),
            Happened::LoginLost(error) => self.shared.tell(Event::LoginLost(error.into())),
            Happened::Misunderstood { reason } => {
                tracing::warn!(reason, "the server did not understand a message");
                self.shared.tell(Event::Misunderstood(reason));
            }
        }
    }

    fn follow(&mut self, phase: Phase) {
        match phase {
            Phase::Connecting => self.shared.set_status(Status::Connecting),
            Phase::Connected => {
                self.must_begin = false;
                self.connected_at = Some(Instant::now());
                self.shared.set_status(Status::Connected);
            }
            // `disconnect` has seen to it
            Phase::Offline(Loss::Requested) => {}
            Phase::Offline(loss) => self.recover(loss),
        }
    }

    fn recover(&mut self, loss: Loss) {
        self.hang_up();
        let reason = match self.last_words.take() {
            Some(words) if loss == Loss::Disconnected => words,
            _ => loss.to_string(),
        };
        tracing::debug!(reason, "the connection is lost");
        if let Some(since) = self.connected_at.take() {
            self.backoff.connection_lost(since.elapsed());
        }
        match loss {
            Loss::OtherVersion => self.dial(),
            Loss::NoCommonVersion => self.give_up(reason.into()),
            _ => self.retry_later(reason.into()),
        }
    }

    fn retry_later(&mut self, reason: Arc<str>) {
        if self.must_begin || !self.reconnects {
            return self.give_up(reason);
        }
        let delay = self.backoff.next_delay(rand::random());
        let retry_at = later(delay);
        self.link = Link::Waiting(retry_at);
        self.shared.set_status(Status::Waiting {
            retry_at,
            attempts: self.backoff.attempts(),
            reason,
        });
    }

    fn give_up(&mut self, reason: Arc<str>) {
        self.link = Link::Idle;
        self.shared.set_status(Status::Failed { reason });
    }

    /// Ends the present connection, if there is one. The server is left without being waited for.
    fn hang_up(&mut self) {
        if let Link::Up(wire) = std::mem::replace(&mut self.link, Link::Idle) {
            tokio::spawn(wire.close());
        }
    }

    async fn end(mut self) {
        self.connection.disconnect();
        // what still waits in the channel is answered by its end
        self.commands.close();
        while self.commands.try_recv().is_ok() {}
        drop(self.errands);
        if let Link::Up(wire) = self.link {
            wire.close().await;
        }
    }
}

impl Link {
    async fn next(&mut self, connection: &mut Connection) -> Input {
        match self {
            Self::Idle => pending().await,
            Self::Waiting(until) => {
                at(Some(*until)).await;
                Input::RetryNow
            }
            Self::Dialing(attempt) => Input::Dialed(attempt.await),
            Self::Up(wire) => Input::Arrived(wire.next(connection).await),
        }
    }
}

/// Waits for a time, or for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => pending().await,
    }
}
