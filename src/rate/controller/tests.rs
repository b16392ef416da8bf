use std::collections::VecDeque;

use super::*;
use crate::rate::PACKET_BYTES;

fn at(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1_000.0)
}

fn receipt(frame_number: u64, bytes: u32, received_ms: f64) -> Receipt {
    let last_received = at(received_ms);
    Receipt { frame_number, bytes, is_whole: true, first_received: last_received, last_received, displayed: None }
}

/// A link of so many bytes a millisecond under a stream that sends all it may, whole frames acknowledged 20 ms after. Returns
/// the controller, and the mean bytes a millisecond and the longest queue, ms, of the second half.
fn play(mut controller: Controller, rate: f64, ms: u32) -> (Controller, f64, f64) {
    let mut acknowledged = VecDeque::new();
    let (mut free_ms, mut bytes, mut queue_ms) = (0.0_f64, 0.0, 0.0_f64);
    for step in 0..ms {
        let now_ms = f64::from(step);
        while acknowledged.front().is_some_and(|&(_, _, ms)| ms + 20.0 <= now_ms) {
            let Some((number, bytes, ms)) = acknowledged.pop_front() else { break };
            controller.received(&receipt(number, bytes, ms + 1e6), at(now_ms));
        }
        if step % 16 != 0 {
            continue;
        }
        if let Some(budget) = controller.budget(at(now_ms)) {
            controller.sent(u64::from(step), budget, at(now_ms));
            free_ms = free_ms.max(now_ms + 20.0) + f64::from(budget) / rate;
            acknowledged.push_back((u64::from(step), budget, free_ms));
            if step >= ms / 2 {
                bytes += f64::from(budget);
                queue_ms = queue_ms.max(free_ms - now_ms - 20.0);
            }
        }
    }
    (controller, bytes / f64::from(ms - ms / 2), queue_ms)
}

#[test]
fn a_steady_link_is_filled_without_a_long_queue() {
    for rate in [12.0, 60.0, 600.0, 6_000.0] {
        let (controller, used, queue_ms) = play(Controller::new(Mode::Adaptive, 60.0, None), rate, 20_000);
        assert!(used > 0.85 * rate && used < 1.02 * rate, "{rate}: {used} bytes/ms");
        assert!(queue_ms < 60.0 + 2.0 * PACKET_BYTES / rate, "{rate}: queue of {queue_ms} ms");
        assert!((controller.rate_kbps() / 8.0 / rate - 1.0).abs() < 0.2, "{rate}: {}", controller.rate_kbps());
    }
}

#[test]
fn modes_trade_queue_for_use() {
    let played = Mode::ALL.map(|mode| play(Controller::new(mode, 60.0, None), 300.0, 10_000));
    assert!(played[0].2 < played[1].2 && played[1].2 < played[2].2, "{:?}", played.map(|(_, _, queue_ms)| queue_ms));
}

#[test]
fn a_declaration_is_overridden_by_what_is_measured() {
    let declared = NetworkConditions::new(100_000.0, 5.0, 0.0, 0.0).unwrap();
    let controller = Controller::new(Mode::Adaptive, 60.0, Some(&declared));
    assert!(!controller.is_measured() && controller.rate_kbps() == 100_000.0);
    let (controller, _, queue_ms) = play(controller, 60.0, 10_000);
    assert!(controller.is_measured() && controller.rate_kbps() < 600.0, "{}", controller.rate_kbps());
    assert!(queue_ms < 80.0, "{queue_ms}");
}

#[test]
fn a_silent_link_is_asked_now_and_then_and_never_flooded() {
    let (mut controller, _, _) = play(Controller::new(Mode::Adaptive, 60.0, None), 300.0, 5_000);
    let before = controller.in_flight();
    let mut asked = Vec::new();
    for ms in 5_000..65_000 {
        let now = at(ms as f64);
        if let Some(budget) = controller.budget(now) {
            controller.sent(ms, budget, now);
            asked.push(ms);
        }
    }
    assert!(asked.len() > 20 && asked.len() < 200, "{} frames", asked.len());
    assert!(controller.in_flight() - before < 80_000, "{} bytes", controller.in_flight());
    controller.received(&receipt(*asked.last().unwrap(), 400, 66_000.0), at(66_000.0));
    assert!(controller.budget(at(66_001.0)).is_some(), "and goes on as soon as there is news");
}

#[test]
fn a_receiver_that_shows_frames_late_is_sent_fewer() {
    let mut controller = Controller::new(Mode::Adaptive, 60.0, None);
    let (mut shown_ms, mut sent) = (0.0_f64, 0);
    let mut acknowledged = VecDeque::new();
    for step in 0..12_000 {
        let now_ms = step as f64;
        while acknowledged.front().is_some_and(|r: &Receipt| r.displayed.is_some_and(|d| ms(d) + 20.0 <= now_ms)) {
            let Some(receipt) = acknowledged.pop_front() else { break };
            controller.received(&receipt, at(now_ms));
        }
        if step % 16 == 0 && controller.budget(at(now_ms)).is_some() {
            controller.sent(step, 1_000, at(now_ms));
            sent += usize::from(step >= 6_000);
            let received_ms = now_ms + 21.0;
            shown_ms = shown_ms.max(received_ms) + 50.0;
            acknowledged.push_back(Receipt { displayed: Some(at(shown_ms)), ..receipt(step, 1_000, received_ms) });
        }
    }
    // 20 a second can be shown; 60 come from the camera.
    assert!((100..=130).contains(&sent), "{sent} frames in six seconds");
    assert!(shown_ms < 12_000.0 + 500.0, "{shown_ms}");
}

#[test]
fn what_a_stranger_says_stays_within_bounds() {
    let mut controller = Controller::new(Mode::Aggressive, 120.0, None);
    let clocks = [Duration::ZERO, Duration::MAX, at(5.0), Duration::from_secs(1 << 40), at(6.0), at(1e9)];
    for step in 0_u64..600 {
        let now = Duration::from_millis(10 * step);
        if let Some(budget) = controller.budget(now) {
            assert!((LEAST_BYTES as u32..50_000_000).contains(&budget), "{step}: {budget}");
            controller.sent(step, budget, now);
        }
        let clock = clocks[step as usize % clocks.len()];
        let mut said = receipt(step.saturating_sub(step % 5), u32::MAX, 0.0);
        (said.last_received, said.displayed) = (clock, Some(clocks[step as usize % 3]));
        controller.received(&said, now);
        let rate = controller.rate_kbps();
        assert!(rate.is_finite() && rate >= 0.0, "{step}: {rate}");
        assert!(controller.next_chance(now) > now);
    }
}
