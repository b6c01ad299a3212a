//! Keeps one worker for each instance going, and wakes it when something happens.
//!
//! The engine's event stream makes reactions quick; a listing from time to time makes them certain.

mod adoption;
mod listing;
pub(crate) mod observation;
pub mod plan;
mod worker;

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream, stream::BoxStream};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

pub(crate) use adoption::meet;
pub(crate) use listing::by_instance;
pub use worker::Patience;
pub(crate) use worker::Shared;
use worker::Worker;

use crate::{engine::Event, supervision::supervise};

/// Wait before asking for the event stream again after it was lost; doubles while it is lost again
/// before it told of anything.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

pub(crate) struct Reconciler {
    shared: Arc<Shared>,
    /// Instances that were there when it was made; all others come as `added`.
    present: Vec<String>,
    added: mpsc::UnboundedReceiver<String>,
    tasks: JoinSet<()>,
    containers_due: Arc<Notify>,
    images_due: Arc<Notify>,
    pause: Duration,
}

/// All that can happen.
enum Happening {
    Stop,
    Added(String),
    Engine(Event),
    EventsLost,
    EventsBack(BoxStream<'static, Event>),
    TaskEnded,
}

impl Reconciler {
    pub(crate) fn new(shared: Arc<Shared>, added: mpsc::UnboundedReceiver<String>) -> Self {
        let images_due = shared.images.due();
        let present = shared.instances.ids();
        Self {
            shared,
            present,
            added,
            tasks: JoinSet::new(),
            containers_due: Arc::default(),
            images_due,
            pause: Duration::ZERO,
        }
    }

    /// Reconciles until it is told to stop. Then steps that are under way are given up; the next
    /// start goes on from what it observes.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        self.start_listing(
            "the listing of containers",
            &self.containers_due.clone(),
            listing::list_containers,
        );
        self.start_listing(
            "the listing of images",
            &self.images_due.clone(),
            listing::list_images,
        );
        for id in std::mem::take(&mut self.present) {
            self.start_worker(id);
        }
        let mut events = stream::empty().boxed();
        loop {
            let happening = tokio::select! {
                () = stop.cancelled() => Happening::Stop,
                Some(id) = self.added.recv() => Happening::Added(id),
                event = events.next() => event.unwrap_or(Happening::EventsLost),
                Some(_) = self.tasks.join_next() => Happening::TaskEnded,
            };
            match happening {
                Happening::Stop => return,
                Happening::Added(id) => self.start_worker(id),
                Happening::Engine(event) => self.engine_event(event),
                Happening::EventsLost => {
                    events = self.resubscribe();
                    self.containers_due.notify_one();
                }
                Happening::EventsBack(stream) => {
                    events = stream.map(Happening::Engine).boxed();
                    self.containers_due.notify_one();
                    self.images_due.notify_one();
                }
                Happening::TaskEnded => {}
            }
        }
    }

    fn start_worker(&mut self, id: String) {
        let shared = Arc::clone(&self.shared);
        let what = format!("the worker of {id}");
        let make = move || Worker::new(Arc::clone(&shared), &id).map(Worker::run);
        self.tasks.spawn(supervise(what, make));
    }

    fn start_listing<F>(
        &mut self,
        what: &str,
        due: &Arc<Notify>,
        list: fn(Arc<Shared>, Arc<Notify>) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (shared, due) = (Arc::clone(&self.shared), Arc::clone(due));
        let make = move || Some(list(Arc::clone(&shared), Arc::clone(&due)));
        self.tasks.spawn(supervise(what.to_owned(), make));
    }

    fn engine_event(&mut self, event: Event) {
        self.pause = SHORTEST_PAUSE;
        self.shared.images.ledger().stir();
        let instances = &self.shared.instances;
        match event {
            Event::Container { instance, ended } => {
                if let Some(ended) = ended {
                    instances.see_end(&instance, &ended);
                }
                instances.wake(&instance);
            }
            Event::Image => self.images_due.notify_one(),
            Event::PulledByDigest(name) => self.shared.images.pulled_by_digest(&name),
        }
    }

    /// A stream that yields the engine's new event stream once there is one.
    fn resubscribe(&mut self) -> BoxStream<'static, Happening> {
        let (shared, pause) = (Arc::clone(&self.shared), self.pause);
        self.pause = (pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        stream::once(subscribed(shared, pause)).boxed()
    }
}

async fn subscribed(shared: Arc<Shared>, mut pause: Duration) -> Happening {
    let mut reported = None;
    loop {
        sleep(pause).await;
        match shared.engine.events(&shared.launcher_id).await {
            Ok(events) => {
                if reported.is_some() {
                    tracing::info!("the Docker engine is back");
                }
                return Happening::EventsBack(events);
            }
            // Said once, and again when it is something else.
            Err(error) if reported.as_ref() != Some(&error) => {
                tracing::warn!(%error, "no events from the Docker engine; trying again");
                reported = Some(error);
            }
            Err(_) => {}
        }
        pause = (pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    }
}
