//! Declared conditions to a plan, by a simple rule: the budget of a frame is its share of the link; the picture gets smaller
//! before it gets ugly; frames are shed before nothing fits.

use std::cmp::Ordering;

use crate::codec::Codec;
use crate::limits;
use crate::rate::{Appearance, Mode, NetworkConditions, Plan, Reason, Scale};
use crate::rate::{Complexity, h264, model};

/// How far under the mode's own quality the quality stays that a frame is waited for.
const FLOOR_UNDER_MODE: u8 = 10;
/// How far over the floor, as a part of what is left to 1, the quality aims that a frame is waited for: frames differ.
const FLOOR_MARGIN: f64 = 0.25;
/// Quality of the first picture of another size, at least.
const LEAST_FIRST_QUALITY: u8 = 8;
/// Frames a second that are left where some are left out to keep the floor, and the most that are then taken for one.
const LEAST_FPS: f64 = 10.0;
const MAX_PATIENCE: f64 = 5.0;
/// Quality that has to fit at the smallest scale before frames are shed.
const SHED_QUALITY: u8 = 15;
/// Quality that has to fit at a scale for the scale to be taken, and the room to spare at a larger one than that of the frame before.
const LEAST_QUALITY: u8 = 5;
const SCALE_UP_MARGIN: f64 = 1.5;
/// What another scale must leave, at most, of what is lost of SSIM: for less, sizes would flicker. A smaller one is taken only for much,
/// as what makes pictures need more is soon over, and the way back is long.
const LEFT_BY_LARGER: f64 = 0.9;
const LEFT_BY_SMALLER: f64 = 0.75;
/// Shares of the link that a keyframe of H.264 may take; the frames after it wait until the link is free again.
const KEYFRAME_SHARES: f64 = 4.0;
/// Fraction of its budget that a frame aims for, where the codec can aim.
const AIM: f64 = 0.9;
/// Most frames shed for one that is coded: a stream slows down and never stops.
const MAX_DIVISOR: u32 = 30;

/// What a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// Codec of the session.
    pub codec: Codec,
    /// Width of the source, pixels.
    pub width: u32,
    /// Height of the source, pixels.
    pub height: u32,
    /// Bytes of a raw frame.
    pub raw_bytes: usize,
    /// Frames a second.
    pub fps: f64,
    /// Mode.
    pub mode: Mode,
    /// Part of the link that frames may use.
    pub utilisation: f64,
    /// Fraction of the raw bytes to save, instead of the mode's.
    pub target_reduction: Option<f64>,
    /// How many times more bytes this content takes as JPEG than the model's usual picture; 1 where nothing is known yet.
    pub complexity: f64,
    /// The same of H.264.
    pub h264: Complexity,
    /// How this content looks.
    pub appearance: Appearance,
    /// SSIM that is to be kept.
    pub floor: f64,
    /// Scale of the frame before.
    pub scale: Scale,
    /// Whether the frame must stand alone.
    pub keyframe: bool,
}

/// What a plan is expected to give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hints {
    /// The plan.
    pub plan: Plan,
    /// Bytes of a packet.
    pub bytes: f64,
    /// Fraction of the raw bytes saved.
    pub reduction: f64,
    /// SSIM of luma on the screen.
    pub ssim: f64,
    /// Coding, sending at the goodput, and half a round trip, ms.
    pub latency_ms: f64,
}

impl Goal {
    /// The plan for the next frame under `network`, or for a link without limits where nothing is declared.
    pub fn plan(&self, network: Option<&NetworkConditions>) -> Plan {
        let mut plan = Plan {
            codec: self.codec,
            scale: Scale::FULL,
            frame_divisor: 1,
            quality: self.mode.quality(),
            target_bytes: None,
            budget_bytes: None,
            link_bytes: None,
            keyframe: self.is_keyframe(self.scale),
            reason: Reason::Unlimited,
        };
        if self.codec == Codec::Lossless {
            return Plan { quality: 100, reason: Reason::Lossless, ..plan };
        }
        if let Some(network) = network {
            self.fit(network, &mut plan);
        }
        plan.keyframe = self.is_keyframe(plan.scale);
        let target = self.target_reduction.unwrap_or(self.mode.reduction());
        let allowed = ((1.0 - target) * self.raw_bytes as f64) as u32;
        if plan.budget_bytes.is_none_or(|budget| allowed < budget) {
            plan.budget_bytes = Some(allowed.max(1));
            // A reduction that wasn't asked for by number, and doesn't bind, isn't why the plan is as it is.
            let bytes = self.predicted(plan.quality, plan.scale, plan.keyframe);
            if self.target_reduction.is_some() || bytes > f64::from(allowed) {
                plan.reason = Reason::Reduction { target, budget_bytes: allowed };
                plan.quality = self.quality_for(f64::from(allowed), plan.scale, plan.keyframe, plan.quality);
            }
        }
        if self.codec == Codec::H264 && matches!(plan.reason, Reason::LinkLimits { .. } | Reason::Reduction { .. }) {
            plan.target_bytes = plan.budget_bytes.map(|budget| (f64::from(budget) * AIM) as u32);
        }
        plan
    }

    /// As [`Goal::plan`], at a size that is decided already.
    pub(crate) fn plan_at(&self, scale: Scale, network: Option<&NetworkConditions>) -> Plan {
        let mut plan = self.plan(network);
        (plan.scale, plan.frame_divisor) = (scale, 1);
        plan.keyframe = self.is_keyframe(scale);
        if let Some(budget) = plan.budget_bytes {
            plan.quality = self.quality_for(f64::from(budget), scale, plan.keyframe, self.mode.quality());
        }
        plan
    }

    /// The plan once sizes have settled, and what it is expected to give.
    pub fn hints(&self, network: Option<&NetworkConditions>) -> Hints {
        self.hints_of(Self { scale: self.plan(network).scale, ..*self }.plan(network), network)
    }

    /// What a plan is expected to give.
    pub(crate) fn hints_of(&self, plan: Plan, network: Option<&NetworkConditions>) -> Hints {
        let bytes = match self.codec {
            Codec::Lossless => self.raw_bytes as f64 * model::LOSSLESS_RATIO,
            Codec::Jpeg | Codec::H264 => {
                let bytes = self.predicted(plan.quality, plan.scale, plan.keyframe);
                bytes.min(plan.budget_bytes.map_or(f64::MAX, f64::from))
            }
        };
        let pixels = self.pixels(plan.scale);
        let sending_ms = network.map_or(0.0, |n| bytes * 8.0 / n.goodput_kbps() + n.rtt_ms() / 2.0);
        Hints {
            plan,
            bytes,
            reduction: 1.0 - bytes / self.raw_bytes.max(1) as f64,
            ssim: if self.codec == Codec::Lossless { 1.0 } else { self.appearance.ssim(plan.quality, plan.scale) },
            latency_ms: pixels / model::pixels_per_ms(self.codec) + sending_ms,
        }
    }

    /// Lowers scale, frame rate and quality until a frame fits its share of the link.
    fn fit(&self, network: &NetworkConditions, plan: &mut Plan) {
        let goodput_kbps = network.goodput_kbps();
        let share = goodput_kbps * self.utilisation * 1000.0 / 8.0 / self.fps;
        // What the link carries in the long run is judged by P frames, where there are any: keyframes are few.
        if self.predicted(plan.quality, Scale::FULL, false) <= share && self.scale == Scale::FULL {
            plan.reason = Reason::LinkHasRoom { goodput_kbps };
            plan.budget_bytes = Some((share * self.shares(Scale::FULL)) as u32);
            return;
        }
        plan.scale = self.scale_for(share);
        let least = self.predicted(SHED_QUALITY, plan.scale, false);
        plan.frame_divisor = ((least / share).ceil() as u32).clamp(1, MAX_DIVISOR);
        let budget = (share * f64::from(plan.frame_divisor) * self.shares(plan.scale)).max(1.0);
        plan.quality = self.quality_for(budget, plan.scale, self.is_keyframe(plan.scale), plan.quality);
        plan.budget_bytes = Some(budget as u32);
        plan.reason = Reason::LinkLimits { goodput_kbps, budget_bytes: budget as u32 };
    }

    /// The scale at which frames of a `share` of the link look best on the screen, going on from that of the frame before.
    fn scale_for(&self, share: f64) -> Scale {
        let usual = Self { h264: self.h264.usual(), ..*self };
        let fits = |scale: Scale| {
            let margin = if scale > self.scale { SCALE_UP_MARGIN } else { 1.0 };
            usual.predicted(LEAST_QUALITY, scale, false) * margin <= share
        };
        let lost = |scale: Scale| {
            let lost = 1.0 - usual.expected_ssim(scale, share, false);
            match scale.cmp(&self.scale) {
                Ordering::Greater => lost / LEFT_BY_LARGER,
                Ordering::Equal => lost,
                Ordering::Less => lost / LEFT_BY_SMALLER,
            }
        };
        let scales = || Scale::LADDER.into_iter().filter(|&scale| self.can_have(scale));
        let best = scales().filter(|&scale| fits(scale)).min_by(|&a, &b| lost(a).total_cmp(&lost(b)));
        best.or_else(|| scales().next_back()).unwrap_or(Scale::FULL)
    }

    /// SSIM on the screen of a frame of so many bytes.
    pub(crate) fn expected_ssim(&self, scale: Scale, bytes: f64, keyframe: bool) -> f64 {
        self.appearance.ssim(self.quality_for(bytes, scale, keyframe, self.mode.quality()), scale)
    }

    /// The next smaller scale that the codec takes.
    pub(crate) fn smaller(&self, scale: Scale) -> Option<Scale> {
        Scale::LADDER.into_iter().find(|&other| other < scale && self.can_have(other))
    }

    /// What a packet that took `bytes` says of its content: the next [`Goal::complexity`], following slowly.
    pub fn learn(complexity: f64, pixels: f64, quality: u8, bytes: usize) -> f64 {
        complexity + 0.25 * (jpeg_complexity(pixels, quality, bytes) - complexity)
    }

    /// The same for a content of which a frame took `bytes` at a scale.
    pub(crate) fn of_content(self, scale: Scale, quality: u8, keyframe: bool, bytes: usize) -> Self {
        let pixels = self.pixels(scale);
        match self.codec {
            Codec::H264 => Self { h264: self.h264.with(pixels, quality, keyframe, bytes), ..self },
            _ => Self { complexity: jpeg_complexity(pixels, quality, bytes), ..self },
        }
    }

    /// Whether the frame stands alone: asked for, always as JPEG, and as H.264 wherever its size is another than before.
    fn is_keyframe(&self, scale: Scale) -> bool {
        match self.codec {
            Codec::Jpeg => true,
            Codec::Lossless => self.keyframe,
            Codec::H264 => self.keyframe || scale != self.scale,
        }
    }

    /// Shares of the link that the frame may take.
    fn shares(&self, scale: Scale) -> f64 {
        if self.codec == Codec::H264 && self.is_keyframe(scale) { KEYFRAME_SHARES } else { 1.0 }
    }

    /// Whether the codec takes pictures so small.
    fn can_have(&self, scale: Scale) -> bool {
        let takes = |side| limits::H264_SIDE.contains(&f64::from(scale.apply(side)));
        scale == Scale::FULL || self.codec != Codec::H264 || (takes(self.width) && takes(self.height))
    }

    /// Shares of the link that a frame may wait for so as to keep the floor: fewer frames are better than a smaller picture, as
    /// long as they are many.
    pub(crate) fn patience(&self) -> f64 {
        (self.fps / LEAST_FPS).floor().clamp(1.0, MAX_PATIENCE)
    }

    /// Bytes that the first picture of another size needs to be one at all.
    pub(crate) fn least_first_bytes(&self, scale: Scale) -> f64 {
        self.predicted(LEAST_FIRST_QUALITY, scale, true)
    }

    /// Bytes of a packet that keeps the floor, as far as is known; none where its size doesn't.
    pub(crate) fn floor_bytes(&self, plan: &Plan) -> f64 {
        let aim = self.floor + (1.0 - self.floor) * FLOOR_MARGIN;
        let most = self.mode.quality().saturating_sub(FLOOR_UNDER_MODE);
        let quality = self.appearance.quality_for(aim, plan.scale);
        quality.map_or(0.0, |quality| self.predicted(quality.min(most), plan.scale, plan.keyframe))
    }

    /// Bytes that a packet is expected to take at the mode's quality.
    pub(crate) fn needed(&self, plan: &Plan) -> f64 {
        self.predicted(self.mode.quality(), plan.scale, plan.keyframe)
    }

    fn pixels(&self, scale: Scale) -> f64 {
        f64::from(scale.apply(self.width)) * f64::from(scale.apply(self.height))
    }

    /// Bytes a packet of this quality and scale is expected to take.
    fn predicted(&self, quality: u8, scale: Scale, keyframe: bool) -> f64 {
        let pixels = self.pixels(scale);
        match self.codec {
            Codec::H264 => h264::usual_bytes(pixels, quality, keyframe) * self.h264.of(keyframe),
            _ => model::JPEG_HEADER_BYTES + model::coefficient_bytes(pixels, quality) * self.complexity,
        }
    }

    /// The highest quality up to `ceiling` expected to fit; 1 where none does.
    fn quality_for(&self, bytes: f64, scale: Scale, keyframe: bool, ceiling: u8) -> u8 {
        let (mut low, mut high) = (1, ceiling + 1);
        while high - low > 1 {
            let middle = (low + high) / 2;
            if self.predicted(middle, scale, keyframe) <= bytes { low = middle } else { high = middle }
        }
        low
    }
}

fn jpeg_complexity(pixels: f64, quality: u8, bytes: usize) -> f64 {
    let coefficients = (bytes as f64 - model::JPEG_HEADER_BYTES).max(1.0);
    (coefficients / model::coefficient_bytes(pixels, quality)).clamp(0.05, 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal() -> Goal {
        Goal {
            codec: Codec::Jpeg,
            width: 1280,
            height: 720,
            raw_bytes: 1280 * 720 * 3 / 2,
            fps: 30.0,
            mode: Mode::Adaptive,
            utilisation: Mode::Adaptive.utilisation(),
            target_reduction: None,
            complexity: 1.0,
            h264: Complexity::default(),
            appearance: Appearance::default(),
            floor: Mode::Adaptive.min_ssim(),
            scale: Scale::FULL,
            keyframe: false,
        }
    }

    fn h264_goal() -> Goal {
        Goal { codec: Codec::H264, ..goal() }
    }

    fn link(kbps: f64) -> NetworkConditions {
        NetworkConditions::new(kbps, 40.0, 0.0, 5.0).unwrap()
    }

    #[test]
    fn less_bandwidth_never_means_more_bytes_a_second() {
        let mut last = 0.0;
        for kbps in [64.0, 128.0, 500.0, 2_000.0, 8_000.0, 30_000.0, 100_000.0] {
            let plan = goal().plan(Some(&link(kbps)));
            let rate = f64::from(plan.budget_bytes.unwrap()) / f64::from(plan.frame_divisor);
            assert!(rate >= last, "{kbps}: {plan}");
            assert!(rate * 8.0 * 30.0 <= kbps * 1000.0, "{kbps}: {plan}");
            last = rate;
        }
    }

    #[test]
    fn the_picture_shrinks_before_frames_are_shed() {
        let wide = goal().plan(Some(&link(100_000.0)));
        assert_eq!((wide.scale, wide.frame_divisor, wide.quality), (Scale::FULL, 1, 75));
        let narrow = goal().plan(Some(&link(4_000.0)));
        assert!(narrow.scale < Scale::FULL && narrow.frame_divisor == 1, "{narrow}");
        let thread = goal().plan(Some(&link(64.0)));
        assert!(thread.frame_divisor > 1 && thread.frame_divisor <= MAX_DIVISOR, "{thread}");
    }

    #[test]
    fn a_larger_scale_is_taken_again_only_with_room_to_spare() {
        let small = Goal { scale: Scale::LADDER[2], ..goal() };
        let flickers = (500..60_000).step_by(250).find(|&kbps| {
            let kbps = f64::from(kbps);
            let down = goal().plan(Some(&link(kbps))).scale;
            let up = small.plan(Some(&link(kbps))).scale;
            up < down
        });
        assert!(flickers.is_some(), "coming from below and from above must differ somewhere");
    }

    #[test]
    fn what_packets_took_is_followed() {
        let pixels = 1280.0 * 720.0;
        let twice = 2.0 * model::coefficient_bytes(pixels, 60) + model::JPEG_HEADER_BYTES;
        let learned = (0..20).fold(1.0, |complexity, _| Goal::learn(complexity, pixels, 60, twice as usize));
        assert!((learned - 2.0).abs() < 0.01, "{learned}");
        assert!(Goal::learn(1.0, pixels, 60, 0) > 0.0);
    }

    #[test]
    fn a_reduction_asked_for_binds() {
        let plan = Goal { target_reduction: Some(0.95), ..goal() }.plan(None);
        assert_eq!(plan.budget_bytes, Some(69_120));
        assert_eq!(plan.reason, Reason::Reduction { target: 0.95, budget_bytes: 69_120 });
        assert!(plan.quality < 75, "{plan}");
        let lossless = Goal { codec: Codec::Lossless, ..goal() }.plan(Some(&link(64.0)));
        assert_eq!(lossless.reason, Reason::Lossless);
    }

    #[test]
    fn hints_name_the_cost_of_a_slow_link() {
        let fast = goal().hints(Some(&link(100_000.0)));
        let slow = goal().hints(Some(&link(500.0)));
        assert!(slow.bytes < fast.bytes && slow.ssim < fast.ssim && slow.latency_ms > 20.0);
        assert!(fast.reduction > 0.8 && fast.reduction < 1.0);
    }

    #[test]
    fn keyframes_of_h264_take_several_shares_and_another_size_makes_one() {
        let frame = h264_goal().plan(Some(&link(1_000.0)));
        let key = Goal { keyframe: true, ..h264_goal() }.plan(Some(&link(1_000.0)));
        assert_eq!((frame.scale, frame.keyframe, key.keyframe), (key.scale, frame.scale != Scale::FULL, true));
        let stays = Goal { scale: frame.scale, ..h264_goal() }.plan(Some(&link(1_000.0)));
        assert!(!stays.keyframe && stays.scale == frame.scale, "{stays}");
        assert!(key.budget_bytes.unwrap() > 3 * stays.budget_bytes.unwrap());
        assert!(stays.target_bytes.unwrap() < stays.budget_bytes.unwrap());
    }

    #[test]
    fn a_link_carries_a_larger_picture_by_h264_than_by_jpeg() {
        let network = link(2_000.0);
        assert!(h264_goal().plan(Some(&network)).scale > goal().plan(Some(&network)).scale);
    }

    #[test]
    fn h264_isnt_asked_for_pictures_under_its_smallest() {
        let tiny = Goal { width: 48, height: 40, ..h264_goal() }.plan(Some(&link(64.0)));
        assert!(tiny.scale.apply(40) >= 16, "{tiny}");
        let least = Goal { width: 16, height: 16, ..h264_goal() };
        assert_eq!(least.plan(Some(&link(64.0))).scale, Scale::FULL);
    }
}
