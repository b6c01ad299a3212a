//! One reader for each container of an instance.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{pending::Pending, reader::Reader};
use crate::engine::{Container, ContainerState, Engine, EngineError};

/// A log that has ended is read again no sooner than so long after that was begun last.
const AGAIN: Duration = Duration::from_secs(1);
/// Logs that are looked at at the same time.
const AT_ONCE: usize = 8;

pub(super) struct Readers {
    engine: Arc<dyn Engine>,
    pending: Arc<Pending>,
    /// By container.
    all: HashMap<String, State>,
    reading: JoinSet<Box<Idle>>,
}

enum State {
    Reading,
    Idle(Box<Idle>),
}

/// A reader that does not read, and since when it has not been begun.
struct Idle {
    reader: Reader,
    begun: Option<Instant>,
}

impl Readers {
    pub(super) fn new(engine: Arc<dyn Engine>, pending: Arc<Pending>) -> Self {
        Self {
            engine,
            pending,
            all: HashMap::new(),
            reading: JoinSet::new(),
        }
    }

    /// These are the containers now: reads the logs of new ones, and of those that run anew. Of the
    /// first ones only what is written from now on.
    pub(super) async fn look(
        &mut self,
        containers: Vec<Container>,
        are_first: bool,
    ) -> Result<(), EngineError> {
        let is_there = |id: &str| containers.iter().any(|container| container.id == id);
        self.all
            .retain(|id, state| matches!(state, State::Reading) || is_there(id));
        let (known, new): (Vec<_>, Vec<_>) = containers
            .into_iter()
            .partition(|container| self.all.contains_key(&container.id));
        for container in known {
            if container.state == ContainerState::Running {
                self.wake(&container.id);
            }
        }
        let made = new.into_iter().map(|container| {
            let (engine, pending) = (Arc::clone(&self.engine), Arc::clone(&self.pending));
            let reader = Reader::new(engine, &container, pending);
            made(container, reader, are_first)
        });
        let made = stream::iter(made).buffer_unordered(AT_ONCE);
        let made: Vec<(Container, Reader)> = made.try_collect().await?;
        for (container, reader) in made {
            let idle = Box::new(Idle {
                reader,
                begun: None,
            });
            self.all.insert(container.id.clone(), State::Idle(idle));
            let has_more = match container.state {
                ContainerState::Running => true,
                _ => !are_first && container.started_at.is_some(),
            };
            if has_more {
                self.wake(&container.id);
            }
        }
        Ok(())
    }

    /// Resolves when a log has ended that was read.
    pub(super) async fn ended(&mut self) {
        match self.reading.join_next().await {
            None => std::future::pending().await,
            Some(Ok(idle)) => {
                let id = idle.reader.container().to_owned();
                self.all.insert(id, State::Idle(idle));
            }
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Resolves when all logs have ended that were read.
    pub(super) async fn all_ended(&mut self) {
        while !self.reading.is_empty() {
            self.ended().await;
        }
    }

    fn wake(&mut self, id: &str) {
        let Some(state) = self.all.get_mut(id) else {
            return;
        };
        if let State::Idle(idle) = std::mem::replace(state, State::Reading) {
            self.reading.spawn(read(idle));
        }
    }
}

async fn made(
    container: Container,
    mut reader: Reader,
    is_first: bool,
) -> Result<(Container, Reader), EngineError> {
    if is_first {
        reader.skip().await?;
    }
    Ok((container, reader))
}

async fn read(mut idle: Box<Idle>) -> Box<Idle> {
    if let Some(begun) = idle.begun {
        sleep_until(begun + AGAIN).await;
    }
    idle.begun = Some(Instant::now());
    if let Err(error) = idle.reader.read().await {
        tracing::debug!(container = idle.reader.container(), %error, "a log cannot be read");
    }
    idle
}
