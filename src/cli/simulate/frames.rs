//! The frames of a clip, forward and backward over and over.

use std::path::Path;
use std::sync::Arc;

use auralink::{Frame, FrameBuf};

use super::Args;
use crate::cli::exit::{Failure, Result};
use crate::cli::input;
use crate::cli::output::blank;
use crate::cli::stop::Stop;
use crate::cli::yuv::{Planar, Sampling};

/// Memory that a clip's frames may take, bytes.
const MAX_CLIP_BYTES: usize = 4 << 30;

/// Frames of one size in memory, at least one.
#[derive(Clone)]
pub(super) struct Frames(Arc<Vec<FrameBuf>>);

impl Frames {
    /// Reads a clip.
    pub(super) fn read(path: &Path, args: &Args, stop: &Stop) -> Result<Self> {
        let mut input = input::open(path, None)?;
        let (mut frame, mut planar) = (blank()?, Planar::default());
        let mut frames: Vec<FrameBuf> = Vec::new();
        while frames.len() < usize::from(args.clip_frames) && input.frames.next(&mut frame)? {
            if stop.is_set() {
                return Err(Failure::interrupted());
            }
            let converted = planar.convert(&frame.as_frame(), Sampling::S420)?;
            let mut copy = blank()?;
            copy.copy_from(&converted);
            let size = |frame: &Frame<'_>| (frame.width(), frame.height());
            if let Some(first) = frames.first().filter(|first| size(&first.as_frame()) != size(&copy.as_frame())) {
                let ((width, height), (w, h)) = (size(&first.as_frame()), size(&copy.as_frame()));
                return Err(Failure::data(format!("{}: a frame of {w}x{h} after {width}x{height}", path.display())));
            }
            frames.push(copy);
            let bytes = frames.iter().map(|frame| frame.data().len()).sum::<usize>();
            if bytes > MAX_CLIP_BYTES {
                return Err(Failure::data(format!(
                    "{}: {bytes} bytes of frames are over the limit of {MAX_CLIP_BYTES}; take fewer with --clip-frames",
                    path.display()
                )));
            }
        }
        if frames.is_empty() {
            return Err(Failure::data(format!("{}: no frame in it", path.display())));
        }
        Ok(Self(Arc::new(frames)))
    }

    /// The picture for a frame.
    pub(super) fn get(&self, frame_number: u64) -> Option<Frame<'_>> {
        self.0.get(bounce(frame_number, self.0.len())).map(FrameBuf::as_frame)
    }
}

/// The picture for a frame, forward and backward over so many: no cut where the clip begins again.
fn bounce(frame_number: u64, count: usize) -> usize {
    let last = count.saturating_sub(1) as u64;
    let at = frame_number % (2 * last).max(1);
    at.min(2 * last - at.min(2 * last)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_go_forward_and_backward() {
        let order: Vec<usize> = (0..9).map(|number| bounce(number, 4)).collect();
        assert_eq!(order, [0, 1, 2, 3, 2, 1, 0, 1, 2]);
        assert_eq!(bounce(5, 1), 0);
    }
}
