//! The lines of one build's log.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::LogLine;

/// Lines of one build that are kept.
pub(super) const MAX_LINES: usize = 5_000;
/// Longest line, in characters; what is longer is cut.
const MAX_WIDTH: usize = 2_000;

/// Lines, the newest [`MAX_LINES`] of them, some of which nobody has been told of yet.
#[derive(Default)]
pub(super) struct Lines {
    kept: VecDeque<LogLine>,
    said: u64,
    told: u64,
    /// A line whose end has not come yet.
    unfinished: String,
}

impl Lines {
    /// Takes a piece of output.
    pub(super) fn add(&mut self, text: &str) {
        for piece in text.split_inclusive('\n') {
            if self.unfinished.len() < 4 * MAX_WIDTH {
                self.unfinished.push_str(piece);
            }
            if piece.ends_with('\n') {
                self.end_line();
            }
        }
    }

    /// Ends a line that the output has left unfinished.
    pub(super) fn end_line(&mut self) {
        let text = strip_ansi_escapes::strip_str(std::mem::take(&mut self.unfinished));
        // A carriage return begins a line anew, as a progress bar does.
        let text = text.trim_end().rsplit('\r').next().unwrap_or_default();
        if text.is_empty() {
            return;
        }
        self.said += 1;
        self.kept.push_back(LogLine {
            number: self.said,
            at: Timestamp::now(),
            text: text.chars().take(MAX_WIDTH).collect(),
        });
        if self.kept.len() > MAX_LINES {
            self.kept.pop_front();
        }
    }

    pub(super) fn kept(&self) -> impl Iterator<Item = &LogLine> {
        self.kept.iter()
    }

    /// The lines that came since this was last asked, as far as they are still kept.
    pub(super) fn untold(&mut self) -> Vec<LogLine> {
        let first_untold = self.told + 1;
        self.told = self.said;
        let untold = self
            .kept
            .iter()
            .rev()
            .take_while(|line| line.number >= first_untold);
        let mut lines: Vec<_> = untold.cloned().collect();
        lines.reverse();
        lines
    }
}
