use std::io::{self, Write};
use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::entry::Entry;
use super::{AccessLog, AccessLogFormat};

/// Where lines are written to. They come whole and many at once.
pub type AccessLogOutput = Box<dyn Write + Send>;

/// Writes what an [`AccessLog`] is told, in the order in which requests end.
pub struct AccessLogWriter {
    log: AccessLog,
    waiting: mpsc::Receiver<Box<Entry>>,
    format: AccessLogFormat,
}

/// How many entries are taken at once.
const TAKEN: usize = 256;
/// So many bytes are written without waiting for more.
const ENOUGH: usize = 64 * 1024;
/// When nothing more came for so long, what there is is written.
const PAUSE: Duration = Duration::from_millis(100);
/// Nothing waits for longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

impl AccessLogWriter {
    pub(super) fn new(
        log: AccessLog,
        waiting: mpsc::Receiver<Box<Entry>>,
        format: AccessLogFormat,
    ) -> Self {
        Self {
            log,
            waiting,
            format,
        }
    }

    /// Writes to `output`, and after [`AccessLog::reopen`] to what `open` gives, until `stopped` ends and everything
    /// that was told before is written. When writing fails the lines are lost and counted, and the next ones are tried again; when
    /// `open` fails the last output stays. Threads that may block do both.
    pub async fn run(
        mut self,
        output: AccessLogOutput,
        open: impl Fn() -> io::Result<AccessLogOutput> + Clone + Send + 'static,
        stopped: impl Future<Output = ()>,
    ) {
        let mut stopped = pin!(stopped);
        let (mut lines, mut taken) = (Lines::new(output), Vec::with_capacity(TAKEN));
        loop {
            tokio::select! {
                biased;
                () = self.log.reopened() => {
                    lines = lines.write(&self.log).await;
                    lines = lines.reopen(open.clone()).await;
                }
                // Before what comes: a writer that cannot keep up must write.
                () = sleep_until(lines.due), if lines.are_due() => lines = lines.write(&self.log).await,
                _ = self.waiting.recv_many(&mut taken, TAKEN) => lines.add(taken.drain(..), self.format),
                () = stopped.as_mut() => break,
            }
            if lines.text.len() >= ENOUGH {
                lines = lines.write(&self.log).await;
            }
        }
        self.waiting.close();
        while self.waiting.recv_many(&mut taken, TAKEN).await > 0 {
            lines.add(taken.drain(..), self.format);
            lines = lines.write(&self.log).await;
        }
        lines.write(&self.log).await;
    }
}

/// Lines that are not written yet, and where they belong.
struct Lines {
    output: Option<AccessLogOutput>,
    text: Vec<u8>,
    /// When the first of them came.
    since: Instant,
    /// When they are to be written.
    due: Instant,
    /// Whether the last attempt to write failed.
    failing: bool,
    /// Whether what was written ends within a line.
    torn: bool,
}

/// How far writing came.
struct Written {
    bytes: usize,
    outcome: io::Result<()>,
}

impl Lines {
    fn new(output: AccessLogOutput) -> Self {
        let now = Instant::now();
        Self {
            output: Some(output),
            text: Vec::new(),
            since: now,
            due: now,
            failing: false,
            torn: false,
        }
    }

    fn are_due(&self) -> bool {
        !self.text.is_empty()
    }

    fn add(&mut self, entries: impl Iterator<Item = Box<Entry>>, format: AccessLogFormat) {
        let now = Instant::now();
        if self.text.is_empty() {
            self.since = now;
            if self.torn {
                self.text.push(b'\n');
            }
        }
        for entry in entries {
            format.write(&entry, &mut self.text);
        }
        self.due = (now + PAUSE).min(self.since + LONGEST_WAIT);
    }

    /// Tries to write all, and keeps nothing.
    async fn write(mut self, log: &AccessLog) -> Self {
        if self.text.is_empty() {
            return self;
        }
        let text = std::mem::take(&mut self.text);
        let output = self.output.take();
        let written = spawn_blocking(move || {
            let mut output = output?;
            let written = write_all(&mut output, &text);
            Some((output, text, written))
        });
        // There is none any more if the output has panicked, or the runtime ends.
        if let Ok(Some((output, text, written))) = written.await {
            self.output = Some(output);
            self.note(&text, &written, log);
            self.text = text;
            self.text.clear();
        }
        self
    }

    fn note(&mut self, text: &[u8], written: &Written, log: &AccessLog) {
        if let Some(last) = text[..written.bytes].last() {
            self.torn = *last != b'\n';
        }
        // The end of a line that was torn before is no line.
        let rest = &text[written.bytes.max(usize::from(text[0] == b'\n'))..];
        log.lost(rest.iter().filter(|byte| **byte == b'\n').count() as u64);
        match (&written.outcome, self.failing) {
            (Err(error), false) => {
                tracing::warn!(%error, "the access log cannot be written; requests are missing in it");
            }
            (Ok(()), true) => {
                tracing::warn!(missing = log.dropped(), "the access log is written again");
            }
            _ => {}
        }
        self.failing = written.outcome.is_err();
    }

    async fn reopen(
        mut self,
        open: impl Fn() -> io::Result<AccessLogOutput> + Send + 'static,
    ) -> Self {
        match spawn_blocking(open).await {
            Ok(Ok(output)) => {
                self.output = Some(output);
                self.torn = false;
                tracing::info!("the access log is opened anew");
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the access log cannot be opened anew; the last one is used on");
            }
            Err(error) => tracing::warn!(%error, "the access log cannot be opened anew"),
        }
        self
    }
}

fn write_all(output: &mut AccessLogOutput, text: &[u8]) -> Written {
    let mut bytes = 0;
    while bytes < text.len() {
        match output.write(&text[bytes..]) {
            Ok(0) => return Written::failed(bytes, io::ErrorKind::WriteZero.into()),
            Ok(more) => bytes += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Written::failed(bytes, error),
        }
    }
    Written {
        bytes,
        outcome: output.flush(),
    }
}

impl Written {
    fn failed(bytes: usize, error: io::Error) -> Self {
        Self {
            bytes,
            outcome: Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::access_log::Pending;

    /// Takes so many bytes more, then no more until there is room again.
    #[derive(Clone)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Disk {
        fn with_room(room: usize) -> Self {
            Self(Arc::new(Mutex::new((Vec::new(), room))))
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().0.clone()).unwrap()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (text, room) = &mut *self.0.lock();
            let taken = bytes.len().min(*room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *room -= taken;
            text.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn begin(disk: &Disk, later: &Disk) -> (AccessLog, oneshot::Sender<()>, JoinHandle<()>) {
        let (log, writer) = AccessLog::new(AccessLogFormat::Combined, false);
        let (stop, stopped) = oneshot::channel::<()>();
        let later = later.clone();
        let open = move || Ok(Box::new(later.clone()) as AccessLogOutput);
        let writing = writer.run(Box::new(disk.clone()), open, async { drop(stopped.await) });
        (log, stop, tokio::spawn(writing))
    }

    fn tell(log: &AccessLog) {
        drop(Pending::new(log, [127, 0, 0, 1].into(), None));
    }

    async fn until(reached: impl Fn() -> bool) {
        let waiting = async {
            while !reached() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), waiting);
        waited.await.expect("it should have happened by now");
    }

    const LENGTH: usize =
        "127.0.0.1 - - [24/Nov/2026:10:51:33 +0000] \"-\" 499 - \"-\" \"-\"\n".len();

    #[tokio::test]
    async fn a_full_disk_costs_the_lines_that_do_not_fit_and_no_others() {
        let disk = Disk::with_room(LENGTH + 10);
        let (log, stop, writing) = begin(&disk, &disk);
        for missing in [0, 1, 2] {
            tell(&log);
            until(|| log.dropped() == missing).await;
            until(|| disk.text().len() >= LENGTH).await;
        }
        disk.0.lock().1 = usize::MAX;
        tell(&log);
        drop(stop);
        writing.await.unwrap();
        let text = disk.text();
        let lines: Vec<_> = text.lines().map(str::len).collect();
        assert_eq!(lines, [LENGTH - 1, 10, LENGTH - 1], "{text}");
        assert_eq!(log.dropped(), 2);
    }

    #[tokio::test]
    async fn what_comes_after_reopening_is_elsewhere() {
        let [disk, later] = [Disk::with_room(usize::MAX), Disk::with_room(usize::MAX)];
        let (log, stop, writing) = begin(&disk, &later);
        tell(&log);
        until(|| disk.text().len() == LENGTH).await;
        log.reopen();
        // It is taken note of before anything else that came meanwhile.
        tokio::task::yield_now().await;
        tell(&log);
        drop(stop);
        writing.await.unwrap();
        assert_eq!([disk, later].map(|disk| disk.text().len()), [LENGTH; 2]);
    }

    #[tokio::test]
    async fn what_nobody_writes_is_counted_and_not_waited_for() {
        let (log, writer) = AccessLog::new(AccessLogFormat::Json, false);
        for _ in 0..super::super::MOST_WAITING + 3 {
            tell(&log);
        }
        assert_eq!(log.dropped(), 3);
        let disk = Disk::with_room(usize::MAX);
        let open = || Err(io::ErrorKind::NotFound.into());
        let output = Box::new(disk.clone());
        writer.run(output, open, std::future::ready(())).await;
        assert_eq!(disk.text().lines().count(), super::super::MOST_WAITING);
    }
}
