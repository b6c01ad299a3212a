//! Keeps one worker for each instance going, and wakes it when something happens.
//!
//! The engine's event stream makes reactions quick; a listing from time to time makes them certain.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream, stream::BoxStream};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    engine::Event,
    listing,
    worker::{Shared, Worker},
};

/// Wait before asking for the event stream again after it was lost.
const RESUBSCRIBE: Duration = Duration::from_secs(1);
/// Wait before a worker that panicked is replaced.
const REPLACE: Duration = Duration::from_secs(1);

pub(crate) struct Reconciler {
    shared: Arc<Shared>,
    added: mpsc::UnboundedReceiver<String>,
    workers: JoinSet<()>,
    list: Arc<Notify>,
}

/// All that can happen.
enum Happening {
    Stop,
    Added(String),
    Engine(Event),
    EventsLost,
    EventsBack(BoxStream<'static, Event>),
    WorkerEnded,
}

impl Reconciler {
    pub(crate) fn new(shared: Arc<Shared>, added: mpsc::UnboundedReceiver<String>) -> Self {
        Self {
            shared,
            added,
            workers: JoinSet::new(),
            list: Arc::default(),
        }
    }

    /// Reconciles until it is told to stop. Then steps that are under way are given up; the next
    /// start goes on from what it observes.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let lister = listing::run(Arc::clone(&self.shared), Arc::clone(&self.list));
        let _lister = AbortOnDropHandle::new(tokio::spawn(lister));
        for id in self.shared.instances.ids() {
            self.start_worker(id);
        }
        let mut events = stream::empty().boxed();
        loop {
            let happening = tokio::select! {
                () = stop.cancelled() => Happening::Stop,
                Some(id) = self.added.recv() => Happening::Added(id),
                event = events.next() => event.unwrap_or(Happening::EventsLost),
                Some(_) = self.workers.join_next() => Happening::WorkerEnded,
            };
            match happening {
                Happening::Stop => return,
                Happening::Added(id) => self.start_worker(id),
                Happening::Engine(event) => self.engine_event(event),
                Happening::EventsLost => events = resubscribe(Arc::clone(&self.shared)),
                Happening::EventsBack(stream) => {
                    events = stream.map(Happening::Engine).boxed();
                    self.list.notify_one();
                }
                Happening::WorkerEnded => {}
            }
        }
    }

    fn start_worker(&mut self, id: String) {
        self.workers.spawn(supervise(Arc::clone(&self.shared), id));
    }

    fn engine_event(&self, event: Event) {
        let instances = &self.shared.instances;
        match event {
            Event::Container { instance, ended } => {
                if let Some(ended) = ended {
                    instances.see_end(&instance, ended);
                }
                instances.wake(&instance);
            }
            Event::Image => self.list.notify_one(),
        }
    }
}

/// Runs an instance's worker, and another one should it panic.
async fn supervise(shared: Arc<Shared>, id: String) {
    while let Some(worker) = Worker::new(Arc::clone(&shared), &id) {
        let Err(error) = AbortOnDropHandle::new(tokio::spawn(worker.run())).await else {
            return;
        };
        tracing::error!(instance = %id, %error, "a worker failed and is replaced");
        sleep(REPLACE).await;
    }
}

/// A stream that yields the engine's new event stream once there is one.
fn resubscribe(shared: Arc<Shared>) -> BoxStream<'static, Happening> {
    let events = async move {
        loop {
            match shared.engine.events(&shared.launcher_id).await {
                Ok(events) => return Happening::EventsBack(events),
                Err(error) => tracing::warn!(%error, "no events from the Docker engine"),
            }
            sleep(RESUBSCRIBE).await;
        }
    };
    stream::once(events).boxed()
}
