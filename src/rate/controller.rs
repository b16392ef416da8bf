//! When a frame may be sent, and how large, by what receipts tell of the link.
//!
//! A frame may take what the link is expected to deliver until it should be there, less what is on its way already:
//!
//! `budget = rate * (queue target + empty round trip) - in flight`
//!
//! What the rate is, [`Estimate`] tells; what may wait, [`target_ms`]. Silence needs no rule for the rate: what is in flight
//! stays, and the budget is used up. But many outages are the receipts' alone, so small frames go on at growing intervals
//! ([`Asking`]): whatever the reason of the silence, one of them is there soon after it ends.

use std::time::Duration;

use super::asking::{Asking, least_gap_ms};
use super::base::{Base, Times};
use super::display::Display;
use super::estimate::{Brought, Estimate};
use super::flight::Flight;
use super::queue::Queue;
use super::target::target_ms;
use super::{Mode, NetworkConditions, Plan, Reason, Receipt, ms};
use crate::limits;

/// The least bytes that are worth a frame, and those of one that is sent to hear of the link.
pub(crate) const LEAST_BYTES: f64 = 400.0;
/// Rate taken for granted where nothing is known: 480 kbit/s, in bytes a millisecond.
const UNKNOWN_RATE: f64 = 60.0;
/// Round trip taken for granted where nothing is known, ms.
const UNKNOWN_ROUND_TRIP_MS: f64 = 40.0;
/// Bytes that may be in flight at first, and as many more as were received since: nobody's link is worse for them, and a
/// declaration may be wrong.
const FIRST_BYTES: f64 = 2_400.0;
const FIRST_BYTES_DECLARED: f64 = 24_000.0;
/// Time that each of the first receipts has before another frame asks for it, ms.
const FIRST_RECEIPT_MS: f64 = 300.0;
/// Receipts by which the link counts as measured.
const MEASURED: u64 = 3;
/// Longest time that is spent on emptying a path, ms beside two round trips.
const EMPTYING_MS: f64 = 500.0;
/// Steps of the receiver's clock against ours that make a new start, ms.
const CLOCK_STEP_MS: f64 = 5_000.0;
/// Fraction of its budget that a frame aims for, where the codec can aim.
const AIM: f64 = 0.92;
/// Part of a steady link that sizes are chosen for.
const STEADY_UTILISATION: f64 = 0.9;
/// Time for which the first picture of a larger size may keep the link busy, ms: one frame a minute comes that much later, and is no blur.
const LARGER_MS: f64 = 200.0;
/// Part of what it might take under which a frame says little of the link.
const LIGHT: f64 = 0.125;
/// How many times what a frame is expected to need a budget must be so as not to limit it.
const PLENTY: f64 = 2.0;

/// The sender's side of one stream: it is told of frames sent and receipts come, and says what the next frame may take. Times are
/// the caller's, from any beginning; receipts bring the receiver's. A value of fixed size, without a clock.
#[derive(Clone, Debug)]
pub struct Controller {
    mode: Mode,
    frame_ms: f64,
    flight: Flight,
    base: Base,
    estimate: Estimate,
    queue: Queue,
    asking: Asking,
    display: Display,
    /// Bytes that may be in flight as yet, whatever the rate.
    proven_bytes: f64,
    /// When the newest receipt came, by both clocks, ms.
    receipt_ms: f64,
    received_ms: f64,
    sent_ms: f64,
    /// Whether receipts come of parts of frames.
    tells_parts: bool,
    /// Since when the path is being emptied, ms.
    emptying_ms: Option<f64>,
}

impl Controller {
    /// For a stream of `fps` frames a second, with what is declared of the network, if anything is.
    pub fn new(mode: Mode, fps: f64, declared: Option<&NetworkConditions>) -> Self {
        Self {
            mode,
            frame_ms: 1_000.0 / fps,
            flight: Flight::new(),
            base: Base::new(),
            estimate: Estimate::new(declared.map_or(UNKNOWN_RATE, bytes_per_ms), UNKNOWN_RATE),
            queue: Queue::new(),
            asking: Asking::default(),
            display: Display::default(),
            proven_bytes: declared.map_or(FIRST_BYTES, |_| FIRST_BYTES_DECLARED),
            receipt_ms: 0.0,
            received_ms: 0.0,
            sent_ms: f64::NEG_INFINITY,
            tells_parts: false,
            emptying_ms: None,
        }
    }

    /// Another mode, or frame rate.
    pub fn reconfigure(&mut self, mode: Mode, fps: f64) {
        (self.mode, self.frame_ms) = (mode, 1_000.0 / fps);
    }

    /// Takes what is declared of the network as a first guess; the next receipts know better.
    pub fn declare(&mut self, network: &NetworkConditions) {
        self.estimate.guess(bytes_per_ms(network));
        if self.estimate.receipts() == 0 {
            self.proven_bytes = FIRST_BYTES_DECLARED;
        }
    }

    /// Whether receipts have told enough of the link for declarations not to matter.
    pub fn is_measured(&self) -> bool {
        self.estimate.receipts() >= MEASURED
    }

    /// What the link carried in the last second while it was busy, kbit/s.
    pub fn rate_kbps(&self) -> f64 {
        self.estimate.long() * 8.0
    }

    /// The round trip of an empty path, where it is known.
    pub fn round_trip(&self) -> Option<Duration> {
        self.base.times().map(|times| Duration::from_secs_f64(times.round_trip_ms / 1_000.0))
    }

    /// Bytes sent and not yet received.
    pub fn in_flight(&self) -> u64 {
        self.flight.bytes()
    }

    /// Bytes that a frame may take that is sent now; `None` where it is to wait, for a newer one to take its place.
    pub fn budget(&self, now: Duration) -> Option<u32> {
        let now_ms = ms(now);
        if self.is_emptying(now_ms) || now_ms - self.sent_ms < self.display.gap_ms() {
            return None;
        }
        let room = self.room(now_ms);
        if room >= LEAST_BYTES {
            return Some(room.min(self.burst_bytes()) as u32);
        }
        self.may_ask(now_ms).then_some(LEAST_BYTES as u32)
    }

    /// Bytes that a frame may take at most, however long it waits.
    pub(crate) fn most(&self) -> f64 {
        self.window().min(self.burst_bytes())
    }

    /// As [`Controller::budget`], for a picture that is the first of a larger size.
    pub(crate) fn budget_for_larger(&self, now: Duration) -> Option<u32> {
        let budget = self.budget(now)?;
        let room = self.estimate.expected().min(self.estimate.steady()) * LARGER_MS - self.flight.bytes() as f64;
        Some(budget.max(room.min(self.burst_bytes()).max(0.0) as u32))
    }

    /// Holds the plan of a frame at `now`, expected to take `needed_bytes` at the best quality of use, to the budget.
    pub(crate) fn bind(&self, plan: &mut Plan, needed_bytes: f64, is_larger: bool, now: Duration) {
        let budget_bytes = match self.silence(now) {
            Some(silence) if plan.keyframe => self.asking.first_bytes(ms(silence), self.estimate.long()),
            _ if is_larger => self.budget_for_larger(now).unwrap_or(LEAST_BYTES as u32),
            _ => self.budget(now).unwrap_or(LEAST_BYTES as u32),
        };
        (plan.frame_divisor, plan.link_bytes) = (1, Some(budget_bytes));
        match plan.reason {
            Reason::Reduction { budget_bytes: allowed, .. } if allowed <= budget_bytes => {}
            Reason::LinkHasRoom { .. } if f64::from(budget_bytes) > PLENTY * needed_bytes => {
                plan.budget_bytes = Some(budget_bytes);
            }
            _ => {
                let (rate_kbps, in_flight_bytes) = (self.rate_kbps(), self.in_flight());
                plan.reason = Reason::Window { rate_kbps, in_flight_bytes, budget_bytes };
                plan.budget_bytes = Some(budget_bytes);
                plan.target_bytes = Some((f64::from(budget_bytes) * AIM) as u32);
            }
        }
    }

    /// What is known of the network, in the words of declarations.
    pub fn conditions(&self) -> NetworkConditions {
        let (low, high) = (*limits::BANDWIDTH_KBPS.start(), *limits::BANDWIDTH_KBPS.end());
        let rtt_ms = self.round_trip_ms().clamp(*limits::RTT_MS.start(), *limits::RTT_MS.end());
        NetworkConditions::measured((self.estimate.steady() * 8.0).clamp(low, high), rtt_ms)
    }

    /// Part of the link that is used in the long run: as much as a mode takes of one that varies, and nearly all of a steady one.
    pub(crate) fn utilisation(&self) -> f64 {
        let varying = self.mode.utilisation();
        varying + self.estimate.variation().steadiness() * (STEADY_UTILISATION - varying)
    }

    /// When [`Controller::budget`] is worth asking again, if no receipt comes before.
    pub fn next_chance(&self, now: Duration) -> Duration {
        let silent_ms = self.flight.oldest_ms().map_or(0.0, |oldest_ms| oldest_ms + self.round_trip_ms());
        let chance_ms = silent_ms.max(self.sent_ms + least_gap_ms(self.frame_ms)).min(ms(now) + 50.0);
        now.max(Duration::from_secs_f64(chance_ms.max(0.0) / 1_000.0)) + Duration::from_millis(1)
    }

    /// A frame was sent.
    pub fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration) {
        let now_ms = ms(now);
        let room = self.room(now_ms);
        if room < LEAST_BYTES {
            self.asking.sent(f64::from(bytes));
        }
        let is_light = room >= LEAST_BYTES && f64::from(bytes) < LIGHT * room;
        self.flight.send(frame_number, bytes, is_light, now_ms);
        self.sent_ms = now_ms;
        self.emptying_ms = None;
    }

    /// A receipt came. One that says nothing new, or of a frame that wasn't sent, is nothing.
    pub fn received(&mut self, receipt: &Receipt, now: Duration) {
        let now_ms = ms(now);
        let Some(arrived) = self.flight.receive(receipt.frame_number, receipt.bytes, receipt.is_whole) else { return };
        let received_ms = ms(receipt.last_received);
        let since_receipt_ms = now_ms - self.receipt_ms;
        self.follow_clock(received_ms, since_receipt_ms);
        let times = Times { one_way_ms: received_ms - arrived.sent_ms, round_trip_ms: now_ms - arrived.sent_ms };
        if self.base.note(times, now_ms) {
            self.emptying_ms = Some(now_ms);
        }
        let queued_ms = times.one_way_ms - self.base.times().map_or(times.one_way_ms, |base| base.one_way_ms);
        let bytes = f64::from(arrived.bytes);
        let round_trip_ms = self.round_trip_ms();
        if arrived.after_a_hole {
            self.queue.note_loss(self.flight.bytes() as f64, round_trip_ms, now_ms);
        }
        self.queue.note(queued_ms, since_receipt_ms);
        let since_before_ms = received_ms - self.received_ms;
        let brought = Brought { bytes, is_light: arrived.is_light, received_ms, since_before_ms, queued_ms };
        self.estimate.take(&brought, now_ms, since_receipt_ms, round_trip_ms);
        self.asking.received(bytes);
        self.display.note(receipt);
        self.tells_parts |= !receipt.is_whole;
        self.proven_bytes += bytes;
        (self.receipt_ms, self.received_ms) = (now_ms, received_ms.max(self.received_ms));
    }

    /// Starts anew where the receiver's clock was set: what it says can't be held against what it said.
    fn follow_clock(&mut self, received_ms: f64, since_receipt_ms: f64) {
        let step_ms = (received_ms - self.received_ms - since_receipt_ms).abs();
        if self.estimate.receipts() > 0 && step_ms > CLOCK_STEP_MS + since_receipt_ms {
            self.base.forget();
            self.estimate.forget();
            self.received_ms = received_ms;
        }
    }

    /// Bytes that may go beside those in flight.
    fn room(&self, now_ms: f64) -> f64 {
        self.window() + self.untold(now_ms) - self.flight.bytes() as f64
    }

    /// Whether nothing is sent, so that the path is empty for once.
    fn is_emptying(&self, now_ms: f64) -> bool {
        let most_ms = EMPTYING_MS + 2.0 * self.round_trip_ms();
        self.flight.bytes() > 0 && self.emptying_ms.is_some_and(|since_ms| now_ms - since_ms <= most_ms)
    }

    /// Bytes that may be in flight.
    fn window(&self) -> f64 {
        let round_trip_ms = self.round_trip_ms();
        let target_ms = target_ms(self.mode, self.frame_ms, &self.estimate);
        let most = self.queue.bytes() + self.estimate.lowest() * round_trip_ms;
        (self.estimate.expected() * (target_ms + round_trip_ms)).min(most.min(self.proven_bytes))
    }

    /// Bytes in flight that were probably received by now, of a receiver that tells of whole frames only.
    fn untold(&self, now_ms: f64) -> f64 {
        if self.tells_parts || !self.is_measured() {
            return 0.0;
        }
        (self.estimate.expected() * (now_ms - self.receipt_ms)).min(f64::from(self.flight.oldest_bytes()))
    }

    /// Bytes of a frame that the queue takes at once.
    fn burst_bytes(&self) -> f64 {
        self.queue.burst(self.estimate.expected() * self.frame_ms)
    }

    fn round_trip_ms(&self) -> f64 {
        self.base.times().map_or(UNKNOWN_ROUND_TRIP_MS, |times| times.round_trip_ms)
    }

    /// For how long a link has been silent that a small frame at `now` would ask; `None` where there is room for others.
    pub(crate) fn silence(&self, now: Duration) -> Option<Duration> {
        let now_ms = ms(now);
        let silence_ms = self.silence_ms(self.flight.oldest_ms()?, now_ms);
        let asks = silence_ms > 0.0 && self.room(now_ms) < LEAST_BYTES;
        asks.then(|| Duration::from_secs_f64(silence_ms / 1_000.0))
    }

    /// Whether a small frame may be sent to hear of a link that is silent.
    fn may_ask(&self, now_ms: f64) -> bool {
        let Some(oldest_ms) = self.flight.oldest_ms() else { return true };
        if !self.is_measured() && now_ms - oldest_ms.max(self.receipt_ms) < FIRST_RECEIPT_MS {
            return false;
        }
        self.asking.may_go(self.silence_ms(oldest_ms, now_ms), now_ms - self.sent_ms, self.estimate.long())
    }

    /// For how long a receipt has been due of what was sent at `oldest_ms`; negative where it isn't yet.
    fn silence_ms(&self, oldest_ms: f64, now_ms: f64) -> f64 {
        now_ms - self.receipt_ms.max(oldest_ms + self.round_trip_ms())
    }
}

fn bytes_per_ms(network: &NetworkConditions) -> f64 {
    network.goodput_kbps() / 8.0
}

#[cfg(test)]
mod tests;
