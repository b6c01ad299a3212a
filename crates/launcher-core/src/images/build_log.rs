//! What a build says: the end of it for the error of a build that fails, and its layers.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::{BuildStep, builds::Progress, engine::BuildOutput};

/// Lines of a failed build's output that go into its error.
const TAIL_LINES: usize = 20;
/// Longest of these lines, in characters.
const TAIL_WIDTH: usize = 300;
/// Longest text of a step, in characters. What our own recipes run fits.
const STEP_WIDTH: usize = 2_000;
/// Layers that may wait to be written down. A program that prints what looks like thousands of
/// layers loses some, which costs nothing: none of them is a layer.
const WAITING_LAYERS: usize = 256;

/// Takes a build's output.
pub(super) type Output = Arc<dyn Fn(BuildOutput<'_>) + Send + Sync>;

/// What a build has made that has to be removed if it fails.
pub(super) enum Made {
    Layer(String),
    Container(String),
}

/// The end of a build's output.
pub(super) struct BuildOutputLog(Arc<Mutex<VecDeque<String>>>);

impl BuildOutputLog {
    /// The log, what takes the build's output, and what it makes; this ends with the output.
    pub(super) fn new(progress: Arc<Progress>) -> (Self, Output, mpsc::Receiver<Made>) {
        let (sender, made) = mpsc::channel(WAITING_LAYERS);
        let tail = Arc::<Mutex<VecDeque<String>>>::default();
        let log = Self(Arc::clone(&tail));
        let make = move |made| drop(sender.try_send(made));
        let output = move |output: BuildOutput<'_>| match output {
            BuildOutput::Layer(layer) => make(Made::Layer(layer.to_owned())),
            BuildOutput::Container(container) => make(Made::Container(container.to_owned())),
            BuildOutput::Text(text) => {
                if let Some(step) = step(text) {
                    progress.step(step);
                    // What failed is in the step that was carried out last.
                    tail.lock().clear();
                }
                progress.say(text);
                remember(&mut tail.lock(), text);
            }
        };
        (log, Arc::new(output), made)
    }

    /// The last lines that the step's program printed.
    pub(super) fn ending(&self) -> Vec<String> {
        self.0.lock().iter().cloned().collect()
    }
}

fn remember(tail: &mut VecDeque<String>, text: &str) {
    let text = strip_ansi_escapes::strip_str(text);
    for line in text
        .lines()
        .map(str::trim_end)
        .filter(|line| !is_noise(line))
    {
        tail.push_back(line.chars().take(TAIL_WIDTH).collect());
        if tail.len() > TAIL_LINES {
            tail.pop_front();
        }
    }
}

/// The step that a line `Step 2/7 : RUN npm install` begins.
fn step(text: &str) -> Option<BuildStep> {
    let (count, text) = text.strip_prefix("Step ")?.split_once(" : ")?;
    let (number, of) = count.split_once('/')?;
    Some(BuildStep {
        number: number.parse().ok()?,
        of: of.parse().ok()?,
        text: text.trim_end().chars().take(STEP_WIDTH).collect(),
    })
}

/// Lines in which the engine tells of its own work.
fn is_noise(line: &str) -> bool {
    let own = ["Step ", " ---> ", "Removing intermediate container "];
    line.is_empty() || own.iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_error_has_the_programs_last_lines_and_nothing_else() {
        let progress = Progress::for_tests();
        let (log, output, _made) = BuildOutputLog::new(Arc::clone(&progress));
        for text in [
            "Step 4/11 : RUN echo earlier\n",
            "earlier\n",
            "Step 5/11 : RUN npm install\n",
            " ---> Running in 0123\n",
            "\u{1b}[91mnpm error 404\n\u{1b}[0m",
        ] {
            output(BuildOutput::Text(text));
        }
        assert_eq!(log.ending(), ["npm error 404"]);
        let step = progress.build().step.unwrap();
        assert_eq!(
            (step.number, step.of, step.text.as_str()),
            (5, 11, "RUN npm install")
        );
    }
}
