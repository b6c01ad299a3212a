//! Why programs ended, in words.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    app_instance::Exit,
    engine::{Container, Engine},
    logs,
    reconciler::plan::{Crashes, Memory},
};

/// Lines that are shown of a program that crashes again and again.
const LOG_LINES: usize = 20;

/// The newest end of each replica's program.
#[derive(Default)]
pub(crate) struct Exits {
    by_place: BTreeMap<(u64, u32), Exit>,
}

impl Exits {
    /// Takes over the end of a run.
    pub(super) async fn note(
        &mut self,
        container: &Container,
        was_asked: bool,
        memory: &Memory,
        engine: &dyn Engine,
    ) {
        let place = (container.generation, container.replica);
        let crashes = memory.crashes.get(&place);
        let is_loop = crashes.is_some_and(|crashes| crashes.is_loop);
        let crashes = crashes.filter(|_| !was_asked);
        let wait = crashes.and_then(Crashes::next_try);
        let wait = wait.map(|at| at.saturating_duration_since(std::time::Instant::now()));
        let log = match is_loop {
            true => {
                let lines = logs::last_lines(engine, &container.id, LOG_LINES).await;
                lines.map(logs::texts).unwrap_or_default()
            }
            false => Vec::new(),
        };
        let exit = Exit {
            code: container.exit_code.unwrap_or_default(),
            reason: explain(container),
            at: container.finished_at.unwrap_or_else(Timestamp::now),
            was_asked,
            next_try_at: wait.and_then(|wait| Timestamp::now().checked_add(wait).ok()),
            log,
        };
        self.by_place.insert(place, exit);
    }

    /// Forgets the ends of what is gone.
    pub(super) fn forget_gone(&mut self, memory: &Memory) {
        self.by_place
            .retain(|place, _| memory.crashes.contains_key(place));
    }

    pub(crate) fn of(&self, container: &Container) -> Option<&Exit> {
        self.by_place
            .get(&(container.generation, container.replica))
    }

    /// Why the program of a replica ended last.
    pub(super) fn sentence(&self, release: u64, replica: u32) -> String {
        self.by_place
            .get(&(release, replica))
            .map(|exit| exit.reason.clone())
            .unwrap_or_default()
    }
}

/// What an exit code means. Memory is named as the cause only where the engine says so.
pub(crate) fn explain(container: &Container) -> String {
    let code = container.exit_code.unwrap_or_default();
    match code {
        _ if container.oom_killed => {
            format!(
                "out of memory: the program was killed at the container's memory limit ({code})"
            )
        }
        0 => "the program ended by itself, without an error (0)".into(),
        125 => "the container engine failed to run the program (125)".into(),
        126 => "the program is not executable (126)".into(),
        127 => "the program was not found (127)".into(),
        137 => "killed (137), probably out of memory".into(),
        129..=192 => format!("ended by signal {} ({code})", signal_name(code - 128)),
        _ => format!("ended with an error (exit code {code})"),
    }
}

fn signal_name(number: i64) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL, an illegal instruction",
        6 => "SIGABRT, the program aborted itself",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV, a segmentation fault",
        13 => "SIGPIPE",
        15 => "SIGTERM: terminated",
        other => return other.to_string(),
    };
    name.to_owned()
}
