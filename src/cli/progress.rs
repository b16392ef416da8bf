//! A progress bar on standard error, where somebody looks at it.

use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::input::Extent;

/// Time between two drawings.
const INTERVAL: Duration = Duration::from_millis(100);

/// Frames, bytes, reduction, speed and the time left.
pub(crate) struct Progress {
    bar: ProgressBar,
    extent: Extent,
    /// Frames to come, where the user limited them.
    frames: Option<u64>,
    start: Instant,
    last: Option<Instant>,
}

impl Progress {
    /// A bar over the input's extent, or over `frames` where the user limited them; hidden unless standard error is a
    /// terminal.
    pub(crate) fn new(extent: Extent, frames: Option<u64>) -> Self {
        let total = frames.or(extent.total);
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = match total {
            Some(_) => "{bar:20} {percent:>3} %  {eta} left  {wide_msg}",
            None => "{spinner} {msg}  {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, extent, frames, start: Instant::now(), last: None }
    }

    /// Tells what was done so far.
    pub(crate) fn update(&mut self, frames: u64, raw_bytes: u64, bytes: u64) {
        let start = self.start;
        self.tell(frames, || {
            let fps = frames as f64 / start.elapsed().as_secs_f64().max(1e-3);
            let reduction = 100.0 * (1.0 - bytes as f64 / raw_bytes.max(1) as f64);
            format!("{frames} frames  {fps:.1} fps  {}  -{reduction:.1} %", HumanBytes(bytes))
        });
    }

    /// Tells of so many frames in the caller's words, if it is time to.
    pub(crate) fn tell(&mut self, frames: u64, message: impl FnOnce() -> String) {
        let now = Instant::now();
        if self.bar.is_hidden() || self.last.is_some_and(|last| now - last < INTERVAL) {
            return;
        }
        self.last = Some(now);
        self.bar.set_position(if self.frames.is_some() { frames } else { self.extent.done() });
        self.bar.set_message(message());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
