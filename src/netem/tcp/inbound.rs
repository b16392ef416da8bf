//! The receiving end of a connection: bytes in order, and what is said of those that aren't.

use std::collections::VecDeque;

use super::outbound::Segment;

/// Ranges beyond a hole that an acknowledgement tells of.
const BLOCKS: usize = 3;

/// What the receiver has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::netem) struct Ack {
    /// Everything before this offset.
    pub(super) until: u64,
    /// Ranges beyond it, the one with the newest segment first; empty ones where there are fewer.
    pub(super) blocks: [(u64, u64); BLOCKS],
    /// The timestamp of the segment that it answers.
    pub(super) echo_ms: u64,
}

/// Puts segments in order.
#[derive(Debug, Default)]
pub(in crate::netem) struct Inbound {
    until: u64,
    /// Ranges beyond a hole, ascending and apart.
    beyond: VecDeque<(u64, u64)>,
}

impl Inbound {
    /// Takes a segment.
    pub(in crate::netem) fn take(&mut self, segment: Segment) -> Ack {
        let (mut begin, mut end) = (segment.begin, segment.begin + u64::from(segment.bytes));
        self.beyond.retain(|&(first, last)| {
            let touches = first <= end && begin <= last;
            if touches {
                (begin, end) = (begin.min(first), end.max(last));
            }
            !touches
        });
        if begin <= self.until {
            self.until = self.until.max(end);
        } else {
            let at = self.beyond.partition_point(|range| range.0 < begin);
            self.beyond.insert(at, (begin, end));
        }
        let mut blocks = [(0, 0); BLOCKS];
        let newest = self.beyond.iter().filter(|range| range.0 == begin);
        let others = self.beyond.iter().rev().filter(|range| range.0 != begin);
        for (block, range) in blocks.iter_mut().zip(newest.chain(others)) {
            *block = *range;
        }
        Ack { until: self.until, blocks, echo_ms: segment.sent_ms }
    }

    /// Bytes that came in order.
    pub(in crate::netem) fn until(&self) -> u64 {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_told_and_filled() {
        let mut inbound = Inbound::default();
        let mut take = |begin, bytes| inbound.take(Segment { begin, bytes, sent_ms: begin });
        assert_eq!(take(0, 10), Ack { until: 10, blocks: [(0, 0); 3], echo_ms: 0 });
        assert_eq!(take(20, 10).blocks, [(20, 30), (0, 0), (0, 0)]);
        assert_eq!(take(50, 10).blocks, [(50, 60), (20, 30), (0, 0)]);
        assert_eq!(take(30, 10).blocks, [(20, 40), (50, 60), (0, 0)]);
        assert_eq!(take(40, 10), Ack { until: 10, blocks: [(20, 60), (0, 0), (0, 0)], echo_ms: 40 });
        assert_eq!(take(5, 5).until, 10);
        assert_eq!(take(10, 10), Ack { until: 60, blocks: [(0, 0); 3], echo_ms: 10 });
    }
}
