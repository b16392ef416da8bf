//! Keeping what a session promises: the reduction, the quality floor, the time, and a packet whatever happens.

use std::time::Duration;

use crate::codec::Codec;
use crate::codec::h264::{H264Config, Preset};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::rate::{Appearance, Plan, Reason, Scale, usual_bytes};
use crate::session::coder::{Coded, Coder, Order};
use crate::session::config::SessionConfig;
use crate::session::output::Fallback;

/// A frame in this many is measured to keep the floor where not every one is.
const PROBE_INTERVAL: u32 = 30;
/// Times a frame is coded again to reach its floor.
const MAX_FLOOR_PASSES: u32 = 3;
/// Highest quality the floor or a bit rate may ask for.
const MAX_QUALITY: u8 = 98;
/// Over the expected bytes of a second try, so that it rarely is for nothing.
const RETRY_MARGIN: f64 = 1.3;

/// What was learned of this content's quality, from frame to frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Promise {
    /// Lowest quality that kept the floor of late; 0 where the plan's own does.
    floor_quality: u8,
    appearance: Appearance,
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

    /// How this content looks, as far as is known.
    pub(crate) fn appearance(&self) -> Appearance {
        self.appearance
    }

    /// Codes `frame`, which is `source` at the size planned, as planned, with H.264's `preset`, at a higher quality where the floor
    /// needs it: over the reduction promised if need be, never over what the link carries. What `matters` is always measured.
    pub(crate) fn keep(
        &mut self,
        coder: &mut Coder,
        config: &SessionConfig,
        preset: Preset,
        (plan, matters): (&Plan, bool),
        (source, frame): (&Frame<'_>, &Frame<'_>),
        out: &mut Vec<u8>,
    ) -> Result<Kept> {
        let probes = self.probe_due() || matters;
        let mut order = self.order(config, preset, plan, probes);
        let mut kept = code_somehow(coder, (source, frame), &mut order, out)?;
        if kept.codec == Codec::Lossless {
            return Ok(kept);
        }
        let limit = link_bytes(plan);
        if kept.codec == Codec::Jpeg && !link_limits(plan) && kept.coded.quality < self.floor_quality {
            code_finer(&mut kept, coder, (source, frame), (&mut order, plan), self.floor_quality, out)?;
        }
        if probes && link_limits(plan) {
            self.learn_size(&mut kept, coder, source, plan.scale)?;
        }
        let floor = config.floor();
        let mut passes = if self.late { 0 } else { MAX_FLOOR_PASSES };
        while let Some(measured) = kept.coded.measured.filter(|measured| measured.ssim < floor) {
            // What a smaller size takes, no quality brings back.
            let of_size = self.appearance.ssim_of_size(plan.scale);
            let finer = finer(kept.coded.quality, measured.ssim / of_size, floor / of_size);
            let is_possible = floor < of_size;
            let has_room = is_possible && limit.is_none_or(|limit| kept.may_stay_within(finer, limit));
            if !has_room || passes == 0 || finer == kept.coded.quality || kept.codec == Codec::Lossless {
                kept.fallback = kept.fallback.or(Some(Fallback::Budget));
                self.learn_coding(&kept);
                // The next frame is finer at once, where this one left room.
                let left_room = limit.is_some_and(|limit| 2 * kept.coded.bytes <= limit);
                if is_possible && left_room && passes > 0 && !kept.is_blank() {
                    self.floor_quality = finer;
                }
                return Ok(kept);
            }
            passes -= 1;
            code_finer(&mut kept, coder, (source, frame), (&mut order, plan), finer, out)?;
            self.floor_quality = finer;
        }
        self.learn_coding(&kept);
        let allowed = (1.0 - config.reduction()) * source.raw_bytes() as f64;
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
    fn order(&self, config: &SessionConfig, preset: Preset, plan: &Plan, probes: bool) -> Order {
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
            measure: config.measure_quality || probes,
        }
    }

    /// Follows what coding takes of this content's SSIM.
    fn learn_coding(&mut self, kept: &Kept) {
        if let Some(ssim) = kept.coded.coded_ssim.filter(|_| !kept.is_blank()) {
            self.appearance.learn_coding(kept.coded.quality, ssim);
        }
    }

    /// Measures what the size takes of this content's SSIM, or what the next smaller one would.
    fn learn_size(&mut self, kept: &mut Kept, coder: &mut Coder, source: &Frame<'_>, scale: Scale) -> Result<()> {
        let start = coder.now();
        let scale = scale.min(Scale::LADDER[1]);
        self.appearance.learn_size(scale, coder.ssim_of_size(source, kept.codec, scale)?);
        kept.measure_us += micros(coder.now().saturating_sub(start));
        Ok(())
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

/// Codes again at a higher quality, within what the link carries.
fn code_finer(
    kept: &mut Kept,
    coder: &mut Coder,
    frames: (&Frame<'_>, &Frame<'_>),
    (order, plan): (&mut Order, &Plan),
    quality: u8,
    out: &mut Vec<u8>,
) -> Result<()> {
    (order.quality, order.target_bytes, order.max_bytes) = (quality, None, link_bytes(plan));
    // What the packet before brought is thrown away with it. As H.264 it begins anew: the encoder would predict from a picture
    // that no receiver has.
    order.keyframe = true;
    out.clear();
    let again = code_somehow(coder, frames, order, out)?;
    *kept =
        Kept { encode_us: kept.encode_us + again.encode_us, measure_us: kept.measure_us + again.measure_us, ..again };
    Ok(())
}

/// Codes at any price: over a budget nothing fits, and losslessly where the codec fails.
fn code_somehow(
    coder: &mut Coder,
    (source, frame): (&Frame<'_>, &Frame<'_>),
    order: &mut Order,
    out: &mut Vec<u8>,
) -> Result<Kept> {
    let (coded, fallback) = match coder.code_for(source, frame, order, out) {
        Ok(coded) => (coded, None),
        Err(Error::Budget { .. }) => {
            (order.quality, order.target_bytes, order.max_bytes) = (1, None, None);
            (coder.code_for(source, frame, order, out)?, Some(Fallback::Budget))
        }
        Err(error @ Error::Internal { .. }) if order.codec != Codec::Lossless => {
            tracing::warn!(%error, "codec failed, falling back to lossless");
            *order = Order { measure: order.measure, ..Order::still(Codec::Lossless) };
            (coder.code_for(source, frame, order, out)?, Some(Fallback::CodecError))
        }
        Err(error) => return Err(error),
    };
    let [encode, measure] = coded.times.map(micros);
    Ok(Kept { codec: order.codec, coded, encode_us: encode, measure_us: measure, fallback })
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
