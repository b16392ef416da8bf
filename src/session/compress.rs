//! A frame to a packet: at the planned size, or at a smaller one whose picture keeps the floor with the bytes there are.

use std::time::Duration;

use super::promise::Kept;
use super::{Coded, Event, Failed, Fallback, PacketInfo, Session, StageTimes, Stamp};
use crate::codec::Codec;
use crate::error::Result;
use crate::frame::Frame;
use crate::rate::{Goal, Plan, Scale};

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
        let (mut kept, mut resize_us) = self.code(&plan, source)?;
        while let Some(smaller) = self.smaller(&plan, &kept) {
            plan = self.plan_at(smaller, now);
            let (again, took_us) = self.code(&plan, source)?;
            kept = Kept {
                encode_us: kept.encode_us + again.encode_us,
                measure_us: kept.measure_us + again.measure_us,
                ..again
            };
            resize_us += took_us;
        }
        let wanted = self.wanted().scale;
        if plan.scale < first && first > self.ladder.scale() {
            self.ladder.refuse(first, self.kbps(), now);
        }
        self.ladder.note(wanted, plan.scale, self.kbps(), now);
        self.sent.remember(stamp.frame_number, kept.coded.h264.map_or(0, |stats| stats.id));
        let (width, height) = (plan.scale.apply(source.width()), plan.scale.apply(source.height()));
        self.learn(&kept, &plan, f64::from(width) * f64::from(height));
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
    fn code(&mut self, plan: &Plan, source: &Frame<'_>) -> Result<(Kept, u64)> {
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
        let matters = self.is_steered() && self.sent_at.is_none();
        let kept = self.promise.keep(
            &mut self.coder,
            &self.config,
            preset,
            (plan, matters),
            (source, &frame),
            &mut self.data,
        )?;
        if kept.codec == Codec::H264 {
            self.effort.note(Duration::from_micros(kept.encode_us));
        }
        Ok((kept, resize_us))
    }

    /// The size to begin a stream at instead, whose picture as coded doesn't keep its floor with the bytes that may be sent before the
    /// link is known, where a smaller one is expected to look better.
    fn smaller(&self, plan: &Plan, kept: &Kept) -> Option<Scale> {
        let is_short = kept.fallback == Some(Fallback::Budget) && kept.codec == self.config.codec;
        if !(self.is_steered() && self.sent_at.is_none() && is_short) {
            return None;
        }
        let smaller = self.goal().smaller(plan.scale)?;
        let Coded { quality, keyframe, bytes, measured, .. } = kept.coded;
        let goal = self.goal().of_content(plan.scale, quality, keyframe, bytes);
        let ssim = measured.filter(|_| !kept.is_blank()).map_or(0.0, |measured| measured.ssim);
        (goal.expected_ssim(smaller, bytes as f64, true) > ssim).then_some(smaller)
    }

    /// Corrects the byte model by what this content took, or would have taken more than where nothing of it fitted.
    fn learn(&mut self, kept: &Kept, plan: &Plan, pixels: f64) {
        let Coded { quality, keyframe, bytes, .. } = kept.coded;
        match (kept.codec, plan.budget_bytes.filter(|_| kept.is_blank())) {
            (Codec::Jpeg, _) => self.complexity = Goal::learn(self.complexity, pixels, quality, bytes),
            (Codec::H264, Some(budget)) => self.h264.learn_lack(pixels, keyframe, budget),
            (Codec::H264, None) => self.h264.learn(pixels, quality, keyframe, bytes),
            (Codec::Lossless, _) => {}
        }
    }
}
