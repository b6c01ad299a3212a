//! One terminal, from its program's start to its end.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::{
    io::AsyncWriteExt,
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::{Admitted, Cause, Ending, LONGEST};
use crate::{
    Error,
    audit::{AuditAction, AuditEntry},
    engine::{EngineError, Exec, ExecControl, ExecSpec, TerminalSize},
    environment::masked_command,
    ids::random_id,
    store::StoreError,
};

/// The exit code of what SIGKILL ended.
const KILLED: i64 = 137;
/// How long after its programs a container ends at most, as the engine tells it.
const CONTAINER_END: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What a caller says in a terminal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Said {
    /// Something for the program to read.
    Input(Bytes),
    /// There is no more for it to read.
    EndOfInput,
    /// The terminal has another size.
    Size(TerminalSize),
}

type Output = BoxStream<'static, Result<Bytes, EngineError>>;

impl Admitted {
    /// Runs the program until the terminal is at its end, which its caller is yet to be told. `heard`
    /// is what the caller says; when it is closed, he has left. `shown` is what he is shown; neither
    /// is taken faster than the other side takes it.
    pub async fn run(&self, heard: mpsc::Receiver<Said>, shown: mpsc::Sender<Bytes>) -> Ending {
        let failed = |error: Error| Ending {
            exit_code: None,
            cause: Cause::Failed(error.to_string()),
        };
        let mut entry = match self.begin().await {
            Ok(entry) => entry,
            Err(error) => return failed(error),
        };
        let spec = ExecSpec {
            command: self.order.command.clone(),
            tty: self.order.tty,
            mark: entry.id.clone(),
        };
        let ending = match self.terminals.engine.exec(&entry.container, &spec).await {
            Ok(exec) => self.converse(exec, &entry.container, heard, shown).await,
            Err(error) => failed(error.into()),
        };
        entry.ended_at = Some(Timestamp::now());
        entry.exit_code = ending.exit_code;
        entry.reason = Some(ending.cause.to_string());
        if let Err(error) = self.terminals.audit.change(&entry).await {
            tracing::warn!(%error, terminal = %entry.id, "the end of a terminal is not in the audit log");
        }
        ending
    }

    /// Nothing is run that the audit log does not tell of.
    async fn begin(&self) -> Result<AuditEntry, Error> {
        if self.terminals.stop.is_cancelled() {
            return Err(Error::ShuttingDown);
        }
        let order = &self.order;
        if let Some(limit) = self.over {
            return Err(Error::TooManyTerminals(limit));
        }
        let entry = AuditEntry {
            id: random_id(),
            action: AuditAction::Exec,
            instance: order.instance.clone(),
            container: self.terminals.container(order)?,
            peer: order.peer.clone(),
            command: masked_command(&order.command),
            started_at: Timestamp::now(),
            ended_at: None,
            exit_code: None,
            reason: None,
        };
        let added: Result<(), StoreError> = self.terminals.audit.add(&entry).await;
        added?;
        Ok(entry)
    }

    async fn converse(
        &self,
        exec: Exec,
        container: &str,
        heard: mpsc::Receiver<Said>,
        shown: mpsc::Sender<Bytes>,
    ) -> Ending {
        // Both stay open until it is ended: it must not see an end that its caller did not give.
        let Exec {
            mut output,
            mut input,
            mut control,
        } = exec;
        let idle = self.terminals.settings.idle;
        let pulse = Pulse::default();
        let cause = tokio::select! {
            cause = show(&mut output, &shown, &pulse) => cause,
            () = hear(heard, &mut input, &*control, &pulse) => Cause::Left,
            () = pulse.stops_for(idle) => Cause::Idle(idle),
            () = sleep(LONGEST) => Cause::TooLong,
            () = self.terminals.stop.cancelled() => Cause::Stopping,
        };
        match cause {
            Cause::Exited => self.exited(&mut *control, container).await,
            cause => Ending {
                exit_code: end(&mut *control, container).await,
                cause,
            },
        }
    }

    /// The program has ended, alone or with its container.
    async fn exited(&self, control: &mut dyn ExecControl, container: &str) -> Ending {
        let exit_code = match control.exit_code().await {
            Ok(code) => code,
            // It has closed its output and goes on, or the engine is gone.
            Err(error) => {
                tracing::debug!(%error, "the exit code of a program is not known");
                end(control, container).await
            }
        };
        // Only the end of its container, or a caller who did so, kills a program. A container's
        // programs end a moment before the engine knows that it has ended.
        let patience = match exit_code {
            None | Some(KILLED) => CONTAINER_END,
            Some(_) => Duration::ZERO,
        };
        let ended = self.ends_within(container, patience).await;
        Ending {
            exit_code,
            cause: if ended {
                Cause::ContainerEnded
            } else {
                Cause::Exited
            },
        }
    }

    /// Whether the container has ended, or does in this time.
    async fn ends_within(&self, container: &str, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        loop {
            match self.terminals.engine.inspect(container).await {
                Ok(description) if description["State"]["Running"] == false => return true,
                Err(error) => return matches!(error, EngineError::NotFound(_)),
                Ok(_) if Instant::now() >= until => return false,
                Ok(_) => sleep(LOOK_AGAIN).await,
            }
        }
    }
}

/// Ends a program that nobody listens to any more; returns its exit code.
async fn end(control: &mut dyn ExecControl, container: &str) -> Option<i64> {
    if let Err(error) = control.end().await {
        tracing::warn!(%container, %error, "a terminal's program may go on");
        return None;
    }
    control.exit_code().await.ok().flatten()
}

/// Until there is nothing more to show, or nobody to show it to.
async fn show(output: &mut Output, shown: &mpsc::Sender<Bytes>, pulse: &Pulse) -> Cause {
    while let Some(piece) = output.next().await {
        match piece {
            Ok(piece) => {
                if shown.send(piece).await.is_err() {
                    return Cause::Left;
                }
                pulse.beat();
            }
            // The connection to the engine broke, as it does when that is restarted.
            Err(error) => {
                tracing::debug!(%error, "a terminal's output broke off");
                return Cause::Exited;
            }
        }
    }
    Cause::Exited
}

/// Until the caller has left.
async fn hear(
    mut heard: mpsc::Receiver<Said>,
    input: impl tokio::io::AsyncWrite + Unpin,
    control: &dyn ExecControl,
    pulse: &Pulse,
) {
    let mut input = Some(input);
    while let Some(said) = heard.recv().await {
        let outcome = match (said, input.as_mut()) {
            (Said::Input(bytes), Some(input)) => input.write_all(&bytes).await,
            (Said::EndOfInput, Some(open)) => {
                let shut = open.shutdown().await;
                input = None;
                shut
            }
            (Said::Size(size), _) => {
                if let Err(error) = control.resize(size).await {
                    tracing::debug!(%error, "a terminal could not be resized");
                }
                Ok(())
            }
            (_, None) => Ok(()),
        };
        if let Err(error) = outcome {
            // It reads no more; its output tells when it has ended.
            tracing::debug!(%error, "a program does not read");
            input = None;
        }
        pulse.beat();
    }
}

/// When something was last said.
struct Pulse(Mutex<Instant>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Pulse {
    fn beat(&self) {
        *self.0.lock() = Instant::now();
    }

    async fn stops_for(&self, idle: Duration) {
        loop {
            let end = *self.0.lock() + idle;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}
