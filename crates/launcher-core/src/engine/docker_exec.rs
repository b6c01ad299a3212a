//! Programs that Docker runs in a container beside its own.
//!
//! The connection on which a program is started becomes its input and output: bare if it has a
//! terminal, else in frames with a head of eight bytes (Docker's API reference, "Attach to a
//! container", "Stream format"). `bollard` tells the two apart by their first byte, and so takes
//! bytes of a terminal for a head.

use std::time::Duration;

use async_trait::async_trait;
use bollard::{
    Docker,
    models::{ExecConfig, ExecInspectResponse},
    query_parameters::ResizeExecOptionsBuilder,
};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use http_body_util::Full;
use hyper::{
    Request,
    header::{CONNECTION, CONTENT_TYPE, UPGRADE},
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_util::codec::{Decoder, FramedRead};

use super::{
    EXEC_MARK, EngineError, Exec, ExecControl, ExecSpec, TerminalSize, docker::bounded,
    docker_exec_end::end, docker_request::hijack,
};

/// How long the engine may take to make or start a program, or to answer a question about it.
const ANSWER: Duration = Duration::from_secs(15);
/// How long it may take to tell of the end of a program whose output has ended, and of its begin.
const LAG: Duration = Duration::from_secs(5);
/// Wait between two questions about it.
const AGAIN: Duration = Duration::from_millis(20);
/// How much output is read at once, in bytes.
const PIECE: usize = 16 * 1024;
/// Bytes of a frame's head: the stream, three zeros, and the length.
const HEAD: usize = 8;

/// What is needed to reach the engine.
#[derive(Clone)]
pub(super) struct Reach {
    pub(super) docker: Docker,
    pub(super) host: String,
    pub(super) version: String,
}

/// Starts a program.
pub(super) async fn exec(
    reach: Reach,
    container: &str,
    spec: &ExecSpec,
) -> Result<Exec, EngineError> {
    let control = DockerExec {
        id: create(&reach.docker, container, spec).await?,
        container: container.to_owned(),
        mark: spec.mark.clone(),
        ended: false,
        reach,
    };
    let (reader, input) = tokio::io::split(TokioIo::new(control.start(spec).await?));
    control.begun(spec.tty).await;
    let decoder = Output {
        framed: spec.tty.is_none(),
        left: 0,
    };
    let output = FramedRead::with_capacity(reader, decoder, PIECE);
    Ok(Exec {
        output: output.boxed(),
        input: Box::pin(input),
        control: Box::new(control),
    })
}

async fn create(docker: &Docker, container: &str, spec: &ExecSpec) -> Result<String, EngineError> {
    let config = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(spec.tty.is_some()),
        env: Some(vec![format!("{EXEC_MARK}={}", spec.mark)]),
        cmd: Some(spec.command.clone()),
        ..ExecConfig::default()
    };
    let creation = async { Ok(docker.create_exec(container, config).await?) };
    Ok(bounded(ANSWER, "make the program", creation).await?.id)
}

/// A program that was made. Dropping it ends it.
struct DockerExec {
    reach: Reach,
    id: String,
    container: String,
    mark: String,
    ended: bool,
}

impl DockerExec {
    async fn start(&self, spec: &ExecSpec) -> Result<hyper::upgrade::Upgraded, EngineError> {
        let size = spec.tty.map(|size| [size.rows, size.cols]);
        // The size is for engines from 23 on, which set it before the program begins.
        let body = match size {
            Some(size) => json!({ "Detach": false, "Tty": true, "ConsoleSize": size }),
            None => json!({ "Detach": false, "Tty": false }),
        };
        let path = format!("/v{}/exec/{}/start", self.reach.version, self.id);
        let request = Request::post(path)
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "tcp")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|e| EngineError::Failed(e.to_string()))?;
        let started = hijack(&self.reach.host, request);
        bounded(ANSWER, "start the program", started).await
    }

    /// The engine says that it starts the program before it has: until then nothing finds it, and it
    /// can have no size.
    async fn begun(&self, size: Option<TerminalSize>) {
        let begun = async {
            loop {
                let exec = inspect(&self.reach.docker, &self.id).await;
                if exec.is_ok_and(|exec| exec.pid.is_some_and(|pid| pid > 0) || has_ended(&exec)) {
                    return;
                }
                sleep(AGAIN).await;
            }
        };
        if timeout(LAG, begun).await.is_err() {
            tracing::warn!(container = %self.container, "a program does not begin");
        }
        let Some(size) = size else { return };
        if let Err(error) = self.resize(size).await {
            tracing::debug!(%error, container = %self.container, "a terminal has no size");
        }
    }

    async fn resize_now(&self, size: TerminalSize) -> Result<(), EngineError> {
        let options = ResizeExecOptionsBuilder::default()
            .h(size.rows.into())
            .w(size.cols.into())
            .build();
        let docker = &self.reach.docker;
        let resize = async { Ok(docker.resize_exec(&self.id, options).await?) };
        bounded(ANSWER, "resize the terminal", resize).await
    }

    async fn has_ended(&self) -> bool {
        let exec = inspect(&self.reach.docker, &self.id).await;
        exec.is_ok_and(|exec| has_ended(&exec))
    }
}

async fn inspect(docker: &Docker, id: &str) -> Result<ExecInspectResponse, EngineError> {
    let question = async { Ok(docker.inspect_exec(id).await?) };
    bounded(ANSWER, "answer", question).await
}

/// Waits until the engine says that a program has ended, and with which code; `None` where it does
/// not know it any more.
pub(super) async fn exit_code(docker: &Docker, id: &str) -> Result<Option<i64>, EngineError> {
    loop {
        match inspect(docker, id).await {
            Ok(exec) if has_ended(&exec) => return Ok(exec.exit_code),
            Ok(_) => sleep(AGAIN).await,
            Err(EngineError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// One that was never started has no exit code.
fn has_ended(exec: &ExecInspectResponse) -> bool {
    exec.running == Some(false) && exec.exit_code.is_some()
}

#[async_trait]
impl ExecControl for DockerExec {
    async fn resize(&self, size: TerminalSize) -> Result<(), EngineError> {
        match self.resize_now(size).await {
            Err(_) if self.has_ended().await => Ok(()),
            outcome => outcome,
        }
    }

    async fn exit_code(&mut self) -> Result<Option<i64>, EngineError> {
        let code = timeout(LAG, exit_code(&self.reach.docker, &self.id)).await;
        let code = code.unwrap_or(Err(EngineError::Deadline("tell the exit code")))?;
        self.ended = true;
        Ok(code)
    }

    async fn end(&mut self) -> Result<(), EngineError> {
        if self.ended {
            return Ok(());
        }
        let sought = end(&self.reach, &self.container, &self.mark).await;
        let gone = timeout(LAG, exit_code(&self.reach.docker, &self.id)).await;
        // From here on nothing more can be done by trying again.
        self.ended = true;
        sought?;
        gone.unwrap_or(Err(EngineError::Deadline("end the program")))?;
        Ok(())
    }
}

impl Drop for DockerExec {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (reach, container) = (self.reach.clone(), self.container.clone());
        let mark = self.mark.clone();
        // Without a runtime the process is at its end, and the next start sees to it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = end(&reach, &container, &mark).await {
                    tracing::warn!(%container, %error, "a program may go on in a container");
                }
            });
        }
    }
}

/// Takes output out of its frames, if it is in some, as it comes.
struct Output {
    framed: bool,
    /// Bytes of the current frame that have not come yet.
    left: usize,
}

impl Decoder for Output {
    type Item = Bytes;
    type Error = EngineError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, EngineError> {
        while self.framed && self.left == 0 {
            let Some(head) = buffer.first_chunk::<HEAD>() else {
                return Ok(None);
            };
            let [_, _, _, _, length @ ..] = *head;
            self.left = u32::from_be_bytes(length) as usize;
            buffer.advance(HEAD);
        }
        let length = match self.framed {
            true => buffer.len().min(self.left),
            false => buffer.len(),
        };
        self.left = self.left.saturating_sub(length);
        Ok((length > 0).then(|| buffer.split_to(length).freeze()))
    }

    /// A head that was cut off is lost.
    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, EngineError> {
        let last = self.decode(buffer)?;
        if last.is_none() {
            buffer.clear();
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(framed: bool, answer: &[u8], step: usize) -> Vec<u8> {
        let mut output = Output { framed, left: 0 };
        let (mut buffer, mut read) = (BytesMut::new(), Vec::new());
        for part in answer.chunks(step) {
            buffer.extend_from_slice(part);
            while let Some(piece) = output.decode(&mut buffer).unwrap() {
                assert!(!piece.is_empty());
                read.extend_from_slice(&piece);
            }
        }
        while let Some(piece) = output.decode_eof(&mut buffer).unwrap() {
            read.extend_from_slice(&piece);
        }
        read
    }

    #[test]
    fn output_is_taken_out_of_its_frames_however_it_is_cut() {
        let answer = b"\x01\0\0\0\0\0\0\x02ab\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\x03cde\x01\0\0";
        for step in [1, 7, 8, 9, 100] {
            assert_eq!(read(true, answer, step), b"abcde", "{step}");
        }
    }

    #[test]
    fn what_a_terminal_says_is_no_frame_whatever_it_begins_with() {
        let bytes = b"\x01\0\0\0\xff\xff\xff\xff\x02x";
        for step in [1, 8, 100] {
            assert_eq!(read(false, bytes, step), bytes, "{step}");
        }
    }
}
