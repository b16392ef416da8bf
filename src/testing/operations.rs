//! A session under arbitrary use, in virtual time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};

use super::{Content, picture, pool};
use crate::rate::Receipt;
use crate::session::{Changes, Fallback};
use crate::{
    Codec, Engine, Feedback, Mode, NetworkConditions, Output, PacketInfo, PixelFormat, Session, SessionConfig, Stamp,
};

/// Operations of one run: each codes at most one frame.
const MAX_OPERATIONS: usize = 200;

/// What a caller may do next.
#[derive(Arbitrary, Debug)]
enum Operation {
    /// Push the film's next frame, its number this much higher.
    Push { step: u8 },
    /// Push a frame that isn't of the session's size.
    PushOther { width: u8 },
    /// Let time pass.
    Pass { ms: u16 },
    /// Let time pass until the session wants to be polled.
    PassUntilWanted,
    /// Declare a network.
    Network { bandwidth_kbps: u32, rtt_ms: u16, packet_loss_percent: u8, jitter_ms: u16 },
    /// Declare a network by its score.
    Score { score: f64 },
    /// Acknowledge.
    Ack { frame_number: u64 },
    /// Acknowledge with times.
    Received { frame_number: u8, bytes: u32, is_whole: bool, at_ms: u32, shown_ms: Option<u16> },
    /// Report a loss.
    Lost { frame_number: u64 },
    /// Ask for a keyframe.
    Keyframe,
    /// Reconfigure.
    Reconfigure { mode: u8, target_reduction: Option<f64>, min_quality: Option<f64>, fps: Option<f64>, measure: bool },
}

/// Whatever a caller does, every frame is answered exactly once, budgets are kept or their breach is named, and the
/// statistics add up.
pub fn session_operations(data: &[u8]) {
    let _ = try_operations(&mut Unstructured::new(data));
}

fn try_operations(input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let mut config = SessionConfig::new(
        *input.choose(&Codec::ALL)?,
        *input.choose(&PixelFormat::ALL)?,
        input.int_in_range(1..=48)?,
        input.int_in_range(1..=48)?,
    );
    config.fps = input.int_in_range(0..=121_u32)?.into();
    config.mode = *input.choose(&Mode::ALL)?;
    config.measure_quality = input.arbitrary()?;
    let content = *input.choose(&Content::ALL)?;
    let valid = config.validate().is_ok();
    let Ok(session) = Engine::new(Arc::clone(pool())).session(config) else {
        assert!(!valid, "a valid configuration was refused");
        return Ok(());
    };
    let mut run = Run { session, content, now: Duration::ZERO, wanted: None, number: 0, open: BTreeSet::new() };
    for _ in 0..MAX_OPERATIONS {
        if input.is_empty() {
            break;
        }
        run.apply(&input.arbitrary()?);
        run.drain();
    }
    run.finish();
    Ok(())
}

struct Run {
    session: Session,
    content: Content,
    now: Duration,
    /// When the session wants to be polled.
    wanted: Option<Duration>,
    number: u64,
    /// Frames pushed and not yet answered.
    open: BTreeSet<u64>,
}

impl Run {
    fn apply(&mut self, operation: &Operation) {
        match *operation {
            Operation::Push { step } => {
                let (width, height) = (self.session.config().width, self.session.config().height);
                self.push(step, width, height);
            }
            Operation::PushOther { width } => self.push(1, u32::from(width) + 64, 8),
            Operation::Pass { ms } => self.now += Duration::from_millis(ms.into()),
            Operation::PassUntilWanted => self.now = self.now.max(self.wanted.unwrap_or_default()),
            Operation::Network { bandwidth_kbps, rtt_ms, packet_loss_percent, jitter_ms } => {
                let [bandwidth, rtt] = [bandwidth_kbps % 110_000, u32::from(rtt_ms)].map(f64::from);
                let network =
                    NetworkConditions::new(bandwidth, rtt, f64::from(packet_loss_percent), f64::from(jitter_ms));
                self.declare(network);
            }
            Operation::Score { score } => self.declare(NetworkConditions::from_score(score)),
            Operation::Ack { frame_number } => self.tell(Feedback::Ack { frame_number }),
            Operation::Received { frame_number, bytes, is_whole, at_ms, shown_ms } => {
                let last_received = Duration::from_millis(at_ms.into());
                self.tell(Feedback::Received(Receipt {
                    frame_number: self.number.saturating_sub(frame_number.into()),
                    bytes,
                    is_whole,
                    first_received: last_received,
                    last_received,
                    displayed: shown_ms.map(|ms| last_received + Duration::from_millis(ms.into())),
                }));
            }
            Operation::Lost { frame_number } => self.tell(Feedback::Lost { frame_number }),
            Operation::Keyframe => self.tell(Feedback::Keyframe),
            Operation::Reconfigure { mode, target_reduction, min_quality, fps, measure } => {
                let mode = Mode::ALL.get(usize::from(mode)).copied();
                let measure_quality = Some(measure);
                self.tell(Feedback::Reconfigure(Changes { mode, target_reduction, min_quality, fps, measure_quality }));
            }
        }
    }

    fn push(&mut self, step: u8, width: u32, height: u32) {
        let format = self.session.config().format;
        let frame = picture(self.content, format, width, height, self.number as u32);
        let stamp = Stamp { frame_number: self.number + u64::from(step), timestamp_us: 7 };
        let fits = (width, height) == (self.session.config().width, self.session.config().height);
        match self.session.push(stamp, &frame.as_frame(), self.now) {
            Ok(()) => {
                assert!(fits, "a frame of another size was taken");
                assert!(self.open.insert(stamp.frame_number), "a number was taken twice");
                self.number = stamp.frame_number;
            }
            Err(error) => assert!(!fits || step == 0, "a good frame was refused: {error}"),
        }
    }

    fn declare(&mut self, network: crate::Result<NetworkConditions>) {
        if let Ok(network) = network {
            self.tell(Feedback::Network(network));
        }
    }

    fn tell(&mut self, feedback: Feedback) {
        let before = *self.session.config();
        if self.session.feedback(feedback, self.now).is_err() {
            assert_eq!(*self.session.config(), before, "a refused change changed something");
        }
        assert!(self.session.config().validate().is_ok());
    }

    fn drain(&mut self) {
        loop {
            let answered = match self.session.poll(self.now) {
                Output::Packet(packet) => {
                    assert_eq!(packet.data.len(), packet.info.compressed_bytes);
                    check_budget(&packet.info);
                    packet.info.stamp
                }
                Output::Dropped(dropped) => dropped.stamp,
                Output::Failed(failed) => failed.stamp,
                Output::Wait(until) => {
                    assert!(until.is_none_or(|until| until > self.now), "told to wait for a time that is past");
                    self.wanted = until;
                    return;
                }
            };
            assert!(self.open.remove(&answered.frame_number), "frame {} answered twice", answered.frame_number);
        }
    }

    fn finish(mut self) {
        self.session.close();
        self.drain();
        assert!(self.open.is_empty(), "never answered: {:?}", self.open);
        let stats = self.session.stats();
        assert_eq!(stats.frames_in, stats.packets_out + stats.dropped_total() + stats.failed);
    }
}

/// A JPEG or H.264 packet keeps its plan's budget unless it says what gave way.
fn check_budget(info: &PacketInfo) {
    let excused = info.fallback.is_some_and(|fallback| fallback != Fallback::Latency);
    if let (Codec::Jpeg | Codec::H264, Some(budget), false) = (info.codec, info.plan.budget_bytes, excused) {
        assert!(info.compressed_bytes <= budget as usize, "{} bytes: {}", info.compressed_bytes, info.plan);
    }
}
