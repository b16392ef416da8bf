//! A frame to a packet: at the planned size, or at a smaller one whose picture keeps the floor with the bytes there are.

use std::time::Duration;

use super::promise::Kept;
use super::size::Settled;
use super::{Event, Failed, Fallback, PacketInfo, Session, StageTimes, Stamp};
use crate::codec::Codec;
use crate::error::Result;
use crate::frame::Frame;
use crate::rate::{Goal, Plan, Scale};

/// Silence of the link after which a frame that asks it is a small picture instead of a poor one.
pub(super) const SILENCE: Duration = Duration::from_millis(100);

impl Session {
    /// Codes a frame to `ready` and `data`, or tells why not.
    pub(super) fn compress(&mut self, stamp: Stamp, frame: &Frame<'_>, now: Duration) {
        match self.try_compress(stamp, frame, now) {
            Ok(info) => {
                self.link.send(info.compressed_bytes, now);
                self.sent_at = Some(now);
                self.controller.sent(stamp.frame_number, info.compressed_bytes as u32, now);
                if let Some(bitrate) = &mut self.bitrate {
                    bitrate.sent(now, info.compressed_bytes);
                }
                // A packet of another codec, which took the place of one that failed, starts nothing for those to come.
                let is_start = info.keyframe && info.codec == self.config.codec;
                self.keyframe_wanted = (self.keyframe_wanted && !is_start) || info.codec != self.config.codec;
                self.until_coded = info.plan.frame_divisor - 1;
                self.learn(&info);
                self.stats.count_packet(&info);
                self.ready = Some(info);
            }
            Err(error) => {
                self.stats.failed += 1;
                // It may have been coded before it failed: nobody will ever have what the encoder then predicts from.
                self.keyframe_wanted = true;
                self.events.push_back(Event::Failed(Failed { stamp, error }));
            }
        }
    }

    /// Codes a frame at the size planned, or at a smaller one where that gives a picture that keeps the floor.
    fn try_compress(&mut self, stamp: Stamp, source: &Frame<'_>, now: Duration) -> Result<PacketInfo> {
        let mut plan = self.plan(now);
        let first = plan.scale;
        let (mut kept, mut resize_us) = self.code(&plan, source, now)?;
        while let Some(smaller) = self.smaller(&plan, &kept, now) {
            plan = self.plan_at(smaller, now);
            let (again, took_us) = self.code(&plan, source, now)?;
            kept = Kept {
                encode_us: kept.encode_us + again.encode_us,
                measure_us: kept.measure_us + again.measure_us,
                ..again
            };
            resize_us += took_us;
        }
        self.settle(first, plan.scale, now);
        if kept.coded.measured.is_some() {
            self.size.note_picture(kept.fallback == Some(Fallback::Budget));
        }
        self.sent.remember(stamp.frame_number, kept.coded.h264.map_or(0, |stats| stats.id));
        let (width, height) = (plan.scale.apply(source.width()), plan.scale.apply(source.height()));
        let mut info = PacketInfo {
            stamp,
            codec: kept.codec,
            width,
            height,
            keyframe: kept.coded.keyframe,
            original_bytes: source.raw_bytes(),
            compressed_bytes: kept.coded.bytes,
            quality: kept.coded.quality,
            qp: kept.coded.h264.map(|stats| stats.qp),
            preset: kept.coded.h264.map(|stats| stats.preset),
            plan,
            psnr_db: kept.coded.measured.map(|m| m.psnr_db).filter(|psnr| psnr.is_finite()),
            ssim: kept.coded.measured.map(|m| m.ssim),
            times: StageTimes { resize_us, encode_us: kept.encode_us, measure_us: kept.measure_us },
            fallback: kept.fallback,
        };
        let late = info.times.total_us() > u64::from(self.config.max_latency_ms) * 1_000;
        self.promise.note_late(late);
        if late && info.fallback.is_none() {
            info.fallback = Some(Fallback::Latency);
        }
        Ok(info)
    }

    /// Codes a frame by a plan, to `data`. Returns the microseconds of resizing it as well.
    fn code(&mut self, plan: &Plan, source: &Frame<'_>, now: Duration) -> Result<(Kept, u64)> {
        let start = self.coder.now();
        let frame = if plan.scale == Scale::FULL {
            *source
        } else {
            let (width, height) = (plan.scale.apply(source.width()), plan.scale.apply(source.height()));
            self.resizer.resize(source, width, height, &mut self.scaled)?;
            self.scaled.as_frame().with_color(source.color())
        };
        let resize_us = self.coder.now().saturating_sub(start).as_micros() as u64;
        self.data.clear();
        let preset = self.effort.preset();
        let matters = self.is_silent(now) || self.is_steered() && self.sent_at.is_none();
        let kept = self.promise.keep(&mut self.coder, &self.config, preset, (plan, matters), &frame, &mut self.data)?;
        if kept.codec == Codec::H264 {
            self.effort.note(Duration::from_micros(kept.encode_us));
        }
        Ok((kept, resize_us))
    }

    /// Whether the link has been silent for so long that a picture is made for it. What is left of its window may be too little for
    /// one, and empty frames would never fill it.
    fn is_silent(&self, now: Duration) -> bool {
        self.is_steered() && self.controller.unheard(now).is_some_and(|silence| silence >= SILENCE)
    }

    /// The size to code a frame at instead, whose picture as coded doesn't keep its floor with the bytes that the link takes: where
    /// the stream begins, or nothing is to be lost by it, as little gets through.
    fn smaller(&self, plan: &Plan, kept: &Kept, now: Duration) -> Option<Scale> {
        let is_short = kept.fallback == Some(Fallback::Budget) && kept.codec == self.config.codec;
        let may_begin = self.sent_at.is_none() || self.is_silent(now) && self.config.codec == Codec::H264;
        if self.is_steered() && is_short && may_begin { self.goal().smaller(plan.scale) } else { None }
    }

    /// Keeps in mind that a frame that was planned at `planned` is coded at `scale`.
    fn settle(&mut self, planned: Scale, scale: Scale, now: Duration) {
        let for_silence = self.sent_at.is_some() && self.is_silent(now);
        let settled = Settled { wanted: self.wanted().scale, planned, scale, for_silence };
        self.size.settle(&settled, self.kbps(), now);
    }

    /// Corrects the byte model by what this content took. A picture that was left empty for want of bytes says nothing, nor
    /// does one whose size isn't the usual one.
    fn learn(&mut self, info: &PacketInfo) {
        let has_half = |link_bytes: u32| 2 * info.compressed_bytes <= link_bytes as usize;
        let is_empty = info.fallback == Some(Fallback::Budget) && info.plan.link_bytes.is_some_and(has_half);
        if is_empty || self.size.is_makeshift() {
            return;
        }
        let pixels = f64::from(info.width) * f64::from(info.height);
        match info.codec {
            Codec::Jpeg => {
                self.complexity = Goal::learn(self.complexity, pixels, info.quality, info.compressed_bytes);
            }
            Codec::H264 => self.h264.learn(pixels, info.quality, info.keyframe, info.compressed_bytes),
            Codec::Lossless => {}
        }
    }
}
