//! Frames that were sent of late: what they were predicted from, and how they look on a screen.

use std::collections::VecDeque;

use auralink::netem::Score;
use auralink::{FrameBuf, Level, PixelFormat, quality, resize::Resizer};
use rayon::ThreadPool;

use super::frames::Frames;

/// Frames whose fate is remembered.
const REMEMBERED: usize = 512;

/// A frame that was sent.
pub(crate) struct Sent {
    pub(crate) frame_number: u64,
    /// The encoder's number of it.
    pub(crate) id: u64,
    pub(crate) predicted_from: Option<u64>,
    pub(crate) is_lost: bool,
    pub(crate) score: Score,
    /// What a decoder makes of it, at the size of the clip, where that is kept.
    luma: Option<FrameBuf>,
}

/// What was sent of late, ascending.
#[derive(Default)]
pub(crate) struct History {
    sent: VecDeque<Sent>,
}

/// Puts decoded frames beside those of the clip.
pub(super) struct Eye {
    pub(super) frames: Frames,
    pub(super) level: Level,
    resizer: Resizer,
}

impl History {
    pub(crate) fn find(&self, frame_number: u64) -> Option<&Sent> {
        self.sent.iter().find(|sent| sent.frame_number == frame_number)
    }

    /// What the next frame is predicted from that doesn't stand alone: as the encoder does, the newest unless that is known to be
    /// lost; what it takes instead has arrived.
    pub(crate) fn reference(&self) -> Option<u64> {
        self.sent.back().map(|newest| newest.frame_number).filter(|&from| !self.is_broken(from))
    }

    pub(crate) fn push(&mut self, sent: Sent) {
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(sent);
    }

    /// Notes that a frame is lost, and returns the encoder's number of it.
    pub(crate) fn lose(&mut self, frame_number: u64) -> Option<u64> {
        let sent = self.sent.iter_mut().find(|sent| sent.frame_number == frame_number)?;
        sent.is_lost = true;
        Some(sent.id)
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
}

impl Eye {
    pub(super) fn new(frames: Frames, level: Level) -> Self {
        Self { frames, level, resizer: Resizer::default() }
    }

    /// The luma of a decoded frame at the size of the clip, and how near it is to the frame it was made of.
    pub(crate) fn look(
        &mut self,
        frame_number: u64,
        decoded: &auralink::Frame<'_>,
        pool: &ThreadPool,
    ) -> auralink::Result<Option<(Option<FrameBuf>, Score)>> {
        let Some(source) = self.frames.get(frame_number) else { return Ok(None) };
        let mut luma = FrameBuf::zeroed(PixelFormat::Gray8, decoded.width(), decoded.height())?;
        for (y, row) in luma.data_mut().chunks_exact_mut(decoded.width() as usize).enumerate() {
            row.copy_from_slice(decoded.plane(0).row(y));
        }
        if (decoded.width(), decoded.height()) != (source.width(), source.height()) {
            let mut grown = FrameBuf::zeroed(PixelFormat::Gray8, 1, 1)?;
            self.resizer.resize(&luma.as_frame(), source.width(), source.height(), &mut grown)?;
            luma = grown;
        }
        let measured = quality::compare(self.level, source.plane(0), luma.as_frame().plane(0), pool)?;
        Ok(Some((Some(luma), Score { ssim: measured.ssim, psnr_db: measured.psnr_db })))
    }

    /// How near what was sent is to another frame of the clip.
    pub(crate) fn compare(&self, sent: &Sent, captured: u64, pool: &ThreadPool) -> Option<Score> {
        let captured = self.frames.get(captured)?;
        let measured =
            quality::compare(self.level, captured.plane(0), sent.luma.as_ref()?.as_frame().plane(0), pool).ok()?;
        Some(Score { ssim: measured.ssim, psnr_db: measured.psnr_db })
    }
}

impl Sent {
    pub(crate) fn new(
        frame_number: u64,
        id: u64,
        predicted_from: Option<u64>,
        (luma, score): (Option<FrameBuf>, Score),
    ) -> Self {
        Self { frame_number, id, predicted_from, is_lost: false, score, luma }
    }
}
