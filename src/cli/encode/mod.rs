//! `auralink encode`: frames to packets in a file.

mod args;
mod rate;
mod report;

use std::sync::Arc;

use auralink::frame::y4m::FrameRate;
use auralink::resize::Resizer;
use auralink::session::Effort;
use auralink::{Codec, Coded, Coder, Engine, Error, Frame, FrameBuf, Order};

pub(crate) use args::{Args, CodecName, codec_for};
use rate::Rate;
use report::{FrameReport, Report};

use super::console::{Console, remark};
use super::exit::{Exit, Failure, Result};
use super::input::{self, ReadAhead};
use super::output::{Sink, Y4mWriter, blank, fps, frame_rate};
use super::progress::Progress;
use super::stop::Stop;
use super::yuv::Sampling;
use super::{clock, thread_pool};

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (codec, single) = args.codec()?;
    let stop = Stop::on_signals()?;
    let input = input::open(&args.input, args.raw)?;
    let rate = input.rate.unwrap_or_else(|| frame_rate(args.fps));
    let mut progress = Progress::new(input.extent.clone(), args.frames);
    let is_alone = args.threads == Some(1);
    let mut frames = if is_alone { ReadAhead::here(input, args.frames) } else { ReadAhead::start(input, args.frames)? };
    let mut encoder = Encoder::new(args, codec, single, rate)?;

    let mut outcome = Ok(());
    while outcome.is_ok() {
        let frame = match frames.next(&stop) {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(failure) => {
                outcome = Err(failure);
                break;
            }
        };
        outcome = encoder.take(&frame.as_frame());
        frames.recycle(frame);
        let (count, raw_bytes, bytes) = encoder.report.so_far();
        progress.update(count, raw_bytes, bytes);
    }
    drop(progress);
    // Whatever ended it: what was coded so far is written, and counted.
    let finished = encoder.finish(outcome.as_ref().err());
    outcome.and(finished)
}

/// Frames to packets, with all that is written of them.
struct Encoder<'a> {
    args: &'a Args,
    single: bool,
    coder: Coder,
    order: Order,
    rate: Rate,
    effort: Effort,
    resizer: Resizer,
    scaled: FrameBuf,
    packet: Vec<u8>,
    sink: Sink,
    recon: Option<Y4mWriter>,
    report: Report,
    console: Console,
    /// Size of the first frame.
    size: Option<(u32, u32)>,
}

impl<'a> Encoder<'a> {
    fn new(args: &'a Args, codec: Codec, single: bool, rate: FrameRate) -> Result<Self> {
        let engine = Engine::new(Arc::new(thread_pool(args.threads)?)).with_clock(clock);
        let order = Order {
            subsampling: args.subsampling(),
            optimise: args.optimise,
            temporal: true,
            // Each picture of an MJPEG file is to stand alone.
            keyframe: codec == Codec::Jpeg,
            h264: args.h264.config(rate),
            // JPEG makes what a decoder sees only where it is measured.
            measure: args.measure || args.stats.is_some() || (args.recon.is_some() && codec == Codec::Jpeg),
            ..Order::still(codec)
        };
        Ok(Self {
            args,
            single,
            effort: Effort::new(order.h264.preset, args.h264.deadline_ms),
            coder: engine.coder(),
            order,
            rate: Rate::new(&args.rate, codec, fps(rate))?,
            resizer: Resizer::default(),
            scaled: blank()?,
            packet: Vec::new(),
            sink: Sink::new(&args.output),
            recon: args.recon.as_deref().map(|path| Y4mWriter::new(path, rate)),
            report: Report::new(codec.name(), fps(rate), args.stats.as_deref()),
            console: Console::beside(args.data_on_stdout()),
            size: None,
        })
    }

    /// Codes and writes one frame.
    fn take(&mut self, source: &Frame<'_>) -> Result<()> {
        let (index, _, _) = self.report.so_far();
        let at = |failure: Failure| failure.within(format!("frame {index}"));
        let start = clock();
        let mut scaled = std::mem::replace(&mut self.scaled, blank()?);
        let frame = match self.args.size {
            Some(size) if size != (source.width(), source.height()) => {
                self.resizer.resize(source, size.0, size.1, &mut scaled).map_err(|error| at(error.into()))?;
                scaled.as_frame()
            }
            _ => *source,
        };
        let resize_us = (clock() - start).as_micros() as u64;
        self.check_sequence(index, &frame)?;
        let (coded, over_budget) = self.code(&frame).map_err(at)?;
        self.sink.write(&self.packet)?;
        if let Some(recon) = self.recon.as_mut() {
            let is_exact = self.order.codec == Codec::Lossless;
            let seen = if is_exact { Some(frame) } else { self.coder.reconstruction(self.order.codec) };
            let seen = seen.ok_or_else(|| Failure::new(Exit::Internal, "the encoder kept no reconstruction"))?;
            recon.write(&seen, Sampling::S444)?;
        }
        let report = frame_report(index, &frame, &coded, resize_us);
        self.report.add(&report, over_budget)?;
        if self.args.json {
            self.console.json(&report)?;
        }
        self.scaled = scaled;
        Ok(())
    }

    /// Codes to `packet`; true where it takes more bytes than it may.
    fn code(&mut self, frame: &Frame<'_>) -> Result<(Coded, bool)> {
        let allowance = self.rate.allowance(frame.raw_bytes());
        self.order.quality = allowance.quality;
        (self.order.qp, self.order.target_bytes) = (allowance.qp, allowance.target_bytes);
        self.order.max_bytes = allowance.max_bytes;
        self.order.h264.preset = self.effort.preset();
        self.packet.clear();
        let result = self.coder.code(frame, &self.order, &mut self.packet);
        let over_budget = matches!(result, Err(Error::Budget { .. })) && allowance.may_exceed;
        let coded = if over_budget {
            (self.order.quality, self.order.qp) = (1, None);
            (self.order.target_bytes, self.order.max_bytes) = (None, None);
            self.coder.code(frame, &self.order, &mut self.packet)?
        } else {
            result?
        };
        self.rate.spent(coded.bytes);
        self.effort.note(coded.times[0]);
        Ok((coded, over_budget))
    }

    /// Refuses what the output can't hold.
    fn check_sequence(&mut self, index: u64, frame: &Frame<'_>) -> Result<()> {
        if self.single && index == 1 {
            return Err(Failure::usage(format!(
                "{} holds one picture and the input has more: write .mjpeg, or give --frames 1",
                self.args.output.display()
            )));
        }
        let size = (frame.width(), frame.height());
        let (width, height) = *self.size.get_or_insert(size);
        if size != (width, height) {
            return Err(Failure::data(format!(
                "frame {index}: {}x{}, but the first was {width}x{height} (--size makes sizes equal)",
                size.0, size.1
            )));
        }
        Ok(())
    }

    /// Completes the statistics and tells the totals, unless nobody reads them.
    fn finish(&mut self, failure: Option<&Failure>) -> Result<()> {
        let totals = self.report.finish()?;
        if failure.is_some_and(Failure::is_quiet) {
            return Ok(());
        }
        if totals.frames == 0 {
            return Err(Failure::data(format!("{}: no frames", self.args.input.display())));
        }
        // Lines of JSON stay alone on their stream.
        if self.args.json {
            remark(totals.line());
            return Ok(());
        }
        self.console.line(totals.line())
    }
}

fn frame_report(frame: u64, picture: &Frame<'_>, coded: &Coded, resize_us: u64) -> FrameReport {
    let raw_bytes = picture.raw_bytes();
    FrameReport {
        frame,
        width: picture.width(),
        height: picture.height(),
        raw_bytes,
        bytes: coded.bytes,
        reduction: 1.0 - coded.bytes as f64 / raw_bytes.max(1) as f64,
        quality: coded.quality,
        qp: coded.h264.map(|stats| stats.qp),
        preset: coded.h264.map(|stats| stats.preset.name()),
        keyframe: coded.keyframe,
        psnr_db: coded.measured.map(|measured| measured.psnr_db).filter(|psnr_db| psnr_db.is_finite()),
        ssim: coded.measured.map(|measured| measured.ssim),
        resize_us,
        encode_us: coded.times[0].as_micros() as u64,
        measure_us: coded.times[1].as_micros() as u64,
    }
}
