//! Round trips of a connection, and the retransmission timeout they make, as Linux reckons them (`tcp_rtt_estimator`).

/// The smoothed round trip and its variation, ms.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundTrip {
    /// What the variation counts for at least: a timeout is a round trip and this.
    least_ms: f64,
    smoothed_ms: Option<f64>,
    /// Four mean deviations, and the most of that in the round trip that runs.
    deviation_ms: f64,
    most_ms: f64,
    /// What a timeout is beyond a round trip: it grows at once, and shrinks once a round trip.
    variation_ms: f64,
    /// Where in the stream the round trip ends.
    ends_at: u64,
}

impl RoundTrip {
    pub(super) fn new(least_ms: u32) -> Self {
        Self { least_ms: least_ms.into(), ..Self::default() }
    }

    /// Takes a round trip; everything before `acknowledged` came, and everything before `next` was sent.
    pub(super) fn measure(&mut self, sample_ms: f64, acknowledged: u64, next: u64) {
        let Some(smoothed_ms) = self.smoothed_ms else {
            (self.smoothed_ms, self.deviation_ms) = (Some(sample_ms), 2.0 * sample_ms);
            self.variation_ms = self.deviation_ms.max(self.least_ms);
            (self.most_ms, self.ends_at) = (self.variation_ms, next);
            return;
        };
        let error_ms = sample_ms - smoothed_ms;
        self.smoothed_ms = Some(smoothed_ms + error_ms / 8.0);
        let change_ms = error_ms.abs() - self.deviation_ms / 4.0;
        // A round trip that shortens is no reason to wait longer.
        self.deviation_ms += if error_ms < 0.0 && change_ms > 0.0 { change_ms / 8.0 } else { change_ms };
        if self.deviation_ms > self.most_ms {
            self.most_ms = self.deviation_ms;
            self.variation_ms = self.variation_ms.max(self.most_ms);
        }
        if acknowledged > self.ends_at {
            self.variation_ms -= ((self.variation_ms - self.most_ms) / 4.0).max(0.0);
            (self.most_ms, self.ends_at) = (self.least_ms, next);
        }
    }

    pub(super) fn smoothed_ms(&self) -> f64 {
        self.smoothed_ms.unwrap_or_default()
    }

    /// How long to wait for an acknowledgement; none before a round trip is known.
    pub(super) fn timeout_ms(&self) -> Option<f64> {
        self.smoothed_ms.map(|smoothed_ms| smoothed_ms + self.variation_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_round_trip_is_remembered_for_several() {
        let mut round_trip = RoundTrip::new(200);
        assert_eq!(round_trip.timeout_ms(), None);
        let mut measure = |ms, round: u64| {
            round_trip.measure(ms, 10 * round, 10 * round + 5);
            round_trip.timeout_ms().unwrap()
        };
        (0..50).for_each(|round| assert!(measure(40.0, round) >= 240.0));
        assert_eq!(measure(40.0, 50), 240.0);
        let after = measure(1_040.0, 51);
        assert!(after > 1_100.0, "{after}");
        let later: Vec<f64> = (52..80).map(|round| measure(40.0, round)).collect();
        assert!(later[4] > 400.0 && later[27] < 260.0, "{later:?}");
    }
}
