//! `auralink demo`: the service in this process, a real clip through it over gRPC, and a network that gets worse and better.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use auralink::Codec;
use auralink::client::{Answer, Stream, Target};
use auralink::service::proto::{self, NetworkConditions, Open, Packet};
use auralink::service::{Config, Server};
use tokio::sync::oneshot;

use super::client;
use super::console::Console;
use super::exit::{Exit, Failure, Result};
use super::input::{self, Input, limits};
use super::inspect::h264::Units;
use super::output::Sink;
use super::pump::{Driver, Feed, pump};
use super::serve::failed;
use super::stop::Stop;
use super::stream::codec_number;
use super::tally::{Tally, or_dash};
use super::{parse, runtime};

/// Big Buck Bunny, (c) Blender Foundation, CC BY 3.0; see tests/data/README.md.
const CLIP: &[u8] = include_bytes!("../../tests/data/bigbuckbunny_640x360_25.mjpeg");
const CLIP_FPS: f64 = 25.0;
const FILE_NAME: &str = "auralink-demo.h264";

/// What the network is declared to be, a phase after the other.
const PHASES: [Phase; 5] = [
    Phase { name: "good", kbps: 20_000.0, rtt_ms: 20.0, loss_percent: 0.0, jitter_ms: 2.0 },
    Phase { name: "mobile", kbps: 2_000.0, rtt_ms: 60.0, loss_percent: 0.5, jitter_ms: 10.0 },
    Phase { name: "lossy", kbps: 400.0, rtt_ms: 150.0, loss_percent: 5.0, jitter_ms: 30.0 },
    Phase { name: "almost out", kbps: 64.0, rtt_ms: 600.0, loss_percent: 10.0, jitter_ms: 100.0 },
    Phase { name: "recovered", kbps: 20_000.0, rtt_ms: 20.0, loss_percent: 0.0, jitter_ms: 2.0 },
];

struct Phase {
    name: &'static str,
    kbps: f64,
    rtt_ms: f64,
    loss_percent: f64,
    jitter_ms: f64,
}

/// See it work: stream a bundled clip through the service while its network changes.
///
/// Starts the service inside this process on free ports and needs nothing else. Shows a line a second, writes the packets as
/// one H.264 stream, which any player opens, and reads it again to be sure that every picture is there.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit::HELP)]
pub(crate) struct Args {
    /// Where the packets go; auralink-demo.h264 in the current folder by default, or in the temporary one where that can't be
    /// written.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// How long it takes.
    #[arg(long, value_name = "N", default_value = "12", value_parser = parse::demo_seconds)]
    seconds: Duration,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let stop = Stop::on_signals()?;
    let output = args.output.clone().unwrap_or_else(default_output);
    let console = Console::beside(super::output::is_dash(&output));
    let mut show = Show {
        console,
        seconds: args.seconds,
        phase: None,
        codec: codec_number(Codec::H264)?,
        sink: Sink::new(&output),
        second: Tally::default(),
        total: Tally::default(),
        last: None,
        next_row: Duration::from_secs(1),
        foreign: 0,
    };
    let start = Instant::now();
    runtime()?.block_on(perform(&mut show, &stop))?;
    show.finish(start.elapsed(), &output)
}

/// Serves and streams, until the time is over.
async fn perform(show: &mut Show, stop: &Stop) -> Result<()> {
    let mut config = Config::default();
    (config.listen.grpc_port, config.listen.http_port) = (0, 0);
    let server = Server::bind(config).await.map_err(failed)?;
    let (grpc, http) = (server.grpc_addr(), server.http_addr());
    let (end, ended) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async {
        // Either way the demonstration is over.
        let _ = ended.await;
    }));

    show.console
        .line(format_args!("Big Buck Bunny (CC BY 3.0, Blender Foundation), 640x360 at {CLIP_FPS} frames a second,"))?;
    show.console.line(format_args!("through the service on {grpc} (gRPC) and {http} (HTTP)\n"))?;
    show.console.line(HEADINGS)?;
    let result = stream(show, stop, &format!("http://{grpc}")).await;
    let _ = end.send(());
    let served = serving.await.map_err(|error| Failure::new(Exit::Internal, "the service").because(error))?;
    result?;
    served.map_err(failed)
}

async fn stream(show: &mut Show, stop: &Stop, server: &str) -> Result<()> {
    let mut feed = Feed::start(clip()?, Some(clip), None)?;
    let first = feed.next().await?.ok_or_else(|| Failure::new(Exit::Internal, "the clip holds no frames"))?;
    let open = Open {
        codec: show.codec,
        format: client::format_number(first.format)?,
        width: first.width,
        height: first.height,
        color: Some(client::color(first.color)),
        fps: CLIP_FPS,
        mode: proto::Mode::Adaptive.into(),
        measure_quality: true,
        ..Open::default()
    };
    let target = Target { addresses: vec![server.to_owned()], ..Target::default() };
    let mut stream = Stream::open(&target, open).await.map_err(client::failure)?;
    pump(&mut stream, first, &mut feed, Some(CLIP_FPS), stop, show).await
}

fn clip() -> Result<Input> {
    Ok(input::from_memory(CLIP, "the bundled clip"))
}

/// The current folder, or the temporary one where that can't be written.
fn default_output() -> PathBuf {
    let here = PathBuf::from(FILE_NAME);
    match fs::OpenOptions::new().append(true).create(true).open(&here) {
        Ok(_) => here,
        Err(_) => std::env::temp_dir().join(FILE_NAME),
    }
}

const HEADINGS: &str =
    "time  network       mode      picture   quality  kept   kbit/s  smaller    SSIM  latency p50/p95  plan";

/// Declares the phases, shows what comes of them, and keeps the packets.
struct Show {
    console: Console,
    seconds: Duration,
    phase: Option<usize>,
    codec: i32,
    sink: Sink,
    second: Tally,
    total: Tally,
    last: Option<Packet>,
    next_row: Duration,
    /// Packets of another codec than the file's.
    foreign: u64,
}

impl Driver for Show {
    fn network(&mut self, elapsed: Duration) -> Option<NetworkConditions> {
        let index = (elapsed.as_secs_f64() / self.seconds.as_secs_f64() * PHASES.len() as f64) as usize;
        let index = index.min(PHASES.len() - 1);
        if self.phase.replace(index) == Some(index) {
            return None;
        }
        PHASES.get(index).map(|phase| NetworkConditions {
            bandwidth_kbps: phase.kbps,
            rtt_ms: phase.rtt_ms,
            packet_loss_percent: phase.loss_percent,
            jitter_ms: phase.jitter_ms,
            network_condition: None,
        })
    }

    fn is_over(&self, elapsed: Duration) -> bool {
        elapsed >= self.seconds
    }

    fn answer(&mut self, answer: Answer) -> Result<()> {
        self.second.answer(&answer);
        self.total.answer(&answer);
        match answer {
            Answer::Packet(packet, _) => {
                if packet.codec == self.codec {
                    self.sink.write(&packet.data)?
                } else {
                    self.foreign += 1
                }
                self.last = Some(*packet);
                Ok(())
            }
            Answer::Failed { frame_number, message, .. } => {
                self.console.line(format_args!("frame {frame_number} FAILED: {message}"))
            }
            Answer::Dropped { .. } | Answer::Notice(_) | Answer::Resumed { .. } => Ok(()),
        }
    }

    fn tick(&mut self, elapsed: Duration) -> Result<()> {
        if elapsed < self.next_row {
            return Ok(());
        }
        let row = self.row(elapsed);
        self.next_row += Duration::from_secs(1);
        self.second = Tally::default();
        self.console.line(row)
    }

    fn sent(&mut self, in_time: bool) {
        self.second.sent(in_time);
        self.total.sent(in_time);
    }
}

impl Show {
    fn row(&self, elapsed: Duration) -> String {
        let phase = self.phase.and_then(|index| PHASES.get(index));
        let network = phase.map_or(String::new(), |phase| phase.name.to_owned());
        let (second, last) = (&self.second, self.last.as_ref());
        let size = last.map_or("-".to_owned(), |packet| format!("{}x{}", packet.width, packet.height));
        let quality = last.map_or("-".to_owned(), |packet| format!("q{}", packet.quality));
        let plan = last.and_then(|packet| packet.plan.as_ref()).map_or("-", |plan| plan.reason.as_str());
        format!(
            "{:>3.0} s  {network:<12}  adaptive  {size:<8}  {quality:>7}  {:>2}/{:<2}  {:>6.0}  {:>7}  {:>6}  {:>15}  {plan}",
            elapsed.as_secs_f64(),
            second.packets,
            second.frames,
            second.kbps(elapsed.saturating_sub(self.next_row - Duration::from_secs(1))),
            or_dash(second.reduction().map(|reduction| reduction * 100.0), 1, " %"),
            or_dash(second.ssim(), 3, ""),
            format!("{} / {} ms", or_dash(second.latency_ms(0.5), 1, ""), or_dash(second.latency_ms(0.95), 1, "")),
        )
    }

    /// Tells the totals and reads what was written.
    fn finish(&self, elapsed: Duration, output: &Path) -> Result<()> {
        if self.second.frames > 1 {
            self.console.line(self.row(elapsed))?;
        }
        self.console.line("(PSNR and SSIM are of luma against the clip at the packet's size)\n")?;
        self.console.line(self.total.summary(elapsed))?;
        if self.total.packets == 0 {
            return Err(Failure::data("no packet came back"));
        }
        if self.total.failed > 0 {
            return Err(Failure::data(format!("{} frames failed", self.total.failed)));
        }
        if super::output::is_dash(output) {
            return Ok(());
        }
        let written = self.total.packets - self.foreign;
        let (pictures, keyframes) = count(output)?;
        if pictures != written {
            let detail = format!("{pictures} pictures of {written} are in it");
            return Err(Failure::data(format!("{}: {detail}", output.display())));
        }
        let shown = fs::canonicalize(output).unwrap_or_else(|_| output.to_owned());
        self.console
            .line(format_args!("{pictures} pictures, {keyframes} of them keyframes, written to {}", shown.display()))
    }
}

/// Pictures of a file of H.264, and how many of them stand alone.
fn count(path: &Path) -> Result<(u64, u64)> {
    let file = File::open(path).map_err(|error| Failure::io(path.display().to_string(), error))?;
    let (mut units, mut pictures, mut keyframes) = (Units::new(file, limits().max_encoded_bytes), 0, 0);
    while let Some(unit) = units.next()? {
        pictures += u64::from(unit.begins_picture());
        keyframes += u64::from(unit.begins_picture() && unit.is_key());
    }
    Ok((pictures, keyframes))
}
