//! Keeping what a session promises: the reduction, the quality floor, the time, and a packet whatever happens.

use std::time::Duration;

use crate::codec::Codec;
use crate::codec::h264::{H264Config, Preset};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::rate::{Plan, Reason, usual_bytes};
use crate::session::coder::{Coded, Coder, Order};
use crate::session::config::SessionConfig;
use crate::session::output::Fallback;

/// A frame in this many is measured to keep the floor where not every one is.
const PROBE_INTERVAL: u32 = 30;
/// Times a frame is coded again to reach its floor.
const MAX_FLOOR_PASSES: u32 = 3;
/// Highest quality the floor or a bit rate may ask for.
const MAX_QUALITY: u8 = 98;

/// How far over the floor, as a part of what is left to 1, the quality aims that sizes are chosen for: frames differ.
const FLOOR_MARGIN: f64 = 0.25;
/// How fast that quality is followed, up and down.
const NEED_SPEEDS: (f64, f64) = (0.2, 0.02);
/// Over the expected bytes of a second try, so that it rarely is for nothing.
const RETRY_MARGIN: f64 = 1.3;

/// What was learned of this content's quality, from frame to frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Promise {
    /// Lowest quality that kept the floor of late; 0 where the plan's own does.
    floor_quality: u8,
    /// Quality that frames need to keep the floor, on average; none before one was measured.
    needed: Option<f64>,
    until_probe: u32,
    late: bool,
}

/// A coded frame and what gave way for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) codec: Codec,
    pub(crate) coded: Coded,
    pub(crate) encode_us: u64,
    pub(crate) measure_us: u64,
    pub(crate) fallback: Option<Fallback>,
}

impl Promise {
    /// Tells whether the last frame took too long: the next one is then coded with one pass and no probe.
    pub(crate) fn note_late(&mut self, late: bool) {
        self.late = late;
    }

    /// The quality that this content needs to keep the floor with something to spare; 0 where nothing is known.
    pub(crate) fn needed_quality(&self) -> u8 {
        self.needed.map_or(0, |quality| quality.round() as u8)
    }

    /// Codes `frame` as planned, with H.264's `preset`, at a higher quality where the floor needs it: over the reduction promised if
    /// need be, never over what the link carries. What
    /// `matters` is always measured.
    pub(crate) fn keep(
        &mut self,
        coder: &mut Coder,
        config: &SessionConfig,
        preset: Preset,
        (plan, matters): (&Plan, bool),
        frame: &Frame<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Kept> {
        let mut order = self.order(config, preset, plan);
        order.measure |= matters;
        let mut kept = self.code_somehow(coder, frame, &mut order, out)?;
        if kept.codec == Codec::Lossless {
            return Ok(kept);
        }
        let limit = link_bytes(plan);
        if kept.codec == Codec::Jpeg && !link_limits(plan) && kept.coded.quality < self.floor_quality {
            self.code_finer(&mut kept, (coder, frame), (&mut order, plan), self.floor_quality, out)?;
        }
        let floor = config.floor();
        let mut passes = if self.late { 0 } else { MAX_FLOOR_PASSES };
        while let Some(measured) = kept.coded.measured.filter(|measured| measured.ssim < floor) {
            let finer = finer(kept.coded.quality, measured.ssim, floor);
            let has_room = limit.is_none_or(|limit| kept.may_stay_within(finer, limit));
            if !has_room || passes == 0 || finer == kept.coded.quality || kept.codec == Codec::Lossless {
                kept.fallback = kept.fallback.or(Some(Fallback::Budget));
                self.note_need(&kept, floor);
                // The next frame is finer at once, where this one left room.
                if limit.is_some_and(|limit| 2 * kept.coded.bytes <= limit) && passes > 0 && !kept.is_blank() {
                    self.floor_quality = finer;
                }
                return Ok(kept);
            }
            passes -= 1;
            self.code_finer(&mut kept, (coder, frame), (&mut order, plan), finer, out)?;
            self.floor_quality = finer;
        }
        self.note_need(&kept, floor);
        let allowed = (1.0 - config.reduction()) * frame.raw_bytes() as f64;
        let allowed = allowed.min(plan.budget_bytes.map_or(f64::MAX, f64::from));
        if kept.coded.bytes as f64 > allowed && kept.fallback.is_none() {
            kept.fallback = Some(Fallback::QualityFloor);
        }
        // Content changes: what it needed once it may not need for long.
        if kept.coded.measured.is_some_and(|measured| measured.ssim > floor + (1.0 - floor) * 0.2) {
            self.floor_quality = self.floor_quality.saturating_sub(1);
        }
        Ok(kept)
    }

    /// What is asked of the encoder at first.
    fn order(&mut self, config: &SessionConfig, preset: Preset, plan: &Plan) -> Order {
        let floor_rules = !link_limits(plan) && self.floor_quality >= plan.quality;
        let most = |bytes: Option<u32>| bytes.map(|bytes| bytes as usize);
        // H.264 finds the quality for its bytes by itself, so it is told the best that is of use.
        let planned = match (plan.codec, plan.reason) {
            (Codec::H264, Reason::Bitrate { .. }) => MAX_QUALITY,
            (Codec::H264, _) => config.mode.quality(),
            _ => plan.quality,
        };
        Order {
            codec: plan.codec,
            quality: planned.max(self.floor_quality),
            subsampling: config.subsampling,
            optimise: false,
            h264: H264Config { preset, ..config.h264 },
            qp: None,
            target_bytes: most(plan.target_bytes).filter(|_| !floor_rules),
            max_bytes: if floor_rules { most(plan.link_bytes) } else { most(plan.budget_bytes) },
            temporal: true,
            keyframe: plan.keyframe,
            measure: config.measure_quality || self.probe_due(),
        }
    }

    /// Codes again at a higher quality, within what the link carries.
    fn code_finer(
        &self,
        kept: &mut Kept,
        (coder, frame): (&mut Coder, &Frame<'_>),
        (order, plan): (&mut Order, &Plan),
        quality: u8,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        (order.quality, order.target_bytes, order.max_bytes) = (quality, None, link_bytes(plan));
        // What the packet before brought is thrown away with it. As H.264 it begins anew: the encoder would predict from a picture
        // that no receiver has.
        order.keyframe = true;
        out.clear();
        let again = self.code_somehow(coder, frame, order, out)?;
        *kept = Kept {
            encode_us: kept.encode_us + again.encode_us,
            measure_us: kept.measure_us + again.measure_us,
            ..again
        };
        Ok(())
    }

    /// Follows the quality that would have kept the floor.
    fn note_need(&mut self, kept: &Kept, floor: f64) {
        let Some(measured) = kept.coded.measured.filter(|_| !kept.is_blank()) else { return };
        let aim = floor + (1.0 - floor) * FLOOR_MARGIN;
        let seen = quality_for(kept.coded.quality, measured.ssim, aim).clamp(1.0, 100.0);
        let before = *self.needed.get_or_insert(seen);
        let speed = if seen > before { NEED_SPEEDS.0 } else { NEED_SPEEDS.1 };
        self.needed = Some(before + speed * (seen - before));
    }

    /// Codes at any price: over a budget nothing fits, and losslessly where the codec fails.
    fn code_somehow(&self, coder: &mut Coder, frame: &Frame<'_>, order: &mut Order, out: &mut Vec<u8>) -> Result<Kept> {
        let (coded, fallback) = match coder.code(frame, order, out) {
            Ok(coded) => (coded, None),
            Err(Error::Budget { .. }) => {
                (order.quality, order.target_bytes, order.max_bytes) = (1, None, None);
                (coder.code(frame, order, out)?, Some(Fallback::Budget))
            }
            Err(error @ Error::Internal { .. }) if order.codec != Codec::Lossless => {
                tracing::warn!(%error, "codec failed, falling back to lossless");
                *order = Order { measure: order.measure, ..Order::still(Codec::Lossless) };
                (coder.code(frame, order, out)?, Some(Fallback::CodecError))
            }
            Err(error) => return Err(error),
        };
        let [encode, measure] = coded.times.map(micros);
        Ok(Kept { codec: order.codec, coded, encode_us: encode, measure_us: measure, fallback })
    }

    fn probe_due(&mut self) -> bool {
        if self.late {
            return false;
        }
        let due = self.until_probe == 0;
        self.until_probe = if due { PROBE_INTERVAL - 1 } else { self.until_probe - 1 };
        due
    }
}

impl Kept {
    /// Whether the bytes weren't enough for any picture.
    pub(crate) fn is_blank(&self) -> bool {
        self.coded.h264.is_some_and(|stats| stats.is_blank())
    }

    /// Whether the frame, coded again at another quality, is likely to take no more than `limit` bytes. A P frame would become a
    /// keyframe, and that is more than a link carries at once.
    fn may_stay_within(&self, quality: u8, limit: usize) -> bool {
        let usual = |quality| usual_bytes(self.codec, quality, self.coded.keyframe);
        let bytes = self.coded.bytes as f64 * usual(quality) / usual(self.coded.quality);
        self.coded.keyframe && bytes * RETRY_MARGIN <= limit as f64
    }
}

/// Whether what the link carries is why the plan is as it is.
fn link_limits(plan: &Plan) -> bool {
    matches!(plan.reason, Reason::LinkLimits { .. } | Reason::Window { .. } | Reason::Bitrate { .. })
}

/// Bytes that the link carries, where that is known.
fn link_bytes(plan: &Plan) -> Option<usize> {
    let declared = plan.budget_bytes.filter(|_| link_limits(plan));
    plan.link_bytes.into_iter().chain(declared).min().map(|bytes| bytes as usize)
}

/// A higher quality, by how much of the loss has to go.
fn finer(quality: u8, ssim: f64, floor: f64) -> u8 {
    if quality >= MAX_QUALITY {
        return quality;
    }
    let aim = 100.0 - (100.0 - quality_for(quality, ssim, floor)).min(f64::from(100 - quality)) * 0.9;
    (aim.ceil() as u8).clamp(quality + 1, MAX_QUALITY)
}

/// The quality at which content would come to `aim` that came to `ssim` at another: the distance to 100 shrinks as the distance to
/// an SSIM of 1 must.
fn quality_for(quality: u8, ssim: f64, aim: f64) -> f64 {
    100.0 - (100.0 - f64::from(quality)) * (1.0 - aim).max(0.0) / (1.0 - ssim).max(1e-6)
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}
