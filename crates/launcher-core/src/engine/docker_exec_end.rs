//! Ending what was started in a container beside its own program.
//!
//! Docker has no call for it, and lets such a program go on when its connection is closed: without
//! a terminal it sees the end of its input, with one not even that. So everything that has the
//! program's mark in its environment is sought: by the container's shell, or, where there is none,
//! among the processes of this machine, which only root may do.

use std::{fs, io, time::Duration};

use bollard::{exec::StartExecResults, models::ExecConfig};
use futures_util::{StreamExt, future::ready};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{
    EXEC_MARK, EngineError,
    docker::bounded,
    docker_exec::{Reach, exit_code},
};

/// How long the search may take.
const SEARCH: Duration = Duration::from_secs(15);
/// Does it in the container. What it does is tested with the shells that images have.
const SCRIPT: &str = include_str!("docker_exec_end.sh");

/// Ends everything with this mark in a container. One that does not run, or is gone, has nothing.
pub(super) async fn end(reach: &Reach, container: &str, mark: &str) -> Result<(), EngineError> {
    let mark = format!("{EXEC_MARK}={mark}");
    let search = by_shell(reach, container, &mark);
    match bounded(SEARCH, "end the program", search).await {
        Ok(0) | Err(EngineError::NotFound(_) | EngineError::Conflict(_)) => Ok(()),
        Ok(code) if reach.host.starts_with("unix://") => {
            tracing::debug!(%container, code, "no shell ends a program");
            let searched = tokio::task::spawn_blocking(move || among_processes(&mark)).await;
            searched.map_err(|e| EngineError::Failed(e.to_string()))?
        }
        Ok(_) => Err(no_way()),
        Err(error) => Err(error),
    }
}

fn no_way() -> EngineError {
    EngineError::Failed(
        "the container has no /bin/sh to end the program with, and the launcher is not root on its \
         machine"
            .into(),
    )
}

/// Returns the exit code of the shell, or that which Docker gives where there is none.
async fn by_shell(reach: &Reach, container: &str, mark: &str) -> Result<i64, EngineError> {
    let command = ["/bin/sh", "-c", SCRIPT, "sh", mark];
    let config = ExecConfig {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command.map(str::to_owned).to_vec()),
        ..ExecConfig::default()
    };
    let id = reach.docker.create_exec(container, config).await?.id;
    if let StartExecResults::Attached { output, .. } = reach.docker.start_exec(&id, None).await? {
        output.for_each(|_said| ready(())).await;
    }
    Ok(exit_code(&reach.docker, &id).await?.unwrap_or(0))
}

/// Ends all processes that have the mark in their environment, until none has it. Not every
/// environment can be read, even by root: that matters only if none is found.
fn among_processes(mark: &str) -> Result<(), EngineError> {
    let (mut ended, mut hidden) = (false, false);
    loop {
        let mut found = false;
        for entry in fs::read_dir("/proc").map_err(|_| no_way())? {
            let name = entry.map_err(|_| no_way())?.file_name();
            let number = name.to_str().and_then(|name| name.parse().ok());
            let Some(pid) = number.and_then(Pid::from_raw) else {
                continue;
            };
            match end_if_marked(pid, mark) {
                Ok(marked) => found |= marked,
                Err(error) => hidden |= error.kind() == io::ErrorKind::PermissionDenied,
            }
        }
        ended |= found;
        match found {
            true => {}
            false if hidden && !ended => return Err(no_way()),
            false => return Ok(()),
        }
    }
}

/// Whether it had the mark. The process is held before it is looked at, so that the signal goes to
/// the one that was seen.
fn end_if_marked(pid: Pid, mark: &str) -> io::Result<bool> {
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()))?;
    let mut variables = environment.split(|byte| *byte == 0);
    let marked = variables.any(|variable| variable == mark.as_bytes());
    if marked {
        // It can only have ended meanwhile.
        let _ended = pidfd_send_signal(process, Signal::KILL);
    }
    Ok(marked)
}
