//! Reads the log of one container as its program writes it.

use std::{sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{
    MAX_LINE,
    assemble::Assembler,
    line::{AppLogEntry, Origin},
    pending::Pending,
};
use crate::engine::{Container, Engine, EngineError, LogPiece, LogQuery, LogStream};

/// After a pause because a program writes more than anybody can read, the newest lines are asked for:
/// so many, which show at the same time whether any were missed.
const CATCH_UP: u32 = 100;
/// Lines that come so much later than others did are not the newest. Docker leaves out whole files of a
/// log, without a word, for those who read it too late.
const LATE: SignedDuration = SignedDuration::from_secs(1);
/// In which time lines are counted to know how fast they come; in less than the shorter one it depends
/// on how the program's writes fall.
const WINDOW: SignedDuration = SignedDuration::from_millis(250);
const SHORTEST_WINDOW: SignedDuration = SignedDuration::from_millis(20);
/// How long one entry may take to come where it is known to be there.
const NEWEST: Duration = Duration::from_secs(5);

/// Reads one container's log. It goes on where it was when the container runs anew.
pub(super) struct Reader {
    engine: Arc<dyn Engine>,
    container: String,
    replica: u32,
    pending: Arc<Pending>,
    lines: Lines,
    place: Place,
    rate: Rate,
}

/// The newest entry that was read.
#[derive(Clone, Copy, Default)]
struct Place {
    at: Option<Timestamp>,
    /// How many were read with this time.
    read: u32,
}

/// Why reading ended.
enum End {
    /// There is no more: the program has ended.
    Log,
    /// It writes more than may be read, or than the engine can tell.
    TooMuch,
}

impl Reader {
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        container: &Container,
        pending: Arc<Pending>,
    ) -> Self {
        let Container { id, replica, .. } = container;
        Self {
            engine,
            container: id.clone(),
            replica: *replica,
            pending,
            lines: Lines::new(id, *replica),
            place: Place::default(),
            rate: Rate::default(),
        }
    }

    pub(super) fn container(&self) -> &str {
        &self.container
    }

    /// What is in the log now is not read.
    pub(super) async fn skip(&mut self) -> Result<(), EngineError> {
        let query = LogQuery {
            tail: Some(1),
            ..LogQuery::default()
        };
        let look = async {
            let mut log = self.engine.logs(&self.container, &query).await?;
            while let Some(piece) = log.try_next().await? {
                self.place.advance(piece.at);
            }
            Ok(())
        };
        let late = |_| Err(EngineError::Deadline("tell the last line of a log"));
        match tokio::time::timeout(NEWEST, look)
            .await
            .unwrap_or_else(late)
        {
            // Its log is gone already, or going.
            Err(EngineError::NotFound(_) | EngineError::Conflict(_)) => Ok(()),
            other => other,
        }
    }

    /// Reads until the program has ended, or the log cannot be read any more.
    pub(super) async fn read(&mut self) -> Result<(), EngineError> {
        let mut query = LogQuery {
            since: self.place.at,
            follow: true,
            ..LogQuery::default()
        };
        loop {
            match self.read_on(&query).await? {
                End::Log => {
                    for entry in self.lines.rest() {
                        self.pending.add(entry);
                    }
                    return Ok(());
                }
                End::TooMuch => {
                    self.lines = Lines::new(&self.container, self.replica);
                    tokio::time::sleep(self.pending.pause()).await;
                    query.since = None;
                    query.tail = Some(CATCH_UP);
                }
            }
        }
    }

    async fn read_on(&mut self, query: &LogQuery) -> Result<End, EngineError> {
        let mut log = self.engine.logs(&self.container, query).await?;
        let mut overlap = Overlap::new(self.place);
        let mut may_miss = query.tail.is_some();
        let mut delay = Delay::default();
        self.rate.begin();
        while let Some(piece) = log.try_next().await? {
            if overlap.covers(piece.at) {
                may_miss = false;
                continue;
            }
            if std::mem::take(&mut may_miss) {
                self.note_gap(piece.at);
            }
            self.take(&piece);
            let is_late = delay.of(piece.at) > LATE;
            if !self.pending.may_read(piece.bytes.len()) || is_late {
                self.rate.end();
                return Ok(End::TooMuch);
            }
        }
        Ok(End::Log)
    }

    fn take(&mut self, piece: &LogPiece) {
        self.place.advance(piece.at);
        if let Some(entry) = self.lines.add(piece) {
            self.rate.count(piece);
            self.pending.add(entry);
        }
    }

    /// What was written before this, and after what was read, has never been read.
    fn note_gap(&self, to: Timestamp) {
        let Some(from) = self.place.at else {
            return;
        };
        let last = to - SignedDuration::from_nanos(1);
        for (stream, count) in self.rate.within(to.duration_since(from)) {
            let origin = Origin {
                container: self.container.clone(),
                replica: self.replica,
                stream,
            };
            self.pending.leave_unread(origin, last, count);
        }
    }
}

impl Place {
    fn advance(&mut self, at: Timestamp) {
        if self.at == Some(at) {
            self.read += 1;
        } else if self.at < Some(at) {
            *self = Self {
                at: Some(at),
                read: 1,
            };
        }
    }
}

/// Entries at the beginning of an answer that were read before.
struct Overlap {
    place: Place,
    /// How many with the time of the newest have come again.
    again: u32,
    is_over: bool,
}

impl Overlap {
    fn new(place: Place) -> Self {
        Self {
            place,
            again: 0,
            is_over: place.at.is_none(),
        }
    }

    fn covers(&mut self, at: Timestamp) -> bool {
        // Behind it, clocks may be set back.
        if self.is_over {
            return false;
        }
        let is_newest = self.place.at == Some(at);
        let is_read = Some(at) < self.place.at || (is_newest && self.again < self.place.read);
        self.again += u32::from(is_newest);
        self.is_over = !is_read;
        is_read
    }
}

/// How late lines come. The engine's clock need not agree with this one.
#[derive(Default)]
struct Delay {
    /// The line that came soonest: when it was written, and when it came.
    soonest: Option<(Timestamp, Instant)>,
}

impl Delay {
    /// By how much later than the soonest this line has come.
    fn of(&mut self, at: Timestamp) -> SignedDuration {
        let now = Instant::now();
        let (written, came) = *self.soonest.get_or_insert((at, now));
        let since = SignedDuration::try_from(now - came).unwrap_or_default();
        let delay = since - at.duration_since(written);
        if delay.is_negative() {
            self.soonest = Some((at, now));
        }
        delay
    }
}

/// From pieces to entries with ids.
pub(super) struct Lines {
    replica: u32,
    assembler: Assembler,
    /// Of each stream the time of the newest line, and how many before it had that.
    newest: [Option<(Timestamp, u32)>; 2],
}

impl Lines {
    pub(super) fn new(container: &str, replica: u32) -> Self {
        Self {
            replica,
            assembler: Assembler::new(container.to_owned(), MAX_LINE),
            newest: [None; 2],
        }
    }

    pub(super) fn add(&mut self, piece: &LogPiece) -> Option<AppLogEntry> {
        let line = self.assembler.add(piece)?;
        let newest = &mut self.newest[line.stream as usize];
        let index = match *newest {
            Some((at, index)) if at == line.at => index + 1,
            _ => 0,
        };
        *newest = Some((line.at, index));
        Some(AppLogEntry::shown(self.replica, line, index))
    }

    pub(super) fn rest(&mut self) -> Vec<AppLogEntry> {
        let (rest, replica) = (self.assembler.rest(), self.replica);
        rest.map(|line| AppLogEntry::shown(replica, line, 0))
            .collect()
    }
}

/// How fast lines come, by their own times.
#[derive(Default)]
struct Rate {
    per_second: [f64; 2],
    /// Since when these are counted, and up to when.
    window: Option<(Timestamp, Timestamp)>,
    counts: [u32; 2],
}

impl Rate {
    fn begin(&mut self) {
        self.window = None;
        self.counts = [0; 2];
    }

    fn count(&mut self, piece: &LogPiece) {
        let (from, _) = self.window.unwrap_or((piece.at, piece.at));
        self.window = Some((from, piece.at));
        self.counts[piece.stream as usize] += 1;
        if piece.at.duration_since(from) >= WINDOW {
            self.end();
            self.begin();
        }
    }

    /// No more come for now. What was counted in too short a time tells nothing.
    fn end(&mut self) {
        let Some((from, to)) = self.window else {
            return;
        };
        let time = to.duration_since(from);
        let is_known = self.per_second != [0.0; 2];
        if time >= SHORTEST_WINDOW || (time.is_positive() && !is_known) {
            self.per_second = self.counts.map(|n| f64::from(n) / time.as_secs_f64());
        }
    }

    /// How many lines may have come in this time, in which some have.
    fn within(&self, time: SignedDuration) -> impl Iterator<Item = (LogStream, u64)> {
        let count = |per_second: f64| (per_second * time.as_secs_f64()).round() as u64;
        let [stdout, stderr] = self.per_second.map(count);
        let stdout = if stderr == 0 { stdout.max(1) } else { stdout };
        let counts = [(LogStream::Stdout, stdout), (LogStream::Stderr, stderr)];
        counts.into_iter().filter(|(_, count)| *count > 0)
    }
}
