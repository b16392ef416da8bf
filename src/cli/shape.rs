//! A real stream over a simulated link: packets of the service go through it in real time, and receipts come back by it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use auralink::Mode;
use auralink::client::{Answer, Stream};
use auralink::netem::{Encoded, Endpoint, Outgoing, Receipt, Score, Simulation, SimulationConfig, Trace};
use auralink::service::proto::{Ack, Packet, StreamFrame};
use auralink::session::Fallback;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::client::failure;
use super::console::Console;
use super::exit::{Failure, Result};
use super::parse;
use super::pump::{Driver, Feed, Picture, check_shape, drain, ended};
use super::simulate::history::{History, Sent};
use super::simulate::link::{self, Shape};
use super::simulate::promises::{Promises, Seen};
use super::simulate::table::{Outcome, table};
use super::simulate::usage;
use super::stop::Stop;

/// Time between two looks at the link, ms: its own step.
const TICK_MS: u64 = 1;
/// Longest run, seconds.
const MOST_SECONDS: f64 = 3_600.0;

/// Arguments of a link in the way of a stream. A link is named as for `simulate`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "A simulated link")]
pub(crate) struct Shaping {
    /// What the link carries toward the receiver: a file, const:KBPS or steps:KBPS@SECONDS,...
    #[arg(long, value_name = "LINK", value_parser = link::parse, conflicts_with = "bandwidth_kbps")]
    trace_down: Option<Arc<Trace>>,
    /// What it carries back.
    #[arg(long, value_name = "LINK", default_value = "const:5000", value_parser = link::parse, requires = "trace_down")]
    trace_up: Arc<Trace>,
    /// Packets that may wait at each end of the link; 0 for any number.
    #[arg(long, value_name = "N", default_value = "256", requires = "trace_down")]
    trace_queue_packets: u32,
    /// Round trip without any queue, half of it each way.
    #[arg(long, value_name = "MS", default_value = "40", requires = "trace_down", value_parser = parse::rtt_ms)]
    trace_rtt_ms: f64,
    /// Packets toward the receiver lost by chance.
    #[arg(long, value_name = "PERCENT", default_value = "0", requires = "trace_down", value_parser = parse::loss_percent)]
    trace_loss_percent: f64,
    /// Deviation of delays, both ways; packets keep their order.
    #[arg(long, value_name = "MS", default_value = "0", requires = "trace_down", value_parser = parse::jitter_ms)]
    trace_jitter_ms: f64,
}

impl Shaping {
    /// Whether there is a link.
    pub(crate) fn is_given(&self) -> bool {
        self.trace_down.is_some()
    }

    /// The link of a stream of `fps` frames a second, if there is one.
    pub(crate) fn shaper(&self, fps: f64, mode: Mode) -> Result<Option<Shaper>> {
        let Some(down) = &self.trace_down else { return Ok(None) };
        let shape = Shape {
            queue_packets: self.trace_queue_packets,
            codel: false,
            rtt_ms: self.trace_rtt_ms,
            loss_percent: self.trace_loss_percent,
            loss_burst: 1.0,
            jitter_ms: self.trace_jitter_ms,
        };
        let [down_link, up_link] = shape.links()?;
        let config = SimulationConfig {
            down_link,
            up_link,
            fps,
            seconds: MOST_SECONDS,
            warm_up_seconds: 0.0,
            ..SimulationConfig::new(Arc::clone(down), Arc::clone(&self.trace_up))
        };
        let simulation = Simulation::new(config).map_err(usage)?;
        let remote = Remote {
            due: VecDeque::new(),
            packets: VecDeque::new(),
            history: History::default(),
            back: VecDeque::new(),
            promises: Promises::default(),
            mode,
        };
        Ok(Some(Shaper { simulation, remote }))
    }
}

/// A simulated link with the service as its sending end.
pub(crate) struct Shaper {
    simulation: Simulation,
    remote: Remote,
}

/// What the receiver says.
#[derive(Clone, Debug)]
enum News {
    Came(Ack),
    Lost(u64),
}

/// The service, as the link sees it.
struct Remote {
    /// Frames before the camera that weren't sent to the service yet.
    due: VecDeque<u64>,
    /// Packets that came from the service and aren't in the link yet.
    packets: VecDeque<Outgoing>,
    history: History,
    /// What the receiver says, on its way to the service.
    back: VecDeque<News>,
    promises: Promises,
    mode: Mode,
}

impl Endpoint for Remote {
    fn captured(&mut self, frame_number: u64, _now: Duration) {
        self.due.push_back(frame_number);
    }

    fn next(&mut self, _now: Duration) -> Option<Outgoing> {
        self.packets.pop_front()
    }

    fn received(&mut self, receipt: &Receipt, _now: Duration) {
        let micros = |time: Duration| time.as_micros() as u64;
        // What came whole and can't be decoded is no frame to predict from.
        let is_lost = self.history.find(receipt.frame_number).is_some_and(|sent| sent.is_lost);
        self.back.push_back(News::Came(Ack {
            frame_number: numbered(receipt.frame_number),
            received_us: micros(receipt.last_received),
            first_received_us: micros(receipt.first_received),
            displayed_us: receipt.displayed.map_or(0, micros),
            bytes: if receipt.is_whole && !is_lost { 0 } else { receipt.bytes },
        }));
    }

    fn lost(&mut self, frame_number: u64, _now: Duration) {
        self.history.lose(frame_number);
        self.back.push_back(News::Lost(numbered(frame_number)));
    }

    fn displayed(&mut self, frame_number: u64, _now: Duration) -> Option<Score> {
        self.history.find(frame_number).map(|sent| sent.score).filter(|score| score.ssim.is_finite())
    }
}

impl Remote {
    /// A packet came from the service.
    fn take(&mut self, packet: &Packet) {
        let Some(frame_number) = packet.frame_number.checked_sub(1) else { return };
        let predicted_from = self.history.reference().filter(|_| !packet.keyframe);
        let score = Score { ssim: packet.ssim.unwrap_or(f64::NAN), psnr_db: packet.psnr_db.unwrap_or(f64::INFINITY) };
        self.history.push(Sent::new(frame_number, 0, predicted_from, (None, score)));
        let bytes = u32::try_from(packet.data.len()).unwrap_or(u32::MAX);
        let plan = packet.plan.as_ref();
        let seen = Seen {
            ssim: packet.ssim.unwrap_or(1.0),
            reduction: packet.reduction,
            by_link: plan.is_some_and(|plan| plan.reason.starts_with("link measured")),
            fallback: Fallback::ALL.into_iter().find(|fallback| packet.fallback_reason == fallback.name()),
            scale: plan.map_or(1.0, |plan| plan.scale),
        };
        self.promises.count(&seen, self.mode.min_ssim(), self.mode.reduction());
        let encoded = Encoded { bytes, predicted_from, encode_time: Duration::ZERO };
        let budget = plan.and_then(|plan| plan.budget_bytes).unwrap_or(bytes);
        self.packets.push_back(Outgoing { frame_number, encoded, budget });
    }
}

/// The number of a frame in the stream: the first is 1.
fn numbered(frame_number: u64) -> u64 {
    frame_number + 1
}

impl Shaper {
    fn advance(&mut self, elapsed: Duration) {
        self.simulation.advance(elapsed.as_secs_f64(), &mut self.remote);
    }

    /// Tells the figures, as `simulate` does.
    pub(crate) fn tell(self, console: &Console, as_json: bool) -> Result<()> {
        let kept = self.remote.promises.kept(self.simulation.elapsed_s());
        let outcome = Outcome::new("auralink", self.simulation.finish(), None, Some(kept));
        if as_json { console.json(&outcome) } else { console.write(table(&[outcome]).as_bytes()) }
    }
}

/// As [`pump`](super::pump::pump), at the pace of the link's clock and with receipts by it. Ends with the input.
pub(crate) async fn pump(
    stream: &mut Stream,
    first: Picture,
    feed: &mut Feed,
    shaper: &mut Shaper,
    stop: &Stop,
    driver: &mut impl Driver,
) -> Result<()> {
    stream.leave_acknowledging();
    let shape = first.shape();
    let mut waiting = Some(first);
    let start = Instant::now();
    let mut ticks = interval(Duration::from_millis(TICK_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !stop.is_set() && !driver.is_over(start.elapsed()) {
        tokio::select! {
            answer = stream.next() => {
                let answer = answer.map_err(failure)?.ok_or_else(ended)?;
                if let Answer::Packet(packet, _) = &answer {
                    shaper.remote.take(packet);
                }
                driver.answer(answer)?;
            }
            _ = ticks.tick() => {
                driver.tick(start.elapsed())?;
                shaper.advance(start.elapsed());
                while let Some(news) = shaper.remote.back.front() {
                    let told = match news {
                        News::Came(ack) => stream.acknowledge(*ack),
                        News::Lost(frame_number) => stream.lost(*frame_number),
                    };
                    if !told {
                        break;
                    }
                    shaper.remote.back.pop_front();
                }
                let Some(due) = shaper.remote.due.pop_front() else { continue };
                let picture = match waiting.take() {
                    Some(picture) => picture,
                    None => match feed.next().await? {
                        Some(picture) => picture,
                        None => break,
                    },
                };
                check_shape(numbered(due), &picture, shape)?;
                let in_time = stream.has_credit();
                if in_time {
                    let timestamp_us = start.elapsed().as_micros() as u64;
                    let (frame_number, data) = (numbered(due), picture.data);
                    stream.send(StreamFrame { frame_number, timestamp_us, data, strides: Vec::new() }).map_err(failure)?;
                }
                driver.sent(in_time);
            }
        }
    }
    drain(stream, driver).await?;
    if stop.is_set() { Err(Failure::interrupted()) } else { Ok(()) }
}
