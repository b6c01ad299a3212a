//! Programs that are run in a container beside its own.

use std::{fmt, pin::Pin};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWrite;

use super::EngineError;

/// The variable by which everything that was started with a program is found again.
pub const EXEC_MARK: &str = "LAUNCHER_TERMINAL";

/// What to run in a container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExecSpec {
    /// The program and its arguments. No shell is between.
    pub command: Vec<String>,
    /// Whether it gets a terminal, and of which size.
    pub tty: Option<TerminalSize>,
    /// Value of [`EXEC_MARK`] in its environment, which no other program has.
    pub mark: String,
}

/// Size of a terminal, in characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TerminalSize {
    /// Characters in a line.
    pub cols: u16,
    /// Lines.
    pub rows: u16,
}

/// A program that runs in a container. Engines let it go on when nobody listens any more; dropping
/// this ends it, and everything that it has started.
pub struct Exec {
    /// What it says: without a terminal, standard output and standard error in the order in which
    /// the engine tells of them. Read no faster than it is polled. Its end is the program's end.
    pub output: BoxStream<'static, Result<Bytes, EngineError>>,
    /// What it hears. Shutting this down is the end of its input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// The rest.
    pub control: Box<dyn ExecControl>,
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exec")
    }
}

/// What can be done to a program that runs in a container.
#[async_trait]
pub trait ExecControl: Send + Sync {
    /// Its terminal has another size. One that has ended is left alone.
    async fn resize(&self, size: TerminalSize) -> Result<(), EngineError>;

    /// With which code it ended, once its output has; `None` if the engine does not know, as of a
    /// container that is gone.
    async fn exit_code(&mut self) -> Result<Option<i64>, EngineError>;

    /// Ends it and everything that it has started, at once. Fails when something of it may go on.
    async fn end(&mut self) -> Result<(), EngineError>;
}
