//! Figures of every frame and of the whole, for people and as JSON.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::exit::{Exit, Failure, Result};
use crate::cli::output::Sink;

/// One frame.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct FrameReport {
    pub(super) frame: u64,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) raw_bytes: usize,
    pub(super) bytes: usize,
    pub(super) reduction: f64,
    pub(super) quality: u8,
    /// Mean quantiser parameter of H.264; null for other codecs.
    pub(super) qp: Option<f32>,
    /// Preset of H.264; null for other codecs.
    pub(super) preset: Option<&'static str>,
    pub(super) keyframe: bool,
    /// Null where not measured, or infinite (lossless).
    pub(super) psnr_db: Option<f64>,
    pub(super) ssim: Option<f64>,
    pub(super) resize_us: u64,
    pub(super) encode_us: u64,
    pub(super) measure_us: u64,
}

/// The whole.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Totals {
    pub(super) codec: &'static str,
    pub(super) frames: u64,
    pub(super) raw_bytes: u64,
    pub(super) bytes: u64,
    pub(super) reduction: f64,
    /// At the input's frame rate.
    pub(super) kbps: f64,
    pub(super) seconds: f64,
    /// Frames a second, reading and writing included.
    pub(super) fps: f64,
    /// Megapixels a second, reading and writing included.
    pub(super) mpx_per_s: f64,
    /// Megapixels a second of coding alone.
    pub(super) encode_mpx_per_s: f64,
    /// Mean over the measured frames with a finite one.
    pub(super) psnr_db: Option<f64>,
    pub(super) ssim: Option<f64>,
    /// Frames that couldn't become as small as their share of the bit rate.
    pub(super) over_budget: u64,
}

/// A mean of the values there are.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.sum += value;
            self.count += 1;
        }
    }

    fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// Sums up frames, and writes them to `--stats` as they come.
pub(super) struct Report {
    codec: &'static str,
    fps: f64,
    start: Instant,
    stats: Option<Sink>,
    frames: u64,
    raw_bytes: u64,
    bytes: u64,
    pixels: u64,
    encode: Duration,
    psnr_db: Mean,
    ssim: Mean,
    over_budget: u64,
}

impl Report {
    pub(super) fn new(codec: &'static str, fps: f64, stats: Option<&Path>) -> Self {
        Self {
            codec,
            fps,
            start: Instant::now(),
            stats: stats.map(Sink::new),
            frames: 0,
            raw_bytes: 0,
            bytes: 0,
            pixels: 0,
            encode: Duration::ZERO,
            psnr_db: Mean::default(),
            ssim: Mean::default(),
            over_budget: 0,
        }
    }

    pub(super) fn add(&mut self, frame: &FrameReport, over_budget: bool) -> Result<()> {
        if let Some(stats) = self.stats.as_mut() {
            let mut text = if self.frames == 0 { b"{\"frames\": [\n".to_vec() } else { b",\n".to_vec() };
            append_json(&mut text, frame)?;
            stats.write(&text)?;
        }
        self.frames += 1;
        self.raw_bytes += frame.raw_bytes as u64;
        self.bytes += frame.bytes as u64;
        self.pixels += u64::from(frame.width) * u64::from(frame.height);
        self.encode += Duration::from_micros(frame.encode_us);
        self.psnr_db.add(frame.psnr_db);
        self.ssim.add(frame.ssim);
        self.over_budget += u64::from(over_budget);
        Ok(())
    }

    /// Frames, raw bytes and bytes so far.
    pub(super) fn so_far(&self) -> (u64, u64, u64) {
        (self.frames, self.raw_bytes, self.bytes)
    }

    /// Ends the statistics file and gives the totals.
    pub(super) fn finish(&mut self) -> Result<Totals> {
        let totals = self.totals();
        if let Some(stats) = self.stats.as_mut() {
            let mut text = if self.frames == 0 { b"{\"frames\": [".to_vec() } else { b"\n".to_vec() };
            text.extend_from_slice(b"],\n\"totals\": ");
            append_json(&mut text, &totals)?;
            text.extend_from_slice(b"}\n");
            stats.write(&text)?;
        }
        Ok(totals)
    }

    fn totals(&self) -> Totals {
        let seconds = self.start.elapsed().as_secs_f64().max(1e-6);
        let megapixels = self.pixels as f64 / 1e6;
        Totals {
            codec: self.codec,
            frames: self.frames,
            raw_bytes: self.raw_bytes,
            bytes: self.bytes,
            reduction: if self.raw_bytes == 0 { 0.0 } else { 1.0 - self.bytes as f64 / self.raw_bytes as f64 },
            kbps: self.bytes as f64 * 8.0 / 1000.0 * self.fps / self.frames.max(1) as f64,
            seconds,
            fps: self.frames as f64 / seconds,
            mpx_per_s: megapixels / seconds,
            encode_mpx_per_s: megapixels / self.encode.as_secs_f64().max(1e-6),
            psnr_db: self.psnr_db.value(),
            ssim: self.ssim.value(),
            over_budget: self.over_budget,
        }
    }
}

impl Totals {
    /// One line for people.
    pub(super) fn line(&self) -> String {
        let mut line = format!(
            "{} frames, {}: {:.2} MB from {:.2} MB raw, {:.2} % smaller, {:.0} kbit/s, {:.1} fps, {:.0} Mpx/s ({:.0} coding)",
            self.frames,
            self.codec,
            self.bytes as f64 / 1e6,
            self.raw_bytes as f64 / 1e6,
            100.0 * self.reduction,
            self.kbps,
            self.fps,
            self.mpx_per_s,
            self.encode_mpx_per_s
        );
        if let Some(psnr_db) = self.psnr_db {
            line += &format!(", PSNR {psnr_db:.2} dB");
        }
        if let Some(ssim) = self.ssim {
            line += &format!(", SSIM {ssim:.4}");
        }
        if self.over_budget > 0 {
            line += &format!("; {} frames were over their share of the bit rate even at quality 1", self.over_budget);
        }
        line
    }
}

fn append_json(text: &mut Vec<u8>, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer(text, value).map_err(|error| Failure::new(Exit::Internal, "writing JSON").because(error))
}
