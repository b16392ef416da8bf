//! When a frame may be sent, and how large, by what receipts tell of the link.
//!
//! A frame may take what the link is expected to deliver until it should be there, less what is on its way already:
//!
//! `budget = rate * (queue target + empty round trip) - in flight`
//!
//! The rate is the least of three: of the last moments, of a little longer, and a little over that of the last second, so that one
//! good moment of a wireless link isn't taken for its rate. Where it varies much, the queue target shrinks. Silence needs no rule
//! for the rate: what is in flight stays, and the budget is used up. But many outages are the receipts' alone, so small
//! frames go on at growing intervals: whatever the reason of the silence, one of them is there soon after it ends.

use std::time::Duration;

use crate::limits;
use crate::rate::base::{Base, Times};
use crate::rate::delivery::Delivery;
use crate::rate::flight::{Arrived, Flight};
use crate::rate::{Mode, NetworkConditions, Plan, Reason, Receipt};

/// Bytes of a packet on the wire, about: what a link delivers at a time.
const PACKET_BYTES: f64 = 1_500.0;
/// Bytes of a frame that is sent to hear of the link, and the least that is worth a frame.
const LEAST_BYTES: f64 = 400.0;
/// Bytes of such a frame, at most, where it begins a new picture.
const FIRST_TO_ASK_BYTES: f64 = 1_200.0;
/// Rate taken for granted where nothing is known: 480 kbit/s, in bytes a millisecond.
const UNKNOWN_RATE: f64 = 60.0;
/// Lowest rate that is believed, bytes a millisecond: 1.6 kbit/s.
const LEAST_RATE: f64 = 0.2;
/// Round trip taken for granted where nothing is known, ms.
const UNKNOWN_ROUND_TRIP_MS: f64 = 40.0;
/// Bytes that may be in flight at first, and as many more as were received since: nobody's link is worse for them, and a
/// declaration may be wrong.
const FIRST_BYTES: f64 = 2_400.0;
const FIRST_BYTES_DECLARED: f64 = 24_000.0;
/// Time that each of the first receipts has before another frame asks for it, ms.
const FIRST_RECEIPT_MS: f64 = 300.0;
/// Windows of the three rates, ms, and the factors on the longer two.
const SHORT_MS: f64 = 90.0;
const MIDDLE_MS: f64 = 150.0;
const LONG_MS: f64 = 1_250.0;
const OVER_MIDDLE: f64 = 1.04;
const OVER_LONG: f64 = 1.17;
/// A rate kept through so long is the link's, whatever it was before, ms.
const KEPT_MS: f64 = 250.0;
/// Factor by which a packet that met no queue speaks for a higher rate.
const PROBE: f64 = 1.4;
/// Factor by which the rate grows at most within a round trip, or from one receipt to the next, beyond that of the last second.
const GROWTH: f64 = 2.0;
/// Busy time between samples of the rate's variation, and over which it is judged, ms.
const VARIATION_MS: f64 = 50.0;
const VARIATION_MEMORY_MS: f64 = 2_000.0;
/// How strongly variation, as standard deviation over mean, shrinks the queue target, and the least that is reckoned with.
const CAUTION: f64 = 2.0;
const LEAST_VARIATION: f64 = 0.25;
/// Most bytes in flight beyond what the lowest rate of the last ten seconds carries away in a round trip: routers keep 256 packets
/// or more. Less of it where frames were lost in a queue.
const QUEUE_BYTES: f64 = 290_000.0;
const LEAST_QUEUE_BYTES: f64 = 60_000.0;
const LOSS_FACTOR: f64 = 0.75;
/// How fast it comes back, bytes a millisecond.
const QUEUE_GROWTH: f64 = 5.0;
/// Parts of that which a single frame may be, since it comes to the queue all at once: always, and where a frame interval carries
/// as much.
const BURST: f64 = 0.55;
const LONGEST_BURST: f64 = 0.8;
/// Queueing that makes a loss the queue's, ms, and the part of [`QUEUE_BYTES`] that must be in flight.
const LOSSY_QUEUE_MS: f64 = 10.0;
const FULL: f64 = 0.6;
/// Small frames under silence: the least gap between them, ms, and as a part of the silence so far (each takes room in a queue of
/// packets); how much of the rate they may take at first, and after how long that is halved, ms.
const SILENCE_GAP_MS: f64 = 41.0;
const SILENCE_GAP: f64 = 0.05;
const SILENCE_SHARE: f64 = 0.36;
const SILENCE_HALVING_MS: f64 = 2_900.0;
/// Rate that is taken for granted in silence, bytes a millisecond: a link that delivers in fits and starts has none to tell.
const LEAST_SILENT_RATE: f64 = 4.0;
/// Longest time that is spent on emptying a path, ms beside two round trips.
const EMPTYING_MS: f64 = 500.0;
/// Receipts over which the mean of their queueing is taken, and what of a frame interval it may be for the link to have time to spare.
const QUEUE_MEMORY: f64 = 50.0;
const SPARE: f64 = 0.6;
/// Steps of the receiver's clock against ours that make a new start, ms.
const CLOCK_STEP_MS: f64 = 5_000.0;
/// Seconds for which lowest rates are kept.
const LOWEST: usize = 10;
/// Over how long a rate is taken for steady, ms: one that falls, and one that rises.
const FALLING_MS: f64 = 1_500.0;
const RISING_MS: f64 = 5_000.0;
/// Fraction of its budget that a frame aims for, where the codec can aim.
const AIM: f64 = 0.92;
/// How many times what a frame is expected to need a budget must be so as not to limit it.
const PLENTY: f64 = 2.0;
/// How much later than at best a receiver shows a frame before it counts as falling behind, ms.
const LAGGING_MS: f64 = 25.0;

/// How much queue a mode takes for how much of the link, ms: what is to wait for the link when a frame is sent.
const fn queue_target_ms(mode: Mode) -> f64 {
    match mode {
        Mode::Conservative => 10.0,
        Mode::Adaptive => 42.5,
        Mode::Aggressive => 84.0,
    }
}

/// The sender's side of one stream: it is told of frames sent and receipts come, and says what the next frame may take. Times are
/// the caller's, from any beginning; receipts bring the receiver's. A value of fixed size, without a clock.
#[derive(Clone, Debug)]
pub struct Controller {
    mode: Mode,
    frame_ms: f64,
    flight: Flight,
    delivery: Delivery,
    base: Base,
    /// Receipts that brought news, and their bytes.
    receipts: u64,
    received_bytes: f64,
    first_bytes: f64,
    /// When the first receipt came, ms.
    heard_ms: f64,
    /// When the newest receipt came, by both clocks, ms.
    receipt_ms: f64,
    received_ms: f64,
    sent_ms: f64,
    /// Bytes a millisecond that are expected, and that the last second had.
    rate: f64,
    long_rate: f64,
    /// What is to be counted on for seconds.
    steady_rate: f64,
    variation: Variation,
    /// Lowest short rate in each of the last seconds, by the second modulo [`LOWEST`].
    lowest: [f64; LOWEST],
    lowest_second: u64,
    /// Of [`QUEUE_BYTES`], what losses left.
    queue_bytes: f64,
    shrunk_ms: f64,
    /// Queueing seen of late, ms: at most, and on average.
    queue_ms: f64,
    mean_queue_ms: f64,
    /// Whether receipts come of parts of frames.
    tells_parts: bool,
    /// Since when the path is being emptied, ms.
    emptying_ms: Option<f64>,
    /// Bytes sent to hear of a silent link, and not received yet.
    asked_bytes: f64,
    display: Display,
}

/// Mean and mean square of the rate over busy time.
#[derive(Clone, Copy, Debug, Default)]
struct Variation {
    bytes: f64,
    busy_ms: f64,
    mean: f64,
    mean_square: f64,
}

/// The pace of a receiver that shows frames later than they come.
#[derive(Clone, Copy, Debug, Default)]
struct Display {
    shown_ms: Option<f64>,
    least_lag_ms: Option<f64>,
    /// Least time between frames, ms.
    gap_ms: f64,
}

impl Controller {
    /// For a stream of `fps` frames a second, with what is declared of the network, if anything is.
    pub fn new(mode: Mode, fps: f64, declared: Option<&NetworkConditions>) -> Self {
        let rate = declared.map_or(UNKNOWN_RATE, bytes_per_ms);
        let mut lowest = [f64::INFINITY; LOWEST];
        lowest[0] = rate.min(UNKNOWN_RATE);
        Self {
            mode,
            frame_ms: 1_000.0 / fps,
            flight: Flight::new(),
            delivery: Delivery::new(),
            base: Base::new(),
            receipts: 0,
            received_bytes: 0.0,
            heard_ms: 0.0,
            first_bytes: declared.map_or(FIRST_BYTES, |_| FIRST_BYTES_DECLARED),
            receipt_ms: 0.0,
            received_ms: 0.0,
            sent_ms: f64::NEG_INFINITY,
            rate,
            long_rate: rate,
            steady_rate: rate,
            variation: Variation::default(),
            lowest,
            lowest_second: 0,
            queue_bytes: QUEUE_BYTES,
            shrunk_ms: f64::NEG_INFINITY,
            queue_ms: 0.0,
            mean_queue_ms: 0.0,
            tells_parts: false,
            emptying_ms: None,
            asked_bytes: 0.0,
            display: Display::default(),
        }
    }

    /// Another mode, or frame rate.
    pub fn reconfigure(&mut self, mode: Mode, fps: f64) {
        (self.mode, self.frame_ms) = (mode, 1_000.0 / fps);
    }

    /// Takes what is declared of the network as a first guess; the next receipts know better.
    pub fn declare(&mut self, network: &NetworkConditions) {
        self.rate = bytes_per_ms(network);
        if self.receipts == 0 {
            (self.long_rate, self.steady_rate, self.first_bytes) = (self.rate, self.rate, FIRST_BYTES_DECLARED);
        }
    }

    /// Whether receipts have told enough of the link for declarations not to matter.
    pub fn is_measured(&self) -> bool {
        self.receipts >= 3
    }

    /// What the link carried in the last second while it was busy, kbit/s.
    pub fn rate_kbps(&self) -> f64 {
        self.long_rate * 8.0
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
        if self.is_emptying(now_ms) || now_ms - self.sent_ms < self.display.gap_ms {
            return None;
        }
        let room = self.room(now_ms);
        if room >= LEAST_BYTES {
            return Some(room.min(self.burst()) as u32);
        }
        self.may_ask(now_ms).then_some(LEAST_BYTES as u32)
    }

    /// Bytes that a frame may take at most, however long it waits.
    pub(crate) fn most(&self) -> f64 {
        self.window().min(self.burst())
    }

    /// Holds the plan of a frame at `now`, expected to take `needed_bytes` at the best quality of use, to the budget.
    pub(crate) fn bind(&self, plan: &mut Plan, needed_bytes: f64, now: Duration) {
        let budget_bytes = match self.silence(now) {
            Some(silence) if plan.keyframe => self.first_to_ask(silence),
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
        NetworkConditions::measured((self.steady_rate * 8.0).clamp(low, high), rtt_ms)
    }

    /// When [`Controller::budget`] is worth asking again, if no receipt comes before.
    pub fn next_chance(&self, now: Duration) -> Duration {
        let silent_ms = self.flight.oldest_ms().map_or(0.0, |oldest_ms| oldest_ms + self.round_trip_ms());
        let chance_ms = silent_ms.max(self.sent_ms + SILENCE_GAP_MS.min(self.frame_ms)).min(ms(now) + 50.0);
        now.max(Duration::from_secs_f64(chance_ms.max(0.0) / 1_000.0)) + Duration::from_millis(1)
    }

    /// A frame was sent.
    pub fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration) {
        let now_ms = ms(now);
        if self.room(now_ms) < LEAST_BYTES {
            self.asked_bytes += f64::from(bytes);
        }
        self.flight.send(frame_number, bytes, now_ms);
        self.sent_ms = now_ms;
        self.emptying_ms = None;
    }

    /// A receipt came. One that says nothing new, or of a frame that wasn't sent, is nothing.
    pub fn received(&mut self, receipt: &Receipt, now: Duration) {
        let now_ms = ms(now);
        let is_first = self.receipts == 0;
        let Some(arrived) = self.flight.receive(receipt.frame_number, receipt.bytes, receipt.is_whole) else { return };
        let received_ms = ms(receipt.last_received);
        let (ours_ms, theirs_ms) = (now_ms - self.receipt_ms, received_ms - self.received_ms);
        if !is_first && (theirs_ms - ours_ms).abs() > CLOCK_STEP_MS + ours_ms {
            // The receiver's clock was set: what it says can't be held against what it said.
            self.base.forget();
            self.delivery = Delivery::new();
            self.received_ms = received_ms;
        }
        let times = Times { one_way_ms: received_ms - arrived.sent_ms, round_trip_ms: now_ms - arrived.sent_ms };
        if self.base.note(times, now_ms) {
            self.emptying_ms = Some(now_ms);
        }
        let queued_ms = times.one_way_ms - self.base.times().map_or(times.one_way_ms, |base| base.one_way_ms);
        if arrived.after_a_hole {
            self.shrink_for_loss(now_ms);
        }
        self.queue_ms = queued_ms.max(0.97 * self.queue_ms);
        self.mean_queue_ms += (queued_ms - self.mean_queue_ms) / QUEUE_MEMORY;
        if is_first {
            self.heard_ms = now_ms;
        }
        self.count_delivery(&arrived, received_ms, queued_ms, is_first);
        self.display.note(receipt);
        self.tells_parts |= !receipt.is_whole;
        self.receipts += 1;
        self.received_bytes += f64::from(arrived.bytes);
        (self.receipt_ms, self.received_ms) = (now_ms, received_ms.max(self.received_ms));
        self.asked_bytes = (self.asked_bytes - f64::from(arrived.bytes)).max(0.0);
        self.estimate(now_ms, ours_ms);
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
        let target_ms = queue_target_ms(self.mode) / (1.0 + CAUTION * self.variation.relative().max(LEAST_VARIATION));
        let lowest = self.lowest.iter().copied().fold(self.rate, f64::min);
        let most = (self.queue_bytes + lowest * self.round_trip_ms()).min(self.first_bytes + self.received_bytes);
        (self.rate * (target_ms + self.round_trip_ms())).min(most)
    }

    /// Bytes in flight that were probably received by now, of a receiver that tells of whole frames only.
    fn untold(&self, now_ms: f64) -> f64 {
        if self.tells_parts || !self.is_measured() {
            return 0.0;
        }
        (self.rate * (now_ms - self.receipt_ms)).min(f64::from(self.flight.oldest_bytes()))
    }

    /// Bytes of a frame that a queue takes at once, and the link within its frame interval.
    fn burst(&self) -> f64 {
        let [usual, most] = [BURST, LONGEST_BURST].map(|part| part * self.queue_bytes);
        usual.max((1.3 * self.rate * self.frame_ms).min(most))
    }

    fn round_trip_ms(&self) -> f64 {
        self.base.times().map_or(UNKNOWN_ROUND_TRIP_MS, |times| times.round_trip_ms)
    }

    /// Whether frames are usually through before the next one comes: whatever the rate is held for, the link would carry more.
    pub(crate) fn has_time_to_spare(&self) -> bool {
        self.mean_queue_ms <= SPARE * self.frame_ms
    }

    /// For how long a link has been silent that a small frame at `now` would ask; `None` where there is room for others.
    pub(crate) fn silence(&self, now: Duration) -> Option<Duration> {
        let now_ms = ms(now);
        let oldest_ms = self.flight.oldest_ms().filter(|_| self.room(now_ms) < LEAST_BYTES)?;
        let silence_ms = now_ms - self.receipt_ms.max(oldest_ms + self.round_trip_ms());
        (silence_ms > 0.0).then(|| Duration::from_secs_f64(silence_ms / 1_000.0))
    }

    /// Whether a small frame may be sent to hear of a link that is silent.
    fn may_ask(&self, now_ms: f64) -> bool {
        let Some(oldest_ms) = self.flight.oldest_ms() else { return true };
        if !self.is_measured() && now_ms - oldest_ms.max(self.receipt_ms) < FIRST_RECEIPT_MS {
            return false;
        }
        let silence_ms = now_ms - self.receipt_ms.max(oldest_ms + self.round_trip_ms());
        if silence_ms <= 0.0 || now_ms - self.sent_ms < SILENCE_GAP_MS.max(SILENCE_GAP * silence_ms) {
            return false;
        }
        self.asked_bytes <= self.may_have_asked(silence_ms)
    }

    /// Bytes that may have been sent in a silence to hear of it.
    fn may_have_asked(&self, silence_ms: f64) -> f64 {
        let share_ms = SILENCE_SHARE * SILENCE_HALVING_MS * (1.0 + silence_ms / SILENCE_HALVING_MS).ln();
        self.long_rate.max(LEAST_SILENT_RATE) * share_ms
    }

    /// Bytes that a frame may take in a silence that begins a new picture.
    fn first_to_ask(&self, silence: Duration) -> u32 {
        (self.may_have_asked(ms(silence)) - self.asked_bytes).clamp(LEAST_BYTES, FIRST_TO_ASK_BYTES) as u32
    }

    /// Takes the bytes of a receipt, and the time for which the link was busy with them.
    fn count_delivery(&mut self, arrived: &Arrived, received_ms: f64, queued_ms: f64, is_first: bool) {
        let bytes = f64::from(arrived.bytes);
        // Since they reached the link, or since it was done with those before.
        let since_receipt_ms = received_ms - self.received_ms;
        let mut busy_ms = queued_ms.min(since_receipt_ms).max(0.0);
        let grace_ms = (PACKET_BYTES / self.long_rate.max(LEAST_RATE)).min(200.0);
        if is_first {
            busy_ms = bytes / self.rate;
        } else if queued_ms < since_receipt_ms {
            // They met no queue, so how long they took tells of the link's beat and not of its rate, unless it is very long.
            busy_ms = (busy_ms - grace_ms).max(bytes / (PROBE * self.rate));
        }
        self.delivery.add(received_ms, bytes, busy_ms);
        self.variation.note(bytes, busy_ms);
    }

    /// What the link is expected to carry.
    fn estimate(&mut self, now_ms: f64, since_receipt_ms: f64) {
        let over = |ms: f64| self.delivery.rate(ms).unwrap_or(self.rate);
        let short = over(SHORT_MS);
        let long = over(LONG_MS).max(self.delivery.kept(KEPT_MS).unwrap_or(0.0));
        let expected = short.min(OVER_MIDDLE * over(MIDDLE_MS)).min(OVER_LONG * long);
        let round_trips = since_receipt_ms.max(0.0) / self.round_trip_ms().max(1.0);
        let grown = self.rate * GROWTH.powf(round_trips.min(1.0));
        let is_warm = self.receipts > 30;
        self.rate = expected.min(if is_warm { grown.max(long) } else { grown }).max(LEAST_RATE);
        self.queue_bytes = (self.queue_bytes + QUEUE_GROWTH * since_receipt_ms.clamp(0.0, 1_000.0)).min(QUEUE_BYTES);
        self.long_rate = long;
        // No longer than there has been anything to remember.
        let memory_ms = if long < self.steady_rate { FALLING_MS } else { RISING_MS }.min(now_ms - self.heard_ms);
        let speed = if memory_ms > since_receipt_ms { since_receipt_ms.max(0.0) / memory_ms } else { 1.0 };
        self.steady_rate += speed * (long - self.steady_rate);
        self.note_lowest(short, now_ms);
    }

    fn note_lowest(&mut self, rate: f64, now_ms: f64) {
        let second = (now_ms / 1_000.0) as u64;
        let passed = second.saturating_sub(self.lowest_second).min(LOWEST as u64);
        for old in 0..passed {
            self.lowest[((second - old) % LOWEST as u64) as usize] = f64::INFINITY;
        }
        self.lowest_second = self.lowest_second.max(second);
        let lowest = &mut self.lowest[(second % LOWEST as u64) as usize];
        *lowest = lowest.min(rate);
    }

    /// A frame never came: where it was lost in a queue, less goes into it from now on.
    fn shrink_for_loss(&mut self, now_ms: f64) {
        let may_overflow = self.flight.bytes() as f64 > FULL * self.queue_bytes && self.queue_ms > LOSSY_QUEUE_MS;
        if may_overflow && now_ms - self.shrunk_ms > 100.0 + self.round_trip_ms() {
            self.queue_bytes = (LOSS_FACTOR * self.queue_bytes).max(LEAST_QUEUE_BYTES);
            self.shrunk_ms = now_ms;
        }
    }
}

impl Variation {
    fn note(&mut self, bytes: f64, busy_ms: f64) {
        self.bytes += bytes;
        self.busy_ms += busy_ms;
        if self.busy_ms >= VARIATION_MS {
            let rate = self.bytes / self.busy_ms;
            let speed = (self.busy_ms / VARIATION_MEMORY_MS).min(1.0);
            self.mean += speed * (rate - self.mean);
            self.mean_square += speed * (rate * rate - self.mean_square);
            (self.bytes, self.busy_ms) = (0.0, 0.0);
        }
    }

    /// Standard deviation over mean.
    fn relative(&self) -> f64 {
        if self.mean > 0.0 { (self.mean_square - self.mean * self.mean).max(0.0).sqrt() / self.mean } else { 0.0 }
    }
}

impl Display {
    /// Keeps frames apart as far as a receiver needs that falls behind showing them.
    fn note(&mut self, receipt: &Receipt) {
        let Some(shown_ms) = receipt.displayed.filter(|_| receipt.is_whole).map(ms) else { return };
        let lag_ms = shown_ms - ms(receipt.last_received);
        let least_lag_ms = self.least_lag_ms.map_or(lag_ms, |least_ms| least_ms.min(lag_ms));
        let interval_ms = self.shown_ms.map_or(0.0, |before_ms| (shown_ms - before_ms).clamp(0.0, 1_000.0));
        self.gap_ms =
            if lag_ms - least_lag_ms > LAGGING_MS { self.gap_ms.max(1.1 * interval_ms) } else { 0.97 * self.gap_ms };
        (self.shown_ms, self.least_lag_ms) = (Some(shown_ms), Some(least_lag_ms));
    }
}

fn bytes_per_ms(network: &NetworkConditions) -> f64 {
    network.goodput_kbps() / 8.0
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

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
        assert!(
            played[0].2 < played[1].2 && played[1].2 < played[2].2,
            "{:?}",
            played.map(|(_, _, queue_ms)| queue_ms)
        );
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
}
