//! Why a build failed, in one sentence.

use crate::{
    BuildStep,
    engine::{BuildFailure, EngineError},
};

/// Longest text of a step that is quoted, in characters.
const MAX_STEP: usize = 100;
/// What a shell says of a program that was killed by SIGKILL: 128 + 9.
const KILLED: i64 = 137;

/// What a build that failed had said and could use.
pub(super) struct Circumstances<'a> {
    /// The step that was carried out.
    pub(super) step: Option<&'a BuildStep>,
    /// The last lines that its program printed.
    pub(super) output: &'a [String],
    /// The memory that it could use, in bytes.
    pub(super) memory_bytes: u64,
}

/// What failed. Memory is named as the cause only if the engine has said so.
pub(super) fn sentence(failure: &BuildFailure, at: &Circumstances<'_>) -> String {
    let doing = at.step.map_or_else(|| "building".to_owned(), doing);
    let limit = size(at.memory_bytes);
    match failure {
        BuildFailure::Step {
            out_of_memory: true,
            ..
        } => format!("out of memory while {doing} (limit {limit})"),
        BuildFailure::Step { .. } | BuildFailure::Engine(EngineError::Failed(_))
            if no_space(failure, at.output) =>
        {
            format!("no space left on the engine's disk while {doing}")
        }
        BuildFailure::Step { code: KILLED, .. } => {
            format!("probably out of memory while {doing} (exit code 137, limit {limit})")
        }
        BuildFailure::Step { code, .. } => match npm_error(at.output) {
            Some(why) => format!("{doing} failed with exit code {code}: {why}"),
            None => format!("{doing} failed with exit code {code}"),
        },
        BuildFailure::TooLong(limit) => format!(
            "not done within {} (see --build-timeout); it was {doing}",
            minutes(limit.as_secs())
        ),
        BuildFailure::Silent(limit) => format!(
            "nothing was said for {} while {doing}",
            minutes(limit.as_secs())
        ),
        BuildFailure::Engine(EngineError::Failed(text) | EngineError::NotFound(text)) => {
            refused(text, at.step)
        }
        BuildFailure::Engine(error) => format!("{error}, while {doing}"),
    }
}

/// What the engine itself could not do.
fn refused(text: &str, step: Option<&BuildStep>) -> String {
    let words = step.map(|step| step.text.split_whitespace().collect::<Vec<_>>());
    match words.as_deref() {
        None => text.to_owned(),
        Some(["FROM", rest @ ..]) => {
            let image = rest.iter().find(|word| !word.starts_with("--"));
            let image = image.copied().unwrap_or_default();
            format!("the base image {image} cannot be pulled: {text}")
        }
        Some(_) => {
            let quoted = step.map(quoted).unwrap_or_default();
            format!("{quoted} failed: {text}")
        }
    }
}

/// What a step does, as far as we know it.
fn doing(step: &BuildStep) -> String {
    let runs = |program: &str| step.text.starts_with("RUN ") && step.text.contains(program);
    if runs("npm install") || runs("npm ci") {
        "installing npm packages".into()
    } else if runs("npm-rebuild.js") || runs("npm rebuild") {
        "rebuilding npm packages".into()
    } else if runs("setup.sh") {
        "running setup.sh".into()
    } else {
        format!("carrying out {}", quoted(step))
    }
}

fn quoted(step: &BuildStep) -> String {
    let mut text: String = step.text.chars().take(MAX_STEP).collect();
    if text.len() < step.text.len() {
        text.push('…');
    }
    format!("step {} of {}, \"{text}\"", step.number, step.of)
}

fn no_space(failure: &BuildFailure, output: &[String]) -> bool {
    // Go and Node write it small, C libraries do not.
    let says = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.contains("no space left on device") || text.contains("enospc")
    };
    match failure {
        BuildFailure::Engine(EngineError::Failed(text)) => says(text),
        _ => output.iter().any(|line| says(line)),
    }
}

/// The line in which npm says what went wrong, among those in which it says where.
fn npm_error(output: &[String]) -> Option<String> {
    const PLACES: [&str; 8] = [
        "code ",
        "errno ",
        "syscall ",
        "path ",
        "command ",
        "cwd ",
        "dest ",
        "A complete log",
    ];
    let said = output.iter().find_map(|line| {
        let text = line
            .strip_prefix("npm ERR! ")
            .or_else(|| line.strip_prefix("npm error "))?
            .trim();
        let is_place = PLACES.iter().any(|place| text.starts_with(place));
        (!is_place && !text.is_empty()).then(|| text.to_owned())
    });
    let said = said?;
    Some(said.trim_end_matches('.').to_owned())
}

fn size(bytes: u64) -> String {
    const GIB: f64 = (1_u64 << 30) as f64;
    let gib = bytes as f64 / GIB;
    if gib >= 1.0 {
        // One digit after the point, and none if it is 0.
        format!("{} GiB", (gib * 10.0).round() / 10.0)
    } else {
        format!("{} MiB", bytes >> 20)
    }
}

fn minutes(seconds: u64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        _ => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NPM: &str = "RUN export HOME=/tmp/npm && npm install && rm -rf /tmp/npm";

    fn said(failure: &BuildFailure, step: &str, output: &[&str]) -> String {
        let step = BuildStep {
            number: 3,
            of: 5,
            text: step.into(),
        };
        let output: Vec<String> = output.iter().map(|&line| line.into()).collect();
        let at = Circumstances {
            step: Some(&step),
            output: &output,
            memory_bytes: 1 << 30,
        };
        sentence(failure, &at)
    }

    fn step(code: i64, out_of_memory: bool) -> BuildFailure {
        BuildFailure::Step {
            code,
            out_of_memory,
        }
    }

    fn engine(text: &str) -> BuildFailure {
        EngineError::Failed(text.into()).into()
    }

    #[test]
    fn memory_is_the_cause_only_if_the_engine_says_so() {
        let sure = "out of memory while installing npm packages (limit 1 GiB)";
        assert_eq!(said(&step(137, true), NPM, &[]), sure);
        assert_eq!(
            said(&step(1, true), NPM, &["npm error signal SIGKILL"]),
            sure
        );
        assert_eq!(
            said(&step(137, false), NPM, &[]),
            "probably out of memory while installing npm packages (exit code 137, limit 1 GiB)"
        );
    }

    #[test]
    fn a_step_that_failed_is_named_and_so_is_what_npm_says() {
        assert_eq!(
            said(&step(7, false), "RUN exit 7", &["what it printed"]),
            "carrying out step 3 of 5, \"RUN exit 7\" failed with exit code 7"
        );
        let output = [
            "npm error code ECONNREFUSED",
            "npm error syscall connect",
            "npm error FetchError: request to http://127.0.0.1:9/x failed.",
            "npm error A complete log of this run can be found in: /tmp/npm/x.log",
        ];
        assert_eq!(
            said(&step(1, false), NPM, &output),
            "installing npm packages failed with exit code 1: FetchError: request to http://127.0.0.1:9/x failed"
        );
    }

    #[test]
    fn what_the_engine_refuses_is_said_in_its_words() {
        assert_eq!(
            said(
                &engine("manifest unknown"),
                "FROM --platform=a nowhere/x:1 AS y",
                &[]
            ),
            "the base image nowhere/x:1 cannot be pulled: manifest unknown"
        );
        assert_eq!(
            said(&engine("COPY failed: no x"), "COPY x /", &[]),
            "step 3 of 5, \"COPY x /\" failed: COPY failed: no x"
        );
        let full = "write /x: no space left on device";
        assert_eq!(
            said(&engine(full), "COPY x /", &[]),
            "no space left on the engine's disk while carrying out step 3 of 5, \"COPY x /\""
        );
        for line in [
            "npm error code ENOSPC",
            "cp: error writing 'x': No space left on device",
        ] {
            assert_eq!(
                said(&step(1, false), NPM, &[line]),
                "no space left on the engine's disk while installing npm packages"
            );
        }
    }

    #[test]
    fn deadlines_are_named() {
        assert_eq!(
            said(&BuildFailure::TooLong(Duration::from_secs(3600)), NPM, &[]),
            "not done within 60 min (see --build-timeout); it was installing npm packages"
        );
        assert_eq!(
            said(&BuildFailure::Silent(Duration::from_secs(900)), NPM, &[]),
            "nothing was said for 15 min while installing npm packages"
        );
    }

    #[test]
    fn sizes_are_short() {
        let named = [1 << 30, 3 << 29, 512 << 20, 12 << 30].map(size);
        assert_eq!(named, ["1 GiB", "1.5 GiB", "512 MiB", "12 GiB"]);
    }
}
