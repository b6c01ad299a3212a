//! Terminals: programs that callers run in an instance's container, and talk with.
//!
//! A caller orders one and gets a ticket, which is good once and soon; whoever brings it (over
//! whatever connection) gets the terminal. It ends with its program, when the caller leaves, when
//! nothing was said for too long, after [`LONGEST`], or with the launcher; its program never outlives
//! it. Every terminal has its entry in the audit log.

mod ending;
mod leftovers;
mod session;

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

pub use ending::{Cause, Ending};
pub use session::Said;

use crate::{
    Error, Status,
    audit::AuditLog,
    digest::{SecretHash, recognise},
    engine::{Engine, TerminalSize},
    instances::Instances,
};

/// How long a ticket is good.
const TICKET: Duration = Duration::from_secs(30);
/// Tickets that may be good at the same time.
const MAX_TICKETS: usize = 100;
/// Terminals that may be open at the same time, in all and of one instance.
pub const MAX_OPEN: usize = 50;
/// See [`MAX_OPEN`].
pub const MAX_OPEN_OF_INSTANCE: usize = 10;
/// How long a terminal may be open.
pub const LONGEST: Duration = Duration::from_secs(8 * 60 * 60);

/// How terminals are kept.
#[derive(Clone, Debug)]
pub struct TerminalSettings {
    /// A terminal in which nothing was typed and nothing shown for so long is closed.
    pub idle: Duration,
}

impl Default for TerminalSettings {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(15 * 60),
        }
    }
}

/// What somebody wants to run.
#[derive(Clone, Debug)]
pub struct TerminalOrder {
    /// In a container of the instance with this id.
    pub instance: String,
    /// Of which replica; without one, of the first that runs.
    pub replica: Option<u32>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Whether it gets a terminal, and of which size.
    pub tty: Option<TerminalSize>,
    /// Address of whoever wants it, as far as it is known.
    pub peer: Option<String>,
}

/// All terminals, and the tickets for those that are to come.
pub struct Terminals {
    engine: Arc<dyn Engine>,
    instances: Arc<Instances>,
    audit: Arc<AuditLog>,
    settings: TerminalSettings,
    stop: CancellationToken,
    open: TaskTracker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tickets: Vec<Ticket>,
    /// Open terminals of each instance that has one.
    open: HashMap<String, usize>,
}

struct Ticket {
    hash: SecretHash,
    good_until: Instant,
    order: TerminalOrder,
}

/// A terminal that its caller may have now. It counts as open until this is dropped.
pub struct Admitted {
    terminals: Arc<Terminals>,
    order: TerminalOrder,
    /// What [`Terminals::closed`] waits for.
    _open: TaskTrackerToken,
    /// How many there may be, where there was no room for it.
    over: Option<usize>,
}

impl Terminals {
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        instances: Arc<Instances>,
        audit: Arc<AuditLog>,
        settings: TerminalSettings,
    ) -> Arc<Self> {
        Arc::new(Self {
            engine,
            instances,
            audit,
            settings,
            stop: CancellationToken::new(),
            open: TaskTracker::new(),
            state: Mutex::default(),
        })
    }

    /// A ticket for a terminal, which is told nobody else and never again, and until when it is good.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`], [`Error::NoSuchReplica`], [`Error::DoesNotRun`],
    /// [`Error::TooManyTerminals`].
    pub fn offer(&self, order: TerminalOrder) -> Result<(String, Timestamp), Error> {
        if self.stop.is_cancelled() {
            return Err(Error::ShuttingDown);
        }
        self.container(&order)?;
        let now = Instant::now();
        let mut state = self.state.lock();
        state.tickets.retain(|ticket| now < ticket.good_until);
        if let Some(limit) = state.no_room(&order.instance) {
            return Err(Error::TooManyTerminals(limit));
        }
        if state.tickets.len() >= MAX_TICKETS {
            return Err(Error::TooManyTerminals(MAX_TICKETS));
        }
        let (secret, hash) = SecretHash::generate();
        state.tickets.push(Ticket {
            hash,
            good_until: now + TICKET,
            order,
        });
        Ok((
            secret,
            Timestamp::now() + SignedDuration::from_secs(TICKET.as_secs() as i64),
        ))
    }

    /// Whether somebody may have a terminal for this now.
    #[must_use]
    pub fn is_good(&self, ticket: &str) -> bool {
        self.state.lock().find(ticket).is_some()
    }

    /// Takes a ticket, which is used up by it.
    #[must_use]
    pub fn admit(self: &Arc<Self>, ticket: &str) -> Option<Admitted> {
        let mut state = self.state.lock();
        let index = state.find(ticket)?;
        let order = state.tickets.swap_remove(index).order;
        let over = state.no_room(&order.instance);
        if over.is_none() {
            *state.open.entry(order.instance.clone()).or_default() += 1;
        }
        Some(Admitted {
            terminals: Arc::clone(self),
            order,
            _open: self.open.token(),
            over,
        })
    }

    /// Ends all terminals, and opens no more.
    pub fn stop(&self) {
        self.stop.cancel();
        self.state.lock().tickets.clear();
        self.open.close();
    }

    /// Waits until all terminals are closed. For after [`Self::stop`].
    pub async fn closed(&self) {
        self.open.wait().await;
    }

    /// The container that a program is to run in.
    fn container(&self, order: &TerminalOrder) -> Result<String, Error> {
        let view = self.instances.view(&order.instance)?;
        let mut running = view
            .containers_of(order.replica)?
            .filter(|container| container.status == Status::Running);
        match (running.next(), order.replica) {
            (Some(container), _) => Ok(container.id.clone()),
            (None, Some(replica)) if view.record.replicas > 1 => Err(Error::ReplicaDoesNotRun {
                instance: order.instance.clone(),
                replica,
            }),
            (None, _) => Err(Error::DoesNotRun(order.instance.clone())),
        }
    }
}

impl State {
    fn find(&self, ticket: &str) -> Option<usize> {
        let known = self.tickets.iter().enumerate();
        let index = recognise(ticket, known.map(|(index, ticket)| (&ticket.hash, index)))?;
        (Instant::now() < self.tickets[index].good_until).then_some(index)
    }

    /// The limit that one more would exceed, if it would.
    fn no_room(&self, instance: &str) -> Option<usize> {
        let of_instance = self.open.get(instance).copied().unwrap_or(0);
        let all: usize = self.open.values().sum();
        (of_instance >= MAX_OPEN_OF_INSTANCE)
            .then_some(MAX_OPEN_OF_INSTANCE)
            .or((all >= MAX_OPEN).then_some(MAX_OPEN))
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if self.over.is_some() {
            return;
        }
        let mut state = self.terminals.state.lock();
        if let Some(open) = state.open.get_mut(&self.order.instance) {
            *open -= 1;
            if *open == 0 {
                state.open.remove(&self.order.instance);
            }
        }
    }
}
