//! One direction of a path: propagation, chance, a queue, and a trace that empties it (mahimahi's link_queue.cc, packet by
//! packet).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::codel::Codel;
use super::random::Random;
use super::trace::{OPPORTUNITY_BYTES, Opportunities, Trace};
use crate::error::Result;
use crate::limits::{self, JITTER_MS, QUEUE_PACKETS, RTT_MS};

/// Most that jitter adds, in deviations.
const MOST_DEVIATIONS: f64 = 3.0;

/// How packets get lost by chance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    /// None is.
    #[default]
    Never,
    /// Each by itself.
    Independent {
        /// Probability, 0..=1.
        probability: f64,
    },
    /// In bursts (Gilbert 1960, Elliott 1963): a link is good or bad, and may change with each packet.
    Bursts {
        /// Probability that a good link turns bad, 0..=1.
        to_bad: f64,
        /// Probability that a bad link turns good, 0..=1.
        to_good: f64,
        /// Probability that a bad link loses a packet, 0..=1.
        probability: f64,
    },
}

/// What a direction is like, beside its trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkConfig {
    /// Packets that may wait beside the one that is being served; none for any number.
    pub queue_packets: Option<u32>,
    /// Whether CoDel drops from the queue.
    pub codel: bool,
    /// Time from the sender to the queue.
    pub propagation: Duration,
    /// Deviation of what is added to the propagation: half a normal distribution, order-preserving.
    pub jitter: Duration,
    /// Loss by chance, on the way to the queue.
    pub loss: Loss,
}

impl Default for LinkConfig {
    /// 256 packets, 20 ms, nothing by chance.
    fn default() -> Self {
        Self {
            queue_packets: Some(256),
            codel: false,
            propagation: Duration::from_millis(20),
            jitter: Duration::ZERO,
            loss: Loss::Never,
        }
    }
}

impl LinkConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) with the field and its bounds.
    pub fn validate(&self) -> Result<()> {
        if let Some(packets) = self.queue_packets {
            limits::check("queue_packets", f64::from(packets), &QUEUE_PACKETS)?;
        }
        limits::check("propagation_ms", self.propagation.as_secs_f64() * 1000.0, &RTT_MS)?;
        limits::check("jitter_ms", self.jitter.as_secs_f64() * 1000.0, &JITTER_MS)?;
        let share = |field, value| limits::check(field, value, &(0.0..=1.0));
        match self.loss {
            Loss::Never => Ok(()),
            Loss::Independent { probability } => share("loss_probability", probability),
            Loss::Bursts { to_bad, to_good, probability } => {
                share("loss_to_bad", to_bad)?;
                share("loss_to_good", to_good)?;
                share("loss_probability", probability)
            }
        }
    }
}

/// What went through a link so far. Sent is lost, dropped, delivered or held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkTally {
    /// Bytes that the trace had room for.
    pub offered_bytes: u64,
    /// Bytes sent into it.
    pub sent_bytes: u64,
    /// Bytes of packets that came out of it.
    pub delivered_bytes: u64,
    /// Packets lost by chance.
    pub lost_packets: u64,
    /// Their bytes.
    pub lost_bytes: u64,
    /// Packets that the queue had no room for, or CoDel dropped.
    pub dropped_packets: u64,
    /// Their bytes.
    pub dropped_bytes: u64,
}

#[derive(Clone, Debug)]
struct Packet<T> {
    bytes: u32,
    /// When it comes to the queue.
    arrives_ms: u64,
    load: T,
}

/// One direction of a path, carrying packets with a load of any kind.
#[derive(Clone, Debug)]
pub struct Link<T> {
    config: LinkConfig,
    opportunities: Opportunities,
    random: Random,
    is_bad: bool,
    codel: Option<Codel>,
    /// On the way to the queue, in order of arrival.
    flying: VecDeque<Packet<T>>,
    queue: VecDeque<Packet<T>>,
    queued_bytes: u64,
    /// Partly through, and the bytes that are left of it.
    serving: Option<(Packet<T>, u32)>,
    tally: LinkTally,
}

impl<T> Link<T> {
    /// A link over a trace from its beginning.
    ///
    /// # Errors
    /// As [`LinkConfig::validate`].
    pub fn new(trace: Arc<Trace>, config: LinkConfig, seed: u64) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            config,
            opportunities: Opportunities::new(trace),
            random: Random::new(seed),
            is_bad: false,
            codel: config.codel.then(Codel::default),
            flying: VecDeque::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            serving: None,
            tally: LinkTally::default(),
        })
    }

    /// Sends a packet of at least one byte.
    pub fn send(&mut self, bytes: u32, load: T, now_ms: u64) {
        let bytes = bytes.max(1);
        self.tally.sent_bytes += u64::from(bytes);
        if self.is_lost() {
            self.tally.lost_packets += 1;
            self.tally.lost_bytes += u64::from(bytes);
            return;
        }
        let mut delay_ms = self.config.propagation.as_secs_f64() * 1000.0;
        if !self.config.jitter.is_zero() {
            let deviations = self.random.normal().abs().min(MOST_DEVIATIONS);
            delay_ms += deviations * self.config.jitter.as_secs_f64() * 1000.0;
        }
        let earliest_ms = self.flying.back().map_or(0, |before| before.arrives_ms);
        let arrives_ms = (now_ms + delay_ms.round() as u64).max(earliest_ms);
        self.flying.push_back(Packet { bytes, arrives_ms, load });
    }

    /// Lets a millisecond pass: packets come to the queue, then the trace's opportunities take from it. Appends the loads of
    /// those that are through.
    pub fn step(&mut self, now_ms: u64, delivered: &mut Vec<T>) {
        self.arrive(now_ms);
        let count = self.opportunities.take(now_ms);
        self.tally.offered_bytes += u64::from(count) * u64::from(OPPORTUNITY_BYTES);
        for _ in 0..count {
            if !self.serve(now_ms, delivered) {
                break;
            }
        }
    }

    /// What went through so far.
    pub fn tally(&self) -> &LinkTally {
        &self.tally
    }

    /// Bytes that wait in the queue, what is left of the one that is being served included.
    pub fn queued_bytes(&self) -> u64 {
        self.queued_bytes + self.serving.as_ref().map_or(0, |(_, left)| u64::from(*left))
    }

    /// Bytes of packets that are neither out nor gone.
    pub fn held_bytes(&self) -> u64 {
        let flying: u64 = self.flying.iter().map(|packet| u64::from(packet.bytes)).sum();
        flying + self.queued_bytes + self.serving.as_ref().map_or(0, |(packet, _)| u64::from(packet.bytes))
    }

    fn is_lost(&mut self) -> bool {
        match self.config.loss {
            Loss::Never => false,
            Loss::Independent { probability } => self.random.happens(probability),
            Loss::Bursts { to_bad, to_good, probability } => {
                let changes = self.random.happens(if self.is_bad { to_good } else { to_bad });
                self.is_bad ^= changes;
                self.is_bad && self.random.happens(probability)
            }
        }
    }

    fn arrive(&mut self, now_ms: u64) {
        while self.flying.front().is_some_and(|packet| packet.arrives_ms <= now_ms) {
            let Some(packet) = self.flying.pop_front() else { return };
            if self.config.queue_packets.is_some_and(|limit| self.queue.len() >= limit as usize) {
                self.drop_packet(packet.bytes);
            } else {
                self.queued_bytes += u64::from(packet.bytes);
                self.queue.push_back(packet);
            }
        }
    }

    /// Spends one opportunity; false where nothing was left to spend it on.
    fn serve(&mut self, now_ms: u64, delivered: &mut Vec<T>) -> bool {
        let mut room = OPPORTUNITY_BYTES;
        while room > 0 {
            let Some((packet, left)) = self.serving.take().or_else(|| self.dequeue(now_ms)) else { return false };
            let served = room.min(left);
            room -= served;
            if served < left {
                self.serving = Some((packet, left - served));
            } else {
                self.tally.delivered_bytes += u64::from(packet.bytes);
                delivered.push(packet.load);
            }
        }
        true
    }

    fn dequeue(&mut self, now_ms: u64) -> Option<(Packet<T>, u32)> {
        loop {
            let packet = self.queue.pop_front()?;
            self.queued_bytes -= u64::from(packet.bytes);
            let is_short = self.queued_bytes <= u64::from(OPPORTUNITY_BYTES);
            let waited_ms = now_ms.saturating_sub(packet.arrives_ms);
            if self.codel.as_mut().is_some_and(|codel| codel.drops(waited_ms, is_short, now_ms)) {
                self.drop_packet(packet.bytes);
            } else {
                let left = packet.bytes;
                return Some((packet, left));
            }
        }
    }

    fn drop_packet(&mut self, bytes: u32) {
        self.tally.dropped_packets += 1;
        self.tally.dropped_bytes += u64::from(bytes);
    }
}

#[cfg(test)]
mod tests;
