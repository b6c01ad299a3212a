//! The handle by which work on an image tells how far it is.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::lines::Lines;
use crate::{Build, BuildLog, BuildStatus, BuildStep, Change, LayerCount, Observer};

/// Shortest time between two tellings of progress. A new status is told at once: with five of them
/// in a build, nobody is told more than ten times in any second.
const PACE: Duration = Duration::from_millis(250);

/// Lines are told of sooner when so many wait.
const MANY_LINES: u64 = 1_000;

/// How work ended.
pub(crate) enum Outcome {
    /// The image is there, with this content id.
    Succeeded(Option<String>),
    /// It failed; why, in words for the caller.
    Failed(String),
    /// Somebody cancelled it.
    Cancelled,
}

/// Work that goes on. Everything here may be called as often as one likes.
pub(crate) struct Progress {
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
    cancelled: CancellationToken,
    over: watch::Sender<bool>,
    /// Told of every new status.
    entered: Notify,
}

struct State {
    build: Build,
    lines: Lines,
    /// When observers were last told.
    told: Instant,
    /// Whether a task waits to tell them again.
    due: bool,
}

impl Progress {
    pub(super) fn begin(build: Build, observer: Arc<dyn Observer>) -> Arc<Self> {
        observer.changed(Change::Build(&build.id, Some(&build)));
        Arc::new(Self {
            observer,
            state: Mutex::new(State {
                build,
                lines: Lines::new(),
                told: Instant::now(),
                due: false,
            }),
            cancelled: CancellationToken::new(),
            over: watch::Sender::new(false),
            entered: Notify::new(),
        })
    }

    /// Work on some image of which nobody hears.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Arc<Self> {
        super::tests::begin_unheard()
    }

    /// As it is now.
    pub(crate) fn build(&self) -> Build {
        self.state.lock().build.clone()
    }

    /// The build's id.
    pub(crate) fn id(&self) -> String {
        self.state.lock().build.id.clone()
    }

    /// What it has said.
    pub(super) fn log(&self) -> BuildLog {
        let state = self.state.lock();
        BuildLog {
            build: state.build.id.clone(),
            lines: state.lines.kept().cloned().collect(),
        }
    }

    /// How many lines it has said.
    pub(super) fn said(&self) -> u64 {
        self.state.lock().lines.said()
    }

    /// Resolves when it enters another status.
    pub(super) async fn entered(&self) {
        self.entered.notified().await;
    }

    /// Enters a new status.
    pub(crate) fn enter(&self, status: BuildStatus) {
        let mut state = self.state.lock();
        if state.build.status == status {
            return;
        }
        state.build.status = status;
        state.build.started_at.get_or_insert_with(Timestamp::now);
        self.tell(&mut state);
        self.entered.notify_one();
    }

    /// Its place among those that wait for their turn.
    pub(crate) fn place(self: &Arc<Self>, place: Option<u32>) {
        self.change(|build| build.place = place);
    }

    /// Bytes that were received, of those that are expected.
    pub(crate) fn received(self: &Arc<Self>, received: u64, expected: Option<u64>) {
        self.change(|build| {
            build.received_bytes = received;
            build.expected_bytes = expected;
        });
    }

    /// The step that is carried out.
    pub(crate) fn step(self: &Arc<Self>, step: BuildStep) {
        self.change(|build| build.step = Some(step));
    }

    /// Layers that are done.
    pub(crate) fn layers(self: &Arc<Self>, layers: LayerCount) {
        self.change(|build| build.layers = Some(layers));
    }

    /// The digest that the registry knows the image by.
    pub(crate) fn digest(self: &Arc<Self>, digest: String) {
        self.change(|build| build.digest = Some(digest));
    }

    /// Whether it has ended, in whatever way.
    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().build.status.is_over()
    }

    /// A piece of the log; lines end with a line feed.
    pub(crate) fn say(self: &Arc<Self>, text: &str) {
        let mut state = self.state.lock();
        state.lines.add(text);
        if state.lines.pending() >= MANY_LINES {
            self.tell_lines(&mut state);
        }
        self.tell_soon(&mut state);
    }

    /// A whole line of the log.
    pub(crate) fn say_line(self: &Arc<Self>, line: &str) {
        let mut state = self.state.lock();
        state.lines.end_line();
        state.lines.add(line);
        state.lines.end_line();
        self.tell_soon(&mut state);
    }

    /// Resolves when somebody wants the end of it.
    pub(crate) async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Asks for the end of it.
    pub(super) fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// Waits for the end of it.
    pub(super) async fn ended(&self) {
        // An error says that it is over, too.
        drop(self.over.subscribe().wait_for(|over| *over).await);
    }

    /// Enters how it ended; nobody is told before [`Self::tell_end`].
    pub(super) fn finish(&self, outcome: Outcome) -> (Build, BuildLog) {
        let mut state = self.state.lock();
        let State { build, lines, .. } = &mut *state;
        lines.end_line();
        build.finished_at = Some(Timestamp::now());
        build.place = None;
        match outcome {
            Outcome::Succeeded(image) => {
                build.status = BuildStatus::Succeeded;
                build.image_id = image;
            }
            Outcome::Failed(error) => {
                build.status = BuildStatus::Failed;
                build.error = Some(error);
            }
            Outcome::Cancelled => build.status = BuildStatus::Cancelled,
        }
        let build = build.clone();
        drop(state);
        (build, self.log())
    }

    pub(super) fn tell_end(&self) {
        self.tell(&mut self.state.lock());
        self.over.send_replace(true);
    }

    fn change(self: &Arc<Self>, change: impl FnOnce(&mut Build)) {
        let mut state = self.state.lock();
        change(&mut state.build);
        self.tell_soon(&mut state);
    }

    fn tell_lines(&self, state: &mut State) {
        let lines = state.lines.untold();
        if !lines.is_empty() {
            self.observer.changed(Change::Log(&state.build.id, &lines));
        }
    }

    fn tell(&self, state: &mut State) {
        self.tell_lines(state);
        self.observer
            .changed(Change::Build(&state.build.id, Some(&state.build)));
        state.told = Instant::now();
    }

    fn tell_soon(self: &Arc<Self>, state: &mut State) {
        if !state.due && !state.build.status.is_over() {
            state.due = true;
            tokio::spawn(tell_later(Arc::downgrade(self), state.told + PACE));
        }
    }
}

async fn tell_later(progress: Weak<Progress>, at: Instant) {
    sleep_until(at).await;
    if let Some(progress) = progress.upgrade() {
        let mut state = progress.state.lock();
        state.due = false;
        // The end is told by whoever ends it.
        if !state.build.status.is_over() {
            progress.tell(&mut state);
        }
    }
}
