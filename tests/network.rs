//! The controller on scripted links, in virtual time: what is promised of steps, outages, thin, long and lossy links.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail loudly")]

use std::sync::Arc;
use std::time::Duration;

use auralink::netem::{
    LinkConfig, Loss, ModelConfig, ModelSource, Rate, Receipts, Report, Sender, SimulationConfig, TcpConfig, Trace,
    simulate,
};
use auralink::rate::Controller;
use auralink::{Mode, Receipt};
use proptest::prelude::*;

const FPS: f64 = 60.0;
/// Least bytes of a frame.
const LEAST_BYTES: u32 = 400;

/// The controller, and what passes it.
struct Watched {
    controller: Controller,
    /// What is added to the receiver's clock for each second, and from when on it is an hour ahead.
    skew: f64,
    clock_set: Option<Duration>,
    /// When receipts came, and how long ago their frames were sent, ms.
    answers: Vec<(f64, f64)>,
    sent: Vec<(u64, f64, u32)>,
    most_in_flight: u64,
}

impl Watched {
    fn new(mode: Mode) -> Self {
        Self {
            controller: Controller::new(mode, FPS, None),
            skew: 0.0,
            clock_set: None,
            answers: Vec::new(),
            sent: Vec::new(),
            most_in_flight: 0,
        }
    }

    /// The longest round trip of frames acknowledged between two times in seconds, ms.
    fn longest_ms(&self, from_s: f64, to_s: f64) -> f64 {
        let within = self.answers.iter().filter(|(at_ms, _)| (from_s * 1e3..to_s * 1e3).contains(at_ms));
        within.map(|(_, ms)| *ms).fold(0.0, f64::max)
    }

    /// Kilobits a second sent between two times in seconds.
    fn kbps(&self, from_s: f64, to_s: f64) -> f64 {
        let within = self.sent.iter().filter(|(_, at_ms, _)| (from_s * 1e3..to_s * 1e3).contains(at_ms));
        within.map(|(_, _, bytes)| f64::from(*bytes)).sum::<f64>() * 8.0 / 1e3 / (to_s - from_s)
    }
}

impl Sender for Watched {
    fn budget(&mut self, now: Duration) -> Option<u32> {
        let budget = self.controller.budget(now);
        assert!(self.controller.next_chance(now) > now && self.controller.rate_kbps().is_finite());
        budget
    }

    fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration) {
        self.controller.sent(frame_number, bytes, now);
        self.most_in_flight = self.most_in_flight.max(self.controller.in_flight());
        self.sent.push((frame_number, now.as_secs_f64() * 1e3, bytes));
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        let now_ms = now.as_secs_f64() * 1e3;
        if let Ok(at) = self.sent.binary_search_by_key(&receipt.frame_number, |(number, ..)| *number) {
            self.answers.push((now_ms, now_ms - self.sent[at].1));
        }
        let is_set = self.clock_set.is_some_and(|set| now >= set);
        let hour = Duration::from_secs(if is_set { 3_600 } else { 0 });
        let skewed = |at: Duration| at.mul_f64(1.0 + self.skew) + hour;
        self.controller.received(
            &Receipt {
                first_received: skewed(receipt.first_received),
                last_received: skewed(receipt.last_received),
                displayed: receipt.displayed.map(skewed),
                ..*receipt
            },
            now,
        );
    }
}

fn config(down: Trace, seconds: f64) -> SimulationConfig {
    let up = Arc::new(Trace::constant(5_000.0).unwrap());
    SimulationConfig { fps: FPS, seconds, ..SimulationConfig::new(Arc::new(down), up) }
}

fn run(config: SimulationConfig, watched: &mut Watched) -> Report {
    let model = ModelConfig { min_frame_bytes: LEAST_BYTES, max_frame_bytes: 250_000, ..ModelConfig::default() };
    simulate(config, watched, &mut ModelSource::new(model, 1).unwrap()).unwrap()
}

/// A link of so many kbit/s from each second on, until an end.
fn steps(rates: &[(f64, f64)], end_s: f64) -> Trace {
    let rates: Vec<Rate> = rates.iter().map(|&(from_s, kbps)| Rate { from_s, kbps }).collect();
    Trace::from_rates(&rates, end_s).unwrap()
}

#[test]
fn steady_links_are_used_without_a_queue() {
    // Where a packet takes 24 or 12 ms, one that comes a packet later is that much later.
    for (kbps, longest_ms) in [(500.0, 100.0), (1_000.0, 62.0), (4_000.0, 50.0), (20_000.0, 50.0), (100_000.0, 50.0)] {
        let mut watched = Watched::new(Mode::Adaptive);
        // Trust in a link comes with ten seconds of it.
        let config = SimulationConfig { warm_up_seconds: 15.0, ..config(Trace::constant(kbps).unwrap(), 40.0) };
        let report = run(config, &mut watched);
        // At 100 Mbit/s a frame of 208 kB comes to a queue of 384 kB all at once.
        let least = if kbps < 100_000.0 { 0.945 } else { 0.92 };
        assert!(report.utilisation >= least, "{kbps}: {}", report.utilisation);
        assert!(report.signal_delay_ms.p95 <= longest_ms, "{kbps}: {:?}", report.signal_delay_ms);
    }
}

#[test]
fn the_thinnest_link_never_queues_for_half_a_second() {
    let mut watched = Watched::new(Mode::Adaptive);
    let report = run(config(Trace::constant(64.0).unwrap(), 120.0), &mut watched);
    assert!(report.signal_delay_ms.p95 <= 1_000.0 && report.utilisation > 0.8, "{report:?}");
    // A packet of a frame takes up to 187 ms itself, each way 20.
    assert!(watched.longest_ms(5.0, 120.0) < 500.0 + 187.0 + 40.0, "{}", watched.longest_ms(5.0, 120.0));
}

#[test]
fn ten_times_less_is_followed_within_a_third_of_a_second_and_ten_times_more_within_one() {
    let mut watched = Watched::new(Mode::Adaptive);
    let link = steps(&[(0.0, 8_000.0), (10.0, 800.0), (20.0, 8_000.0)], 30.0);
    run(config(link, 30.0), &mut watched);
    // A packet of 1,500 bytes takes 15 ms at 800 kbit/s.
    let queue_ms = watched.longest_ms(10.0 + 0.34 + 0.4, 20.0) - 40.0 - 15.0;
    assert!(queue_ms < 60.0, "{queue_ms}");
    assert!(watched.kbps(21.0, 22.0) > 0.8 * 8_000.0, "{}", watched.kbps(21.0, 22.0));
    assert!(watched.kbps(11.0, 20.0) > 0.85 * 800.0, "{}", watched.kbps(11.0, 20.0));
}

#[test]
fn outages_pass_and_leave_nothing_behind() {
    for outage_s in [0.2, 1.0, 3.0, 10.0] {
        let mut watched = Watched::new(Mode::Adaptive);
        let link = steps(&[(0.0, 4_000.0), (10.0, 0.0), (10.0 + outage_s, 4_000.0)], 40.0);
        let report = run(config(link, 40.0), &mut watched);
        assert_eq!(report.queue_drops, 0, "{outage_s}");
        let after_s = 10.0 + outage_s + 0.8;
        assert!(watched.longest_ms(after_s, 40.0) < 130.0, "{outage_s}: {}", watched.longest_ms(after_s, 40.0));
        assert!(watched.kbps(after_s + 1.0, 40.0) > 3_600.0, "{outage_s}: {}", watched.kbps(after_s + 1.0, 40.0));
    }
}

#[test]
fn outages_of_receipts_alone_dont_stop_the_picture() {
    for outage_s in [0.2, 1.0, 10.0] {
        let mut watched = Watched::new(Mode::Adaptive);
        let up = steps(&[(0.0, 1_000.0), (10.0, 0.0), (10.0 + outage_s, 1_000.0)], 30.0);
        let config = SimulationConfig { up: Arc::new(up), ..config(Trace::constant(4_000.0).unwrap(), 30.0) };
        let report = run(config, &mut watched);
        assert!(report.signal_delay_ms.max < 800.0, "{outage_s}: {:?}", report.signal_delay_ms);
        assert_eq!(report.queue_drops, 0);
    }
}

#[test]
fn long_round_trips_and_jitter_are_lived_with() {
    for (rtt_ms, jitter_ms, seconds) in [(5_000.0, 0.0, 120.0), (40.0, 1_000.0, 60.0), (400.0, 100.0, 60.0)] {
        let link = LinkConfig {
            propagation: Duration::from_secs_f64(rtt_ms / 2e3),
            jitter: Duration::from_secs_f64(jitter_ms / 1e3),
            ..LinkConfig::default()
        };
        let mut watched = Watched::new(Mode::Adaptive);
        let config =
            SimulationConfig { down_link: link, up_link: link, ..config(Trace::constant(2_000.0).unwrap(), seconds) };
        let report = run(config, &mut watched);
        assert!(report.frames_shown > 100, "{rtt_ms} {jitter_ms}: {report:?}");
        let longest_ms = rtt_ms / 2.0 + 8.0 * jitter_ms + 1_500.0;
        assert!(report.frame_delay_ms.p95 < longest_ms, "{rtt_ms} {jitter_ms}: {:?}", report.frame_delay_ms);
    }
}

#[test]
fn losses_by_chance_are_no_reason_to_slow_down() {
    let lossy = |percent: f64| {
        let loss = Loss::Independent { probability: percent / 100.0 };
        let mut watched = Watched::new(Mode::Adaptive);
        let config = SimulationConfig {
            down_link: LinkConfig { loss, ..LinkConfig::default() },
            ..config(Trace::constant(4_000.0).unwrap(), 30.0)
        };
        run(config, &mut watched)
    };
    assert!(lossy(1.0).utilisation > 0.9, "{:?}", lossy(1.0));
    assert!(lossy(20.0).utilisation > 0.5, "{:?}", lossy(20.0));
    let nothing = lossy(100.0);
    let Report { frames_shown, frames_sent, .. } = nothing;
    assert!(frames_shown == 0 && frames_sent > 10 && frames_sent < 400, "{frames_sent} sent");
}

#[test]
fn deep_buffers_stay_empty() {
    let deep = LinkConfig { queue_packets: None, ..LinkConfig::default() };
    let mut watched = Watched::new(Mode::Aggressive);
    let link = steps(&[(0.0, 10_000.0), (15.0, 500.0), (30.0, 3_000.0)], 60.0);
    let report = run(SimulationConfig { down_link: deep, ..config(link, 60.0) }, &mut watched);
    assert!(report.signal_delay_ms.p95 < 200.0, "{:?}", report.signal_delay_ms);
}

#[test]
fn what_another_flow_takes_is_left_to_it() {
    // The other one comes and goes: what is left is a third.
    let left: Vec<(f64, f64)> = (0..30).map(|k| (f64::from(k), if k % 2 == 0 { 6_000.0 } else { 2_000.0 })).collect();
    let mut watched = Watched::new(Mode::Adaptive);
    let report = run(config(steps(&left, 30.0), 30.0), &mut watched);
    assert!(report.utilisation > 0.75 && report.signal_delay_ms.p95 < 130.0, "{report:?}");
}

#[test]
fn a_receiver_that_decodes_slowly_gets_its_frames_in_time() {
    let mut watched = Watched::new(Mode::Adaptive);
    let config =
        SimulationConfig { decode_time: Duration::from_millis(12), ..config(Trace::constant(8_000.0).unwrap(), 20.0) };
    let report = run(config, &mut watched);
    assert!(report.signal_delay_ms.p95 < 80.0 && report.shown_fps > 50.0, "{report:?}");
}

#[test]
fn clocks_that_run_differently_or_are_set_do_no_harm() {
    for (skew, clock_set) in [(5e-4, None), (-5e-4, None), (0.0, Some(Duration::from_secs(15)))] {
        let mut watched = Watched { skew, clock_set, ..Watched::new(Mode::Adaptive) };
        let report = run(config(Trace::constant(4_000.0).unwrap(), 60.0), &mut watched);
        assert!(report.utilisation > 0.9 && report.signal_delay_ms.p95 < 100.0, "{skew} {clock_set:?}: {report:?}");
    }
}

#[test]
fn tcp_without_loss_is_as_good_and_with_loss_not_much_worse() {
    let over = |tcp: bool, percent: f64| {
        let loss = if percent > 0.0 { Loss::Independent { probability: percent / 100.0 } } else { Loss::Never };
        let config = SimulationConfig {
            tcp: tcp.then(TcpConfig::default),
            down_link: LinkConfig { loss, ..LinkConfig::default() },
            ..config(Trace::constant(4_000.0).unwrap(), 60.0)
        };
        run(config, &mut Watched::new(Mode::Adaptive))
    };
    let (plain, tcp, lossy) = (over(false, 0.0), over(true, 0.0), over(true, 1.0));
    assert!(tcp.signal_delay_ms.p95 < 1.15 * plain.signal_delay_ms.p95, "{:?}", tcp.signal_delay_ms);
    assert!(tcp.utilisation > 0.95 * plain.utilisation);
    assert!(lossy.signal_delay_ms.p95 < 2.5 * tcp.signal_delay_ms.p95, "{:?}", lossy.signal_delay_ms);
}

#[test]
fn the_same_run_gives_the_same_report() {
    let link = || steps(&[(0.0, 5_000.0), (3.0, 300.0), (6.0, 2_000.0)], 9.0);
    let reports = [0, 1].map(|_| run(config(link(), 20.0), &mut Watched::new(Mode::Adaptive)));
    assert_eq!(reports[0], reports[1]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a link does: nothing panics, budgets stay sane, what is in flight is bounded, and once it is calm all is well
    /// within two seconds.
    #[test]
    fn any_link_is_survived(
        rates in prop::collection::vec((1_u32..30, 0_f64..30_000.0), 1..12),
        mode in 0_usize..3,
        percent in 0_f64..30.0,
        frames_only in any::<bool>(),
        tcp in any::<bool>(),
    ) {
        let (mut at_s, mut link) = (0.0, Vec::new());
        for (tenths, kbps) in rates {
            link.push((at_s, if kbps < 3_000.0 { 0.0 } else { kbps }));
            at_s += f64::from(tenths) / 10.0;
        }
        link.push((at_s, 3_000.0));
        let end_s = at_s + 12.0;
        let down_link = LinkConfig { loss: Loss::Independent { probability: percent / 100.0 }, ..LinkConfig::default() };
        let receipts = if frames_only { Receipts::EachFrame } else { Receipts::EachPacket };
        let config = SimulationConfig {
            receipts,
            down_link,
            tcp: tcp.then(TcpConfig::default),
            ..config(steps(&link, end_s), end_s)
        };
        let mut watched = Watched::new(Mode::ALL[mode]);
        let report = run(config, &mut watched);
        prop_assert!(watched.most_in_flight < 3_000_000, "{} bytes in flight", watched.most_in_flight);
        prop_assert!(watched.sent.iter().all(|(.., bytes)| (LEAST_BYTES..2_000_000).contains(bytes)));
        prop_assert!(report.frames_sent > 0);
        if percent < 5.0 && !tcp {
            prop_assert!(watched.kbps(at_s + 3.0, end_s) > 1_200.0, "{} kbit/s", watched.kbps(at_s + 3.0, end_s));
            prop_assert!(watched.longest_ms(at_s + 3.0, end_s) < 400.0);
        }
    }
}
