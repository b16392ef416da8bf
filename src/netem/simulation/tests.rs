#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::netem::senders::{Fixed, Oracle};
use crate::netem::{Bulk, LinkConfig, Loss, ModelConfig, ModelSource, Receipts, TcpConfig, Trace, senders};
use crate::rate::{Mode, Receipt};

fn constant(kbps: f64) -> Arc<Trace> {
    Arc::new(Trace::constant(kbps).unwrap())
}

fn config(kbps: f64) -> SimulationConfig {
    SimulationConfig { seconds: 30.0, ..SimulationConfig::new(constant(kbps), constant(1000.0)) }
}

fn model() -> ModelSource {
    ModelSource::new(ModelConfig::default(), 1).unwrap()
}

fn fixed(config: SimulationConfig, kbps: f64) -> Report {
    let mut sender = Fixed::new(kbps, config.fps);
    simulate(config, &mut sender, &mut model()).unwrap()
}

/// Sends frames of a size and notes the receipts.
#[derive(Default)]
struct Recorder {
    bytes: u32,
    gap: Duration,
    sent: Vec<(u64, Duration)>,
    receipts: Vec<(Receipt, Duration)>,
}

impl Sender for Recorder {
    fn budget(&mut self, _now: Duration) -> Option<u32> {
        Some(self.bytes)
    }

    fn sent(&mut self, frame_number: u64, _bytes: u32, now: Duration) {
        self.sent.push((frame_number, now));
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        self.receipts.push((*receipt, now));
    }

    fn packet_gap(&self) -> Duration {
        self.gap
    }
}

#[test]
fn an_empty_link_delays_by_what_the_arithmetic_says() {
    // 12 Mbit/s: a packet each ms. A frame of 3000 bytes is out 21 ms after its capture: at the 20th and at the 21st.
    let report = fixed(config(12_000.0), 3000.0 * 8.0 * 60.0 / 1000.0);
    assert_eq!((report.frame_delay_ms.p50, report.frame_delay_ms.max), (21.0, 21.0));
    assert_eq!((report.signal_delay_ms.p50, report.signal_delay_ms.max), (21.0, 21.0));
    assert!((report.utilisation - 0.12).abs() < 0.001, "{}", report.utilisation);
    assert!((report.shown_fps - 60.0).abs() < 0.1 && report.freeze_count == 0);
    assert_eq!((report.queue_drops, report.frames_undecodable), (0, 0));
}

#[test]
fn receipts_come_with_each_packet_or_each_frame() {
    let run = |receipts| {
        let mut sender = Recorder { bytes: 4000, ..Recorder::default() };
        let config = SimulationConfig { receipts, seconds: 2.0, warm_up_seconds: 0.0, ..config(12_000.0) };
        simulate(config, &mut sender, &mut model()).unwrap();
        sender.receipts
    };
    let packets = run(Receipts::EachPacket);
    let first: Vec<_> = packets.iter().take(3).map(|(receipt, at)| (receipt.bytes, at.as_millis())).collect();
    // 1 Mbit/s back: an opportunity each 12 ms, so that receipts that set out at 20, 21 and 22 ms come together at 48.
    assert_eq!(first, [(1500, 48), (3000, 48), (4000, 48)]);
    assert_eq!(packets.iter().filter(|(receipt, _)| !receipt.is_whole).count() * 3, packets.len() * 2);
    let frames = run(Receipts::EachFrame);
    assert!(frames.iter().all(|(receipt, _)| receipt.is_whole && receipt.displayed.is_some()));
    assert_eq!(frames.len() * 3, packets.len());
}

#[test]
fn pacing_keeps_packets_apart() {
    let mut sender = Recorder { bytes: 6000, gap: Duration::from_micros(2500), ..Recorder::default() };
    let config = SimulationConfig { seconds: 2.0, warm_up_seconds: 0.0, ..config(100_000.0) };
    simulate(config, &mut sender, &mut model()).unwrap();
    let (receipt, _) = sender.receipts.iter().find(|(receipt, _)| receipt.is_whole).unwrap();
    // Packets at 0, 2.5, 5 and 7.5 ms.
    assert_eq!((receipt.last_received - receipt.first_received).as_millis(), 7);
}

/// Waits a second before its first frame.
struct Late(bool);

impl Sender for Late {
    fn budget(&mut self, now: Duration) -> Option<u32> {
        (now.as_millis() == 1010 && !self.0).then_some(1000)
    }

    fn sent(&mut self, frame_number: u64, _bytes: u32, _now: Duration) {
        // At 60 fps the newest frame at 1010 ms is the one of 1000 ms.
        assert_eq!(frame_number, 60);
        self.0 = true;
    }

    fn received(&mut self, _receipt: &Receipt, _now: Duration) {}
}

#[test]
fn what_waits_is_the_newest_frame() {
    let config = SimulationConfig { seconds: 2.0, warm_up_seconds: 0.0, ..config(12_000.0) };
    let mut sender = Late(false);
    let report = simulate(config, &mut sender, &mut model()).unwrap();
    assert!(sender.0);
    assert_eq!((report.frames_captured, report.frames_shown), (120, 1));
    // Captured at 1000 ms, sent at 1010, out at 1030.
    assert_eq!((report.frame_delay_ms.max, report.signal_delay_ms.max), (30.0, 1030.0));
}

#[test]
fn encoding_takes_its_time_and_frames_come_during_it_wait() {
    let mut source =
        ModelSource::new(ModelConfig { encode_time: Duration::from_millis(25), ..ModelConfig::default() }, 1).unwrap();
    let mut sender = Recorder { bytes: 1000, ..Recorder::default() };
    let config = SimulationConfig { seconds: 2.0, warm_up_seconds: 0.0, ..config(12_000.0) };
    let report = simulate(config, &mut sender, &mut source).unwrap();
    assert_eq!(sender.sent.first(), Some(&(0, Duration::from_millis(25))));
    // The frame of 16 ms waited until 25, and the one of 33 ms came before that was coded.
    assert_eq!(sender.sent.get(1), Some(&(1, Duration::from_millis(50))));
    assert!((report.shown_fps - 40.0).abs() < 1.0, "{}", report.shown_fps);
}

#[test]
fn losses_break_what_is_predicted_until_the_sender_knows() {
    let run = |predicts| {
        let mut source = ModelSource::new(ModelConfig { predicts, ..ModelConfig::default() }, 1).unwrap();
        let mut config = config(12_000.0);
        config.down_link.loss = Loss::Independent { probability: 0.02 };
        let mut sender = Fixed::new(600.0, config.fps);
        simulate(config, &mut sender, &mut source).unwrap()
    };
    let (alone, predicted) = (run(false), run(true));
    assert_eq!((alone.lost_packets, alone.frames_undecodable), (predicted.lost_packets, 0));
    assert!(alone.lost_packets > 10);
    // The round trip is some 60 ms, or 4 frames.
    let each = predicted.frames_undecodable as f64 / predicted.lost_packets as f64;
    assert!((2.0..6.0).contains(&each), "{each}");
}

#[test]
fn overload_fills_the_queue_and_overflows_it() {
    // Frames of one packet of 1250 bytes, at twice what goes through.
    let report = fixed(config(300.0), 600.0);
    assert!(report.utilisation > 0.99 && report.queue_drops > 600, "{}", report.queue_drops);
    // 256 of them and the one that is served, at 33.3 ms each, after 20 ms.
    let full_ms = 257.0 * 1250.0 * 8.0 / 300.0 + 20.0;
    assert!((report.frame_delay_ms.max - full_ms).abs() < 80.0, "{full_ms} {:?}", report.frame_delay_ms);
    // Of frames of several packets each loses one, and none is ever whole.
    let report = fixed(config(1_200.0), 2_400.0);
    assert!(report.utilisation > 0.99 && report.frames_shown == 0, "{}", report.frames_shown);
}

#[test]
fn the_oracle_fills_the_link_without_waiting() {
    for kbps in [300.0, 4_000.0, 40_000.0] {
        let config = config(kbps);
        let mut sender = Oracle::new(config.down.clone(), config.down_link.propagation, config.fps, 400);
        let report = simulate(config, &mut sender, &mut model()).unwrap();
        assert!(report.utilisation > 0.98, "{kbps}: {}", report.utilisation);
        assert!(report.frame_delay_ms.max <= 38.0 + 12_000.0 / kbps, "{kbps}: {:?}", report.frame_delay_ms);
        assert_eq!(report.queue_drops, 0);
    }
}

#[test]
fn a_seed_tells_everything() {
    let run = |seed| {
        let mut config = SimulationConfig { seed, ..config(3_000.0) };
        config.down_link = LinkConfig {
            loss: Loss::Independent { probability: 0.05 },
            jitter: Duration::from_millis(9),
            ..config.down_link
        };
        fixed(config, 2_000.0)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_sender_that_never_sends_is_told_as_it_is() {
    struct Silent;
    impl Sender for Silent {
        fn budget(&mut self, _now: Duration) -> Option<u32> {
            None
        }
        fn sent(&mut self, _frame_number: u64, _bytes: u32, _now: Duration) {}
        fn received(&mut self, _receipt: &Receipt, _now: Duration) {}
    }
    let report = simulate(config(1_000.0), &mut Silent, &mut model()).unwrap();
    assert_eq!((report.frames_shown, report.utilisation, report.freeze_count), (0, 0.0, 1));
    assert_eq!((report.freeze_percent, report.signal_delay_ms.max), (100.0, 25_000.0));
}

#[test]
fn everything_at_the_edge_runs() {
    for (rtt_ms, loss, jitter_ms, kbps) in [(5000, 1.0, 1000, 64.0), (0, 0.5, 1000, 64.0), (5000, 0.0, 0, 100_000.0)] {
        let link = LinkConfig {
            propagation: Duration::from_millis(rtt_ms),
            loss: Loss::Independent { probability: loss },
            jitter: Duration::from_millis(jitter_ms),
            ..LinkConfig::default()
        };
        let config = SimulationConfig { down_link: link, up_link: link, ..config(kbps) };
        let report = fixed(config, kbps);
        assert!(report.utilisation.is_finite() && report.signal_delay_ms.p95.is_finite());
        assert_eq!(report.frames_shown == 0, loss == 1.0);
    }
}

#[test]
fn fields_out_of_range_are_named() {
    let bad = |config: SimulationConfig| Simulation::new(config).err().map_or("none", |error| error.field());
    assert_eq!(bad(SimulationConfig { fps: 0.0, ..config(1_000.0) }), "fps");
    assert_eq!(bad(SimulationConfig { seconds: 1e9, ..config(1_000.0) }), "seconds");
    assert_eq!(bad(SimulationConfig { warm_up_seconds: 30.0, ..config(1_000.0) }), "warm_up_seconds");
}

fn over_tcp(down: Arc<Trace>, loss: f64) -> Report {
    let mut config = SimulationConfig { tcp: Some(TcpConfig::default()), ..config(1_000.0) };
    config = SimulationConfig { seconds: 60.0, down, up: constant(4_000.0), ..config };
    config.down_link.loss = Loss::Independent { probability: loss };
    let setting = senders::Setting { config: config.clone(), min_frame_bytes: 400, mode: Mode::Adaptive };
    let mut sender = senders::by_name("twotimescale", &setting).unwrap();
    simulate(config, &mut sender, &mut model()).unwrap()
}

#[test]
fn a_connection_without_loss_is_about_as_good_as_packets() {
    let report = over_tcp(constant(4_000.0), 0.0);
    assert!(report.utilisation > 0.95 && report.frame_delay_ms.p95 < 110.0, "{:?}", report.frame_delay_ms);
    assert!(report.queue_bytes_p95.before_transport < 16_000.0, "{:?}", report.queue_bytes_p95);
    assert_eq!(report.queue_drops, 0);
}

#[test]
fn losses_hold_up_a_connection_and_no_frame_is_lost() {
    let (clean, lossy) = (over_tcp(constant(4_000.0), 0.0), over_tcp(constant(4_000.0), 0.01));
    assert!(lossy.lost_packets > 50 && lossy.frames_undecodable == 0);
    assert!(lossy.frame_delay_ms.p99 > clean.frame_delay_ms.p99 + 25.0, "{:?}", lossy.frame_delay_ms);
    // Only those on their way at the end aren't shown.
    assert!(clean.frames_sent - clean.frames_shown < 8);
    assert!(lossy.frames_sent - lossy.frames_shown < 15, "{} {}", lossy.frames_sent, lossy.frames_shown);
}

#[test]
fn a_connection_without_a_window_of_its_own_fills_every_buffer() {
    let run = |tcp| {
        let config = SimulationConfig { tcp: Some(tcp), seconds: 60.0, ..config(1_000.0) };
        fixed(config, 2_000.0)
    };
    let (tuned, untuned) = (run(TcpConfig::default()), run(TcpConfig::UNTUNED));
    assert!(untuned.frame_delay_ms.p50 > 2.0 * tuned.frame_delay_ms.p50, "{untuned:?}");
    let waiting = untuned.queue_bytes_p95;
    assert!(waiting.before_transport + waiting.unsent > 400_000.0, "{waiting:?}");
}

#[test]
fn a_rival_shares_the_queue_while_it_is_there() {
    let config = SimulationConfig { seconds: 60.0, ..config(8_000.0) };
    let mut simulation = Simulation::new(config.clone()).unwrap();
    simulation = simulation.with_rival(Box::new(Bulk::default()), Some(TcpConfig::default()), 20.0..=40.0).unwrap();
    simulation.advance(f64::INFINITY, &mut Paired::new(Fixed::new(2_000.0, config.fps), model()));
    let report = simulation.finish();
    let sharing = report.sharing.unwrap();
    // A bulk transfer over TCP takes what is left, and the queue is full meanwhile.
    assert!((sharing.own_kbps - 2_000.0).abs() < 400.0, "{sharing:?}");
    assert!(sharing.rival_kbps > 5_000.0, "{sharing:?}");
    assert!((sharing.own_after_kbps.unwrap() - 2_000.0).abs() < 100.0, "{sharing:?}");
    assert!(report.frame_delay_ms.p50 < 40.0 && report.frame_delay_ms.p95 > 100.0, "{:?}", report.frame_delay_ms);
    let again = Simulation::new(config).unwrap();
    let fault = again.with_rival(Box::new(Bulk::default()), None, 40.0..=20.0).err().unwrap();
    assert_eq!(fault.field(), "rival_to_s");
}
