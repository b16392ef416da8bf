//! Frames of a clip through the real encoder, and how what is shown compares with them.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use auralink::codec::h264::{FrameOrder, H264Config, H264Encoder};
use auralink::netem::{Encoded, Receipt, Score, Source};
use auralink::{Error, Frame, FrameBuf, Level, PixelFormat, kernel, quality};
use rayon::ThreadPool;

use super::Args;
use crate::cli::exit::{Failure, Result};
use crate::cli::input;
use crate::cli::output::blank;
use crate::cli::stop::Stop;
use crate::cli::thread_pool;
use crate::cli::yuv::{Planar, Sampling};

/// Memory that a clip's frames may take, bytes.
const MAX_CLIP_BYTES: usize = 4 << 30;
/// Frames whose fate is remembered.
const REMEMBERED: usize = 512;
/// The finest quantiser: bytes beyond it buy nothing that is seen.
const LEAST_QP: u8 = 12;
/// Slices of a frame, whatever the number of threads: the bytes depend on them.
const SLICES: usize = 2;
/// What a frame aims for of its budget, so that it needn't be coded twice to keep it.
const AIM: f64 = 0.95;

/// A frame that was sent.
struct Sent {
    frame_number: u64,
    /// The encoder's number of it.
    id: u64,
    predicted_from: Option<u64>,
    is_lost: bool,
    score: Score,
    /// What a decoder makes of it.
    luma: FrameBuf,
}

/// A clip, its encoder, and what is on the way and on the screen.
pub(super) struct Clip {
    frames: Vec<FrameBuf>,
    encode_time: Duration,
    pool: ThreadPool,
    level: Level,
    encoder: H264Encoder,
    packet: Vec<u8>,
    /// Ascending.
    sent: VecDeque<Sent>,
    failure: Option<Failure>,
}

fn config() -> H264Config {
    H264Config { slices: SLICES, recovery: true, ..H264Config::default() }
}

impl Clip {
    /// Reads a clip into memory.
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
        let level = kernel::detect();
        Ok(Self {
            frames,
            encode_time: args.encode_time(),
            pool: thread_pool(args.threads)?,
            level,
            encoder: H264Encoder::new(level, config())?,
            packet: Vec::new(),
            sent: VecDeque::new(),
            failure: None,
        })
    }

    /// Begins anew, for another run.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.encoder = H264Encoder::new(self.level, config())?;
        self.sent.clear();
        self.failure = None;
        Ok(())
    }

    /// What went wrong while coding, if something did.
    pub(super) fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    fn picture(&self, frame_number: u64) -> Option<Frame<'_>> {
        self.frames.get(bounce(frame_number, self.frames.len())).map(FrameBuf::as_frame)
    }

    fn code(&mut self, frame_number: u64, budget: u32) -> auralink::Result<Option<Encoded>> {
        let Some(frame) = self.frames.get(bounce(frame_number, self.frames.len())).map(FrameBuf::as_frame) else {
            return Ok(None);
        };
        // What isn't known to be lost is predicted from, as the encoder does; what it takes instead has arrived.
        let predicted_from = self.sent.back().map(|newest| newest.frame_number).filter(|&from| !self.is_broken(from));
        let order = FrameOrder {
            qp: LEAST_QP,
            target_bytes: Some((f64::from(budget) * AIM) as usize),
            max_bytes: Some(budget as usize),
            keyframe: false,
        };
        self.packet.clear();
        let stats = match self.encoder.encode(&frame, &order, &self.pool, &mut self.packet) {
            Ok(stats) => stats,
            Err(Error::Budget { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut luma = FrameBuf::zeroed(PixelFormat::Gray8, frame.width(), frame.height())?;
        if let Some(seen) = self.encoder.reconstruction() {
            for (y, row) in luma.data_mut().chunks_exact_mut(frame.width() as usize).enumerate() {
                row.copy_from_slice(seen.plane(0).row(y));
            }
        }
        let measured = quality::compare(self.level, frame.plane(0), luma.as_frame().plane(0), &self.pool)?;
        let score = Score { ssim: measured.ssim, psnr_db: measured.psnr_db };
        let predicted_from = predicted_from.filter(|_| !stats.keyframe);
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { frame_number, id: stats.id, predicted_from, is_lost: false, score, luma });
        let bytes = u32::try_from(stats.bytes).unwrap_or(u32::MAX);
        Ok(Some(Encoded { bytes, predicted_from, encode_time: self.encode_time }))
    }

    /// Whether a frame, or one it needs, is known to be lost.
    fn is_broken(&self, frame_number: u64) -> bool {
        let mut needed = Some(frame_number);
        for sent in self.sent.iter().rev() {
            if needed == Some(sent.frame_number) {
                if sent.is_lost {
                    return true;
                }
                needed = sent.predicted_from;
            }
        }
        false
    }

    fn sent(&self, frame_number: u64) -> Option<&Sent> {
        self.sent.iter().find(|sent| sent.frame_number == frame_number)
    }
}

impl Source for Clip {
    fn encode(&mut self, frame_number: u64, budget: u32, _now: Duration) -> Option<Encoded> {
        self.code(frame_number, budget).unwrap_or_else(|error| {
            self.failure.get_or_insert(error.into());
            None
        })
    }

    fn received(&mut self, receipt: &Receipt, _now: Duration) {
        let acknowledged = self.sent(receipt.frame_number).filter(|sent| receipt.is_whole && !sent.is_lost);
        if let Some(id) = acknowledged.map(|sent| sent.id) {
            self.encoder.acknowledge(id);
        }
    }

    fn lost(&mut self, frame_number: u64, _now: Duration) {
        if let Some(sent) = self.sent.iter_mut().find(|sent| sent.frame_number == frame_number) {
            sent.is_lost = true;
            self.encoder.lose(sent.id);
        }
    }

    fn displayed(&mut self, frame_number: u64, _now: Duration) -> Option<Score> {
        self.sent(frame_number).map(|sent| sent.score)
    }

    fn on_screen(&mut self, shown: u64, captured: u64) -> Option<Score> {
        let (shown, captured) = (self.sent(shown)?.luma.as_frame(), self.picture(captured)?);
        let measured = quality::compare(self.level, captured.plane(0), shown.plane(0), &self.pool).ok()?;
        Some(Score { ssim: measured.ssim, psnr_db: measured.psnr_db })
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
