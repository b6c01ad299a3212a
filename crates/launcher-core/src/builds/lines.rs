//! The lines of one build's log.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::{LogLine, budget::Budget};

/// Lines of one build that are kept, and bytes of their texts.
pub(super) const MAX_LINES: usize = 5_000;
const MAX_BYTES: usize = 1024 * 1024;
/// Longest line, in characters; what is longer is cut.
const MAX_WIDTH: usize = 2_000;
/// Observers are told so many bytes of lines at once, and so many in each second in the long run.
const BURST: f64 = 4.0 * 1024.0 * 1024.0;
const PER_SECOND: f64 = 512.0 * 1024.0;
/// What telling of a line costs beside its text.
const OVERHEAD: usize = 200;

/// Lines, the newest of them, some of which nobody has been told of yet.
pub(super) struct Lines {
    kept: VecDeque<LogLine>,
    bytes: usize,
    said: u64,
    told: u64,
    /// A line whose end has not come yet.
    unfinished: String,
    budget: Budget,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self {
            kept: VecDeque::new(),
            bytes: 0,
            said: 0,
            told: 0,
            unfinished: String::new(),
            budget: Budget::new(BURST, PER_SECOND),
        }
    }

    /// Takes a piece of output.
    pub(super) fn add(&mut self, text: &str) {
        for piece in text.split_inclusive('\n') {
            // A carriage return begins a line anew, as a progress bar does.
            if let Some((_, newest)) = piece.trim_end().rsplit_once('\r') {
                self.unfinished.clear();
                self.take(newest);
            } else {
                self.take(piece);
            }
            if piece.ends_with('\n') {
                self.end_line();
            }
        }
    }

    fn take(&mut self, piece: &str) {
        // Some more than is kept, for what colours the text.
        let room = (4 * MAX_WIDTH).saturating_sub(self.unfinished.len());
        self.unfinished.extend(piece.chars().take(room));
    }

    /// Ends a line that the output has left unfinished.
    pub(super) fn end_line(&mut self) {
        let mut text = std::mem::take(&mut self.unfinished);
        if text.contains(char::is_control) {
            text = strip_ansi_escapes::strip_str(text);
        }
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        self.said += 1;
        self.keep(LogLine {
            number: self.said,
            at: Timestamp::now(),
            text: text.chars().take(MAX_WIDTH).collect(),
        });
    }

    fn keep(&mut self, line: LogLine) {
        self.bytes += line.text.len();
        self.kept.push_back(line);
        while self.kept.len() > MAX_LINES || self.bytes > MAX_BYTES {
            let oldest = self.kept.pop_front();
            self.bytes -= oldest.map_or(0, |line| line.text.len());
        }
    }

    pub(super) fn kept(&self) -> impl Iterator<Item = &LogLine> {
        self.kept.iter()
    }

    /// How many lines there were.
    pub(super) fn said(&self) -> u64 {
        self.said
    }

    /// How many of them nobody has been told of.
    pub(super) fn pending(&self) -> u64 {
        self.said - self.told
    }

    /// The lines that came since this was last asked. Of a build that says more than anybody can
    /// read, the newest that may be told, and before them a line that counts those left out.
    pub(super) fn untold(&mut self) -> Vec<LogLine> {
        let mut lines = Vec::new();
        for line in self.kept.iter().rev() {
            if line.number <= self.told || !self.budget.take(line.text.len() + OVERHEAD) {
                break;
            }
            lines.push(line.clone());
        }
        lines.extend(self.left_out(lines.last()));
        lines.reverse();
        self.told = self.said;
        lines
    }

    /// A line in place of those between the last that was told and this one.
    fn left_out(&self, oldest: Option<&LogLine>) -> Option<LogLine> {
        let last = oldest.map_or(self.said, |line| line.number - 1);
        let count = last - self.told;
        (count > 0).then(|| LogLine {
            number: last,
            at: Timestamp::now(),
            text: format!("({count} lines are left out)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_progress_bar_is_one_line() {
        let mut lines = Lines::new();
        lines.add("10 %\r20");
        lines.add(" %\r30 %\r\ndone\n");
        assert_eq!(texts(&lines.untold()), ["30 %", "done"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_without_end_is_cut() {
        let mut lines = Lines::new();
        for _ in 0..1_000 {
            lines.add(&"ä".repeat(1_000));
        }
        assert!(lines.unfinished.chars().count() <= 4 * MAX_WIDTH);
        lines.add("\n");
        assert_eq!(lines.untold()[0].text.chars().count(), MAX_WIDTH);
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_lines_at_once_are_told() {
        let mut lines = Lines::new();
        let mut told = 0;
        for number in 0..10_000 {
            lines.add(&format!(
                "line {number} of many, as long as lines are in general\n"
            ));
            if lines.pending() == 1_000 {
                told += lines.untold().len();
            }
        }
        assert_eq!(told, 10_000);
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_anybody_can_read_is_left_out_and_counted() {
        let mut lines = Lines::new();
        let mut told = Vec::new();
        for number in 1..=200_000 {
            lines.add(&format!(
                "line {number} of many, as long as lines are in general\n"
            ));
            if lines.pending() == 1_000 {
                told.extend(lines.untold());
            }
            if number % 100_000 == 0 {
                tokio::time::advance(Duration::from_secs(1)).await;
            }
        }
        assert!(told.len() < 25_000, "{}", told.len());
        assert!(lines.kept.len() <= MAX_LINES && lines.bytes <= MAX_BYTES);
        assert_eq!(told.last().unwrap().number, 200_000);
        let mut number = 0;
        for line in &told {
            let left_out = line
                .text
                .strip_prefix('(')
                .and_then(|t| t.split(' ').next());
            number += left_out.map_or(1, |count| count.parse::<u64>().unwrap());
            assert_eq!(line.number, number, "{}", line.text);
        }
    }
}
