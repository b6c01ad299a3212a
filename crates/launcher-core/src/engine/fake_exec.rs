//! Programs in the containers of the fake engine: a few that tests need, in memory.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex, split},
    sync::watch,
};
use tokio_util::{io::ReaderStream, sync::CancellationToken};

use super::{EngineError, Exec, ExecControl, ExecSpec, TerminalSize};

/// What a program can say before somebody reads it, in bytes.
const PIPE: usize = 16 * 1024;
/// The code of what was killed.
const KILLED: i64 = 137;

/// All programs that run beside the containers' own.
#[derive(Clone, Default)]
pub(crate) struct FakePrograms(Arc<Mutex<BTreeMap<String, Running>>>);

struct Running {
    container: String,
    kill: CancellationToken,
}

impl FakePrograms {
    /// The marks of those that run.
    pub(crate) fn marks(&self) -> Vec<String> {
        self.0.lock().keys().cloned().collect()
    }

    pub(super) fn start(&self, container: &str, spec: &ExecSpec) -> Exec {
        let kill = CancellationToken::new();
        let running = Running {
            container: container.to_owned(),
            kill: kill.clone(),
        };
        self.0.lock().insert(spec.mark.clone(), running);
        let (near, far) = duplex(PIPE);
        let size = spec.tty.unwrap_or(TerminalSize { cols: 0, rows: 0 });
        let size = Arc::new(Mutex::new(size));
        let code = watch::Sender::new(None);
        let control = FakeExec {
            programs: self.clone(),
            mark: spec.mark.clone(),
            size: Arc::clone(&size),
            code: code.subscribe(),
        };
        let (programs, spec) = (self.clone(), spec.clone());
        tokio::spawn(async move {
            let ended = kill.run_until_cancelled(run(&spec.command, &size, far));
            let ended = ended.await.unwrap_or(KILLED);
            programs.0.lock().remove(&spec.mark);
            code.send_replace(Some(ended));
        });
        let (reader, writer) = split(near);
        let failed = |e: std::io::Error| EngineError::Failed(e.to_string());
        Exec {
            output: ReaderStream::new(reader).map_err(failed).boxed(),
            input: Box::pin(writer),
            control: Box::new(control),
        }
    }

    pub(super) fn end(&self, mark: &str) {
        if let Some(running) = self.0.lock().get(mark) {
            running.kill.cancel();
        }
    }

    /// A container's programs end with it.
    pub(super) fn end_all(&self, container: &str) {
        let programs = self.0.lock();
        let own = programs.values().filter(|p| p.container == container);
        own.for_each(|program| program.kill.cancel());
    }
}

async fn run(command: &[String], size: &Mutex<TerminalSize>, mut io: DuplexStream) -> i64 {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["cat"] => cat(io).await,
        ["echo", ref words @ ..] => {
            let line = format!("{}\n", words.join(" "));
            io.write_all(line.as_bytes()).await.map(|()| 0)
        }
        ["sleep", _] => std::future::pending().await,
        ["yes"] => yes(io).await,
        ["sh", "-c", "exit 7"] => Ok(7),
        ["sh", "-c", "read x; stty size"] => {
            let mut io = BufReader::new(io);
            drop(io.read_line(&mut String::new()).await);
            let TerminalSize { cols, rows } = *size.lock();
            let line = format!("{rows} {cols}\n");
            io.write_all(line.as_bytes()).await.map(|()| 0)
        }
        _ => {
            let said = io.write_all(b"exec failed: executable file not found\n");
            said.await.map(|()| 126)
        }
    };
    outcome.unwrap_or(1)
}

async fn cat(io: DuplexStream) -> std::io::Result<i64> {
    let (mut reader, mut writer) = split(io);
    let mut buffer = vec![0; 1024];
    loop {
        match reader.read(&mut buffer).await? {
            0 => return Ok(0),
            length => writer.write_all(&buffer[..length]).await?,
        }
    }
}

async fn yes(mut io: DuplexStream) -> std::io::Result<i64> {
    loop {
        io.write_all(b"y\n").await?;
    }
}

struct FakeExec {
    programs: FakePrograms,
    mark: String,
    size: Arc<Mutex<TerminalSize>>,
    code: watch::Receiver<Option<i64>>,
}

#[async_trait]
impl ExecControl for FakeExec {
    async fn resize(&self, size: TerminalSize) -> Result<(), EngineError> {
        *self.size.lock() = size;
        Ok(())
    }

    async fn exit_code(&mut self) -> Result<Option<i64>, EngineError> {
        let code = self.code.wait_for(Option::is_some).await;
        Ok(*code.map_err(|e| EngineError::Failed(e.to_string()))?)
    }

    async fn end(&mut self) -> Result<(), EngineError> {
        self.programs.end(&self.mark);
        self.exit_code().await.map(drop)
    }
}

impl Drop for FakeExec {
    fn drop(&mut self) {
        self.programs.end(&self.mark);
    }
}
