//! Arguments of `simulate`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use auralink::Mode;
use auralink::netem::senders::Setting;
use auralink::netem::{ModelConfig, Receipts, SimulationConfig, TcpConfig, Trace};
use clap::ValueEnum;

use super::link::{self, Shape};
use crate::cli::exit::{Failure, Result};
use crate::cli::parse;

/// Try how frames get through a recorded network, in virtual time.
///
/// Frames are captured, sized by a controller, sent over a link whose capacity follows a trace, and shown; receipts come back
/// over a link of their own. The same arguments give the same figures. Without --clip frames are mere sizes, and five minutes
/// take a blink. With it they are coded, and what is shown is measured: ours go through a session as the service has it, with its
/// sizes and promises, those of other controllers through the bare H.264 encoder.
///
/// A link is a file with mahimahi's times in ms (1500 bytes each), a file of seconds and Mbit/s, const:KBPS, or
/// steps:KBPS@SECONDS,KBPS@SECONDS,... which lasts so long each, over and over.
#[derive(Debug, clap::Args)]
#[command(after_help = crate::cli::exit::HELP)]
pub(crate) struct Args {
    /// What the link carries toward the receiver.
    #[arg(long, value_name = "LINK", value_parser = link::parse)]
    down: Arc<Trace>,
    /// What it carries back. A way back as bad as recorded ones matters: silence is half of the problem.
    #[arg(long, value_name = "LINK", default_value = "const:5000", value_parser = link::parse)]
    up: Arc<Trace>,
    /// Who decides: auralink, oracle, fixed:KBPS, fixed:PERCENT%, gcc, salsify[:MS], sprout, copa[:DELTA], bbr, tigervnc or
    /// twotimescale[:HEADROOM], each also with +keepalive behind it; or all, for a table.
    #[arg(long, value_name = "NAME", default_value = "all")]
    pub(super) controller: String,
    /// How daring controllers that can choose are.
    #[arg(long, value_name = "MODE", default_value = "adaptive")]
    mode: Mode,
    /// Frames captured a second.
    #[arg(long, default_value = "60", value_parser = parse::fps)]
    pub(super) fps: f64,
    /// Time to simulate; the first five seconds aren't reported.
    #[arg(long, value_name = "S", default_value = "300")]
    seconds: f64,
    /// Packets that may wait at each end of the link; 0 for any number.
    #[arg(long, value_name = "N", default_value = "256")]
    queue_packets: u32,
    /// Drop from the queue as CoDel does.
    #[arg(long)]
    codel: bool,
    /// Round trip without any queue, half of it each way.
    #[arg(long, value_name = "MS", default_value = "40", value_parser = parse::rtt_ms)]
    rtt_ms: f64,
    /// Packets toward the receiver lost by chance.
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = parse::loss_percent)]
    loss_percent: f64,
    /// Packets lost in a row, on average; 1 for each by itself.
    #[arg(long, value_name = "N", default_value = "1")]
    loss_burst: f64,
    /// Deviation of delays, both ways; packets keep their order.
    #[arg(long, value_name = "MS", default_value = "0", value_parser = parse::jitter_ms)]
    jitter_ms: f64,
    /// Another sender through the same queues: tcp for a transfer over TCP that takes what it gets, or one of the controllers; all
    /// the time, or @BEGIN-END in seconds behind it.
    #[arg(long, value_name = "NAME")]
    pub(super) compete: Option<String>,
    /// Seed of everything by chance.
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// Send over HTTP/2 over TCP with buffers kept short, or as they come; packets of their own where absent.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "tuned")]
    tcp: Option<Tcp>,
    /// When the receiver says what it has.
    #[arg(long, value_enum, default_value = "packet")]
    receipts: When,
    /// Smallest frame, for controllers to wait for and, without --clip, to send.
    #[arg(long, value_name = "BYTES", default_value = "400")]
    min_frame_bytes: u32,
    /// Largest frame without --clip.
    #[arg(long, value_name = "BYTES", default_value = "100000", conflicts_with = "clip")]
    max_frame_bytes: u32,
    /// How far frames are from their budgets without --clip: the deviation.
    #[arg(long, value_name = "PERCENT", default_value = "0", conflicts_with = "clip")]
    size_error_percent: f64,
    /// Time that coding a frame takes.
    #[arg(long, value_name = "MS", default_value = "0", value_parser = clap::value_parser!(u16).range(0..=1000))]
    encode_ms: u16,
    /// Time from a whole frame to its display.
    #[arg(long, value_name = "MS", default_value = "0", value_parser = clap::value_parser!(u16).range(0..=1000))]
    decode_ms: u16,
    /// Code these frames for real, forward and backward over and over, and measure what is shown.
    #[arg(long, value_name = "FILE")]
    pub(super) clip: Option<PathBuf>,
    /// Our controller, too, has the bare encoder and no session.
    #[arg(long, requires = "clip")]
    pub(super) bare: bool,
    /// Frames of the clip that are used.
    #[arg(long, value_name = "N", default_value = "300", requires = "clip", value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub(super) clip_frames: u16,
    /// Threads that code; one a core by default.
    #[arg(long, value_name = "N", requires = "clip", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// Write the figures as JSON; - is standard output, instead of the table.
    #[arg(long, value_name = "FILE.json")]
    pub(super) json: Option<PathBuf>,
    /// Draw capacity, sending rate, delay and quality over time, of one controller.
    #[arg(long, value_name = "FILE.svg")]
    pub(super) plot: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tcp {
    Tuned,
    Untuned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    Packet,
    Frame,
}

impl Args {
    /// What is simulated.
    pub(super) fn setting(&self) -> Result<Setting> {
        let shape = Shape {
            queue_packets: self.queue_packets,
            codel: self.codel,
            rtt_ms: self.rtt_ms,
            loss_percent: self.loss_percent,
            loss_burst: self.loss_burst,
            jitter_ms: self.jitter_ms,
        };
        let [down_link, up_link] = shape.links()?;
        let config = SimulationConfig {
            down_link,
            up_link,
            tcp: self.tcp.map(|tcp| if tcp == Tcp::Tuned { TcpConfig::default() } else { TcpConfig::UNTUNED }),
            receipts: if self.receipts == When::Packet { Receipts::EachPacket } else { Receipts::EachFrame },
            fps: self.fps,
            seconds: self.seconds,
            warm_up_seconds: (self.seconds / 2.0).clamp(0.0, 5.0),
            decode_time: Duration::from_millis(self.decode_ms.into()),
            seed: self.seed,
            ..SimulationConfig::new(Arc::clone(&self.down), Arc::clone(&self.up))
        };
        config.validate().map_err(usage)?;
        Ok(Setting { config, min_frame_bytes: self.min_frame_bytes, mode: self.mode })
    }

    /// What frames without a clip are like.
    pub(super) fn model(&self) -> ModelConfig {
        ModelConfig {
            min_frame_bytes: self.min_frame_bytes,
            max_frame_bytes: self.max_frame_bytes,
            size_deviation: self.size_error_percent / 100.0,
            encode_time: self.encode_time(),
            predicts: false,
        }
    }

    pub(super) fn encode_time(&self) -> Duration {
        Duration::from_millis(self.encode_ms.into())
    }
}

/// Numbers of the command line that are out of bounds are usage.
pub(crate) fn usage(error: auralink::Error) -> Failure {
    Failure::usage(error.to_string())
}
