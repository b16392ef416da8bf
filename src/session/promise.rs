//! Keeping what a session promises: the reduction, the quality floor, the time, and a packet whatever happens.

use std::time::Duration;

use crate::codec::Codec;
use crate::codec::h264::{H264Config, Preset};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::rate::{Plan, Reason};
use crate::session::coder::{Coded, Coder, Order};
use crate::session::config::SessionConfig;
use crate::session::output::Fallback;

/// A frame in this many is measured to keep the floor where not every one is.
const PROBE_INTERVAL: u32 = 30;
/// Times a frame is coded again to reach its floor.
const MAX_FLOOR_PASSES: u32 = 3;
/// Highest quality the floor or a bit rate may ask for.
const MAX_QUALITY: u8 = 98;

/// What was learned of this content's quality, from frame to frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Promise {
    /// Lowest quality that kept the floor of late; 0 where the plan's own does.
    floor_quality: u8,
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

    /// Codes `frame` as planned, with H.264's `preset`, at a higher quality where the floor needs it: over the reduction promised if need be, never
    /// over what the link carries.
    pub(crate) fn keep(
        &mut self,
        coder: &mut Coder,
        config: &SessionConfig,
        preset: Preset,
        plan: &Plan,
        frame: &Frame<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Kept> {
        let link_limits =
            matches!(plan.reason, Reason::LinkLimits { .. } | Reason::Window { .. } | Reason::Bitrate { .. });
        let floor_rules = !link_limits && self.floor_quality >= plan.quality;
        let bytes = |bytes: Option<u32>| bytes.filter(|_| !floor_rules).map(|bytes| bytes as usize);
        // H.264 finds the quality for its bytes by itself, so it is told the best that is of use.
        let planned = match (plan.codec, plan.reason) {
            (Codec::H264, Reason::Bitrate { .. }) => MAX_QUALITY,
            (Codec::H264, _) => config.mode.quality(),
            _ => plan.quality,
        };
        let mut order = Order {
            codec: plan.codec,
            quality: planned.max(self.floor_quality),
            subsampling: config.subsampling,
            optimise: false,
            h264: H264Config { preset, ..config.h264 },
            qp: None,
            target_bytes: bytes(plan.target_bytes),
            max_bytes: bytes(plan.budget_bytes),
            temporal: true,
            keyframe: plan.keyframe,
            measure: config.measure_quality || self.probe_due(),
        };
        let mut kept = self.code_somehow(coder, frame, &mut order, out)?;
        if kept.codec == Codec::Lossless {
            return Ok(kept);
        }
        if kept.codec == Codec::Jpeg && !link_limits && kept.coded.quality < self.floor_quality {
            kept.code_finer(coder, frame, &mut order, self.floor_quality, out)?;
        }
        let floor = config.floor();
        let mut passes = if self.late { 0 } else { MAX_FLOOR_PASSES };
        while let Some(measured) = kept.coded.measured.filter(|measured| measured.ssim < floor) {
            let finer = finer(kept.coded.quality, measured.ssim, floor);
            if link_limits || passes == 0 || finer == kept.coded.quality {
                kept.fallback = kept.fallback.or(Some(Fallback::Budget));
                return Ok(kept);
            }
            passes -= 1;
            kept.code_finer(coder, frame, &mut order, finer, out)?;
            self.floor_quality = finer;
        }
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

    /// Codes at any price: over a budget nothing fits, and losslessly where the codec fails.
    fn code_somehow(&self, coder: &mut Coder, frame: &Frame<'_>, order: &mut Order, out: &mut Vec<u8>) -> Result<Kept> {
        let (coded, fallback) = match coder.code(frame, order, out) {
            Ok(coded) => (coded, None),
            Err(Error::Budget { .. }) => {
                (order.quality, order.target_bytes, order.max_bytes) = (1, None, None);
                (coder.code(frame, order, out)?, Some(Fallback::Budget))
            }
            Err(error) if error.is_input() || order.codec == Codec::Lossless => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "codec failed, falling back to lossless");
                *order = Order { measure: order.measure, ..Order::still(Codec::Lossless) };
                (coder.code(frame, order, out)?, Some(Fallback::CodecError))
            }
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
    /// Codes again at a higher quality, whatever it takes. As H.264 it begins anew: the encoder would predict from a picture
    /// that no receiver has.
    fn code_finer(
        &mut self,
        coder: &mut Coder,
        frame: &Frame<'_>,
        order: &mut Order,
        quality: u8,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        (order.quality, order.target_bytes, order.max_bytes) = (quality, None, None);
        // What the packet before brought is thrown away with it.
        order.keyframe = true;
        out.clear();
        self.coded = coder.code(frame, order, out)?;
        let [encode, measure] = self.coded.times.map(micros);
        self.encode_us += encode;
        self.measure_us += measure;
        Ok(())
    }
}

/// A higher quality, by how much of the loss has to go: the distance to 100 shrinks as the distance to an SSIM of 1 must.
fn finer(quality: u8, ssim: f64, floor: f64) -> u8 {
    if quality >= MAX_QUALITY {
        return quality;
    }
    let ratio = ((1.0 - floor) / (1.0 - ssim).max(1e-6)).clamp(0.0, 1.0);
    let aim = 100.0 - f64::from(100 - quality) * ratio * 0.9;
    (aim.ceil() as u8).clamp(quality + 1, MAX_QUALITY)
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}
