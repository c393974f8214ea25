//! Progress of long work: a bar for people, a line every few seconds for everything else.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a line is printed when nobody watches.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far something has come, on standard error.
pub(crate) struct Progress {
    bar: ProgressBar,
    is_watched: bool,
    verb: String,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    /// For `length` units; `verb` says what is done with them.
    pub(crate) fn new(verb: &str, length: u64) -> Self {
        Self::start(verb, Some(length))
    }

    /// For work of which nobody knows yet how much it is: 0 % until [`Progress::set_length`].
    pub(crate) fn of_unknown_length(verb: &str) -> Self {
        Self::start(verb, None)
    }

    fn start(verb: &str, length: Option<u64>) -> Self {
        let is_watched = std::io::stderr().is_terminal();
        let bar =
            ProgressBar::with_draw_target(length, if is_watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        let colour = if crate::terminal::is_colourful(&std::io::stderr()) { ".cyan/dim" } else { "" };
        if let Ok(style) = ProgressStyle::with_template(&format!("  {verb:<10} {{bar:32{colour}}} {{percent:>3}} %  {{msg}}")) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        let now = Instant::now();
        Self { bar, is_watched, verb: verb.to_owned(), started: now, last_line: now }
    }

    /// Moves to `position`; `message` says it in words.
    pub(crate) fn set(&mut self, position: u64, message: &str) {
        self.bar.set_message(message.to_owned());
        self.bar.set_position(position);
        if !self.is_watched && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            eprintln!("  {}: {message}", self.verb);
        }
    }

    /// The work is larger or smaller than said.
    pub(crate) fn set_length(&self, length: u64) {
        self.bar.set_length(length);
    }

    /// Says something without tearing the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) -> Duration {
        self.bar.finish_and_clear();
        self.started.elapsed()
    }
}

/// Units a second.
pub(crate) fn rate(count: u64, elapsed: Duration) -> u64 {
    (count as f64 / elapsed.as_secs_f64().max(0.001)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fraction(progress: &Progress) -> f32 {
        let mut fraction = f32::NAN;
        progress.bar.update(|state| fraction = state.fraction());
        fraction
    }

    #[test]
    fn nothing_is_done_before_it_is_known_how_much_there_is() {
        let mut progress = Progress::of_unknown_length("purge");
        progress.set(0, "plan");
        assert_eq!(fraction(&progress), 0.0);
        progress.set_length(4);
        progress.set(1, "delete");
        assert_eq!(fraction(&progress), 0.25, "the control");
    }
}
