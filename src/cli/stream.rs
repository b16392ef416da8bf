//! `auralink stream`: frames through a service, packets back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use auralink::client::{Answer, Retry, Stream, Target};
use auralink::service::proto::{self, H264Settings, NetworkConditions, Open, Packet};
use auralink::{Codec, Mode};
use clap::ValueEnum;
use serde_json::json;

use super::access::Access;
use super::client;
use super::console::{Console, remark};
use super::encode::{CodecName, codec_for};
use super::exit::{Failure, Result};
use super::input::{self, RawFormat};
use super::output::{Sink, check_distinct, fps, is_dash};
use super::progress::Progress;
use super::pump::{Driver, Feed, Picture, pump};
use super::stop::Stop;
use super::tally::{Tally, drop_name};
use super::{parse, runtime, shape};

/// Send frames through a running service and take its packets.
///
/// Without a declared network, frames go as fast as they are answered. With one, or with --fps or --realtime, they go at their
/// frame rate: a link only means something in time. A frame whose time comes while the window is full is left out. At a frame
/// rate and without a declared network, the network is measured, and frames follow it.
///
/// With --trace-down its packets go through a simulated link before they count as received, as `simulate` has it, but in real time:
/// the service then follows that link, and the figures of it come at the end.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit::HELP)]
pub(crate) struct Args {
    /// File or folder to read, as for `encode`; - is standard input.
    input: PathBuf,
    /// The service: http://host:port, host:port, https://host:port or unix:/path. Several, separated by commas, are tried in turn.
    #[arg(long, value_name = "URL", env = "AURALINK_SERVER", value_delimiter = ',', required = true)]
    server: Vec<String>,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    shape: shape::Shaping,
    /// Write the packets: .h264, .mjpeg or .alz; - is standard output.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Codec; by the output's extension where absent, else h264.
    #[arg(long, value_enum)]
    codec: Option<CodecName>,
    /// What the session promises.
    #[arg(long, value_enum, default_value = "adaptive")]
    mode: ModeName,
    /// Declared bandwidth, 64..=100000 kbit/s.
    #[arg(long, value_name = "N", value_parser = parse::bandwidth_kbps)]
    bandwidth_kbps: Option<f64>,
    /// Declared round-trip time, 0..=5000 ms.
    #[arg(long, value_name = "N", default_value = "0", requires = "bandwidth_kbps", value_parser = parse::rtt_ms)]
    rtt_ms: f64,
    /// Declared packet loss, 0..=100 percent.
    #[arg(long, value_name = "N", default_value = "0", requires = "bandwidth_kbps", value_parser = parse::loss_percent)]
    loss: f64,
    /// Declared jitter, 0..=1000 ms.
    #[arg(long, value_name = "N", default_value = "0", requires = "bandwidth_kbps", value_parser = parse::jitter_ms)]
    jitter_ms: f64,
    /// Time that coding a frame of H.264 may take in the service, 1..=10000 ms: frames that come near it make the next ones be
    /// coded with a faster preset.
    #[arg(long, value_name = "N", value_parser = parse::deadline_ms)]
    deadline_ms: Option<u32>,
    /// Send so many frames a second, 1..=120.
    #[arg(long, value_name = "N", value_parser = parse::fps)]
    fps: Option<f64>,
    /// Send at the input's own frame rate, or 25 where it has none.
    #[arg(long)]
    realtime: bool,
    /// Stop after this many frames.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,
    /// The input is raw frames, such as i420:1280x720.
    #[arg(long, value_name = "FORMAT:WxH")]
    raw: Option<RawFormat>,
    /// Frames that may be unanswered.
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u32).range(1..=8))]
    window: u32,
    /// Go on looking for a server for so long when the stream is lost, 0..=86400 s; 0 fails at once. Frames without an answer are
    /// sent again.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = clap::value_parser!(u32).range(..=86_400))]
    retry_for: u32,
    /// Look for so long for the first connection, too.
    #[arg(long)]
    retry_connect: bool,
    /// Don't have PSNR and SSIM of each packet measured.
    #[arg(long)]
    no_measure: bool,
    /// One line of JSON an answer.
    #[arg(long)]
    json: bool,
}

/// Modes by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeName {
    Conservative,
    Adaptive,
    Aggressive,
}

impl ModeName {
    fn mode(self) -> Mode {
        match self {
            Self::Conservative => Mode::Conservative,
            Self::Adaptive => Mode::Adaptive,
            Self::Aggressive => Mode::Aggressive,
        }
    }
}

/// Frame rate of inputs that don't say.
const USUAL_FPS: f64 = 25.0;

impl Args {
    fn codec(&self) -> Result<Codec> {
        let codec = self.output_codec()?;
        if codec != Codec::H264 && self.deadline_ms.is_some() {
            return Err(Failure::usage(format!("--deadline-ms is for h264: this stream is {codec}")));
        }
        Ok(codec)
    }

    fn output_codec(&self) -> Result<Codec> {
        match &self.output {
            None => Ok(self.codec.map_or(Codec::H264, Codec::from)),
            Some(output) => {
                check_distinct(&self.input, output)?;
                let (codec, single) = codec_for(self.codec, output, Codec::H264)?;
                if single {
                    return Err(Failure::usage(format!(
                        "{}: a stream's packets go to .h264, .mjpeg or .alz",
                        output.display()
                    )));
                }
                Ok(codec)
            }
        }
    }

    fn target(&self) -> Result<Target> {
        let give_up_after = Duration::from_secs(self.retry_for.into());
        Ok(Target {
            addresses: self.server.clone(),
            access: self.access.known(self.server.iter().map(String::as_str))?,
            retry: Retry { give_up_after, from_the_start: self.retry_connect, ..Retry::default() },
        })
    }

    fn network(&self) -> Option<NetworkConditions> {
        self.bandwidth_kbps.map(|bandwidth_kbps| NetworkConditions {
            bandwidth_kbps,
            rtt_ms: self.rtt_ms,
            packet_loss_percent: self.loss,
            jitter_ms: self.jitter_ms,
            network_condition: None,
        })
    }

    fn open(&self, codec: Codec, picture: &Picture, fps: f64) -> Result<Open> {
        let mode = match self.mode {
            ModeName::Conservative => proto::Mode::Conservative,
            ModeName::Adaptive => proto::Mode::Adaptive,
            ModeName::Aggressive => proto::Mode::Aggressive,
        };
        Ok(Open {
            codec: codec_number(codec)?,
            format: client::format_number(picture.format)?,
            width: picture.width,
            height: picture.height,
            color: Some(client::color(picture.color)),
            fps,
            mode: mode.into(),
            network: self.network(),
            measure_quality: !self.no_measure,
            window: self.window,
            // The link that packets come by would gainsay one that is declared; and without a pace nothing is late.
            receipts: (self.fps.is_some() || self.realtime || self.shape.is_given()) && self.bandwidth_kbps.is_none(),
            h264: self.deadline_ms.map(|deadline_ms| H264Settings { deadline_ms, ..H264Settings::default() }),
            ..Open::default()
        })
    }
}

/// The contract's number for a codec.
pub(crate) fn codec_number(codec: Codec) -> Result<i32> {
    let name = format!("CODEC_{}", codec.name().to_ascii_uppercase());
    let number = proto::Codec::from_str_name(&name);
    number.map(i32::from).ok_or_else(|| Failure::usage(format!("{codec}: the service doesn't take this codec")))
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let codec = args.codec()?;
    let stop = Stop::on_signals()?;
    let input = input::open(&args.input, args.raw)?;
    let source_fps = input.rate.map_or(USUAL_FPS, fps);
    let stream_fps = args.fps.unwrap_or(source_fps).clamp(1.0, 120.0);
    let pace = (args.fps.is_some() || args.realtime || args.bandwidth_kbps.is_some()).then_some(stream_fps);
    let mut shaper = args.shape.shaper(stream_fps, args.mode.mode())?;
    let progress = Progress::new(input.extent.clone(), args.frames);
    let mut feed = Feed::start(input, None, args.frames)?;
    let mut listener = Listener {
        codec: codec_number(codec)?,
        sink: args.output.as_deref().map(Sink::new),
        console: Console::beside(args.output.as_deref().is_some_and(is_dash)),
        json: args.json,
        progress,
        tally: Tally::default(),
        unwritten: 0,
    };
    let start = Instant::now();
    let outcome = runtime()?.block_on(async {
        let first = feed.next().await?.ok_or_else(|| no_frames(&args.input))?;
        let open = args.open(codec, &first, stream_fps)?;
        let mut stream = Stream::open(&args.target()?, open).await.map_err(client::failure)?;
        match &mut shaper {
            None => pump(&mut stream, first, &mut feed, pace, &stop, &mut listener).await,
            Some(shaper) => shape::pump(&mut stream, first, &mut feed, shaper, &stop, &mut listener).await,
        }
    });
    let Listener { console, tally, unwritten, .. } = listener;
    if tally.frames == 0 || outcome.as_ref().is_err_and(Failure::is_quiet) {
        return outcome;
    }
    let summary = tally.summary(start.elapsed());
    if args.json {
        remark(summary);
    } else {
        console.line(summary)?;
    }
    if let Some(shaper) = shaper {
        shaper.tell(&console, args.json)?;
    }
    if unwritten > 0 {
        remark(format_args!("auralink: {unwritten} packets were of another codec and weren't written"));
    }
    outcome?;
    match tally.failed {
        0 => Ok(()),
        failed => Err(Failure::data(format!("{failed} frames were refused"))),
    }
}

fn no_frames(path: &Path) -> Failure {
    Failure::data(format!("{}: no frames", path.display()))
}

/// Writes, prints and counts what comes back.
struct Listener {
    codec: i32,
    sink: Option<Sink>,
    console: Console,
    json: bool,
    progress: Progress,
    tally: Tally,
    /// Packets that the output can't hold: a fallback to another codec.
    unwritten: u64,
}

impl Driver for Listener {
    fn answer(&mut self, answer: Answer) -> Result<()> {
        self.tally.answer(&answer);
        match &answer {
            Answer::Packet(packet, latency) => {
                if let Some(sink) = self.sink.as_mut() {
                    if packet.codec == self.codec { sink.write(&packet.data)? } else { self.unwritten += 1 }
                }
                if self.json {
                    self.console.json(&packet_json(packet, *latency))?;
                }
            }
            Answer::Dropped { frame_number, reason } if self.json => {
                self.console.json(&json!({ "frame": frame_number, "dropped": drop_name(*reason) }))?;
            }
            Answer::Failed { frame_number, message, .. } if self.json => {
                self.console.json(&json!({ "frame": frame_number, "error": message }))?;
            }
            Answer::Failed { frame_number, message, .. } => {
                remark(format_args!("auralink: frame {frame_number}: {message}"));
            }
            Answer::Resumed { address, frames, after } => remark(format_args!(
                "auralink: the stream was lost, and goes on at {address} after {:.1} s; {frames} frames are sent again",
                after.as_secs_f64()
            )),
            Answer::Notice(notice) => remark(format_args!("auralink: server: {notice}")),
            Answer::Dropped { .. } => {}
        }
        self.progress.update(self.tally.frames, self.tally.raw_bytes, self.tally.bytes);
        Ok(())
    }

    fn sent(&mut self, in_time: bool) {
        self.tally.sent(in_time);
    }
}

/// The preset of a packet of H.264.
fn preset_name(packet: &Packet) -> Option<String> {
    let name = packet.preset().as_str_name().trim_start_matches("H264_PRESET_").to_ascii_lowercase();
    (packet.preset() != proto::H264Preset::Unspecified).then_some(name)
}

/// A packet without its bytes.
fn packet_json(packet: &Packet, latency: Duration) -> serde_json::Value {
    let plan = packet.plan.as_ref();
    json!({
        "frame": packet.frame_number,
        "codec": packet.codec().as_str_name().trim_start_matches("CODEC_").to_ascii_lowercase(),
        "width": packet.width,
        "height": packet.height,
        "keyframe": packet.keyframe,
        "raw_bytes": packet.original_bytes,
        "bytes": packet.data.len(),
        "reduction": packet.reduction,
        "quality": packet.quality,
        "qp": packet.qp,
        "preset": preset_name(packet),
        "scale": plan.map(|plan| plan.scale),
        "reason": plan.map(|plan| plan.reason.as_str()),
        "fallback": packet.fallback_used.then_some(packet.fallback_reason.as_str()),
        "psnr_db": packet.psnr_db,
        "ssim": packet.ssim,
        "latency_ms": latency.as_secs_f64() * 1e3,
    })
}
