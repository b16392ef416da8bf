//! Sprout's model of a link: what its rate may be, and what it will carry at least (Winstein et al., NSDI 2013).

/// Rates that are told apart, and the highest, packets a second.
const BINS: usize = 256;
const HIGHEST: f64 = 1000.0;
/// Length of a tick, seconds.
pub(super) const TICK_S: f64 = 0.02;
/// Ticks that are forecast.
pub(super) const TICKS: usize = 8;
/// How a rate wanders, packets a second per square root of a second.
const WANDER: f64 = 200.0;
/// How often an outage ends, a second.
const ESCAPES: f64 = 1.0;
/// Share of outcomes in which less comes than forecast.
const QUANTILE: f64 = 0.05;
/// Packets counted in [`TICKS`] ticks at most: what the highest rate carries, and half again.
const COUNTS: usize = 256;
/// Steps of a normal distribution that the rates on the way are taken at, each as likely.
const STEPS: [f64; 9] = [-1.593, -0.967, -0.589, -0.282, 0.0, 0.282, 0.589, 0.967, 1.593];

/// Probabilities of rates, and tables to forecast with.
#[derive(Clone, Debug)]
pub(super) struct Forecast {
    probabilities: Vec<f64>,
    /// How a rate spreads over its neighbours in a tick, from the lowest on.
    kernel: Vec<f64>,
    spread: Vec<f64>,
    /// For each number of ticks, count and rate: the probability of so many packets or fewer.
    fewer: Vec<f64>,
}

fn rate_of(bin: usize) -> f64 {
    bin as f64 * HIGHEST / (BINS - 1) as f64
}

impl Forecast {
    /// All rates are as likely.
    pub(super) fn new() -> Self {
        let deviation = WANDER * TICK_S.sqrt() / rate_of(1);
        let density = |bin: usize| (-0.5 * (bin as f64 / deviation).powi(2)).exp();
        let reach = (4.0 * deviation).ceil() as usize;
        let total: f64 = density(0) + 2.0 * (1..=reach).map(density).sum::<f64>();
        let kernel = (0..=2 * reach).map(|at| density(at.abs_diff(reach)) / total).collect();
        Self { probabilities: vec![1.0 / BINS as f64; BINS], kernel, spread: Vec::new(), fewer: tables() }
    }

    /// Lets a tick pass: rates wander, and what wanders below nothing is an outage.
    pub(super) fn evolve(&mut self) {
        let reach = self.kernel.len() / 2;
        self.spread.clear();
        self.spread.resize(BINS + 2 * reach, 0.0);
        let stays = (-ESCAPES * TICK_S).exp();
        let outage = self.probabilities.first().copied().unwrap_or_default() * stays;
        if let Some(first) = self.probabilities.first_mut() {
            *first -= outage;
        }
        for (bin, &probability) in self.probabilities.iter().enumerate() {
            for (target, share) in self.spread.iter_mut().skip(bin).zip(&self.kernel) {
                *target += probability * share;
            }
        }
        let (below, rest) = self.spread.split_at(reach);
        let (within, above) = rest.split_at(BINS);
        self.probabilities.copy_from_slice(within);
        if let Some(first) = self.probabilities.first_mut() {
            *first += outage + below.iter().sum::<f64>();
        }
        if let Some(last) = self.probabilities.last_mut() {
            *last += above.iter().sum::<f64>();
        }
    }

    /// `packets` came within so many seconds: each rate gets as likely as it makes that.
    pub(super) fn observe(&mut self, packets: f64, seconds: f64) {
        let log_likelihood = |bin: usize| {
            let mean = (rate_of(bin) * seconds).max(1e-3);
            packets * mean.ln() - mean
        };
        let most = (0..BINS).map(log_likelihood).fold(f64::NEG_INFINITY, f64::max);
        let mut total = 0.0;
        for (bin, probability) in self.probabilities.iter_mut().enumerate() {
            *probability = *probability * (log_likelihood(bin) - most).exp() + 1e-12;
            total += *probability;
        }
        self.probabilities.iter_mut().for_each(|probability| *probability /= total);
    }

    /// `packets` or more would have come within so many seconds, had there been more to carry.
    pub(super) fn observe_at_least(&mut self, packets: f64, seconds: f64) {
        let whole = packets.floor() as usize;
        let mut total = 0.0;
        for (bin, probability) in self.probabilities.iter_mut().enumerate() {
            let mean = rate_of(bin) * seconds;
            let (mut term, mut fewer) = ((-mean).exp(), 0.0);
            for count in 0..whole {
                fewer += term;
                term *= mean / (count + 1) as f64;
            }
            *probability = *probability * (1.0 - fewer).max(0.0) + 1e-12;
            total += *probability;
        }
        self.probabilities.iter_mut().for_each(|probability| *probability /= total);
    }

    /// Packets that come at least, but for one time in twenty, within each number of ticks from none to [`TICKS`].
    pub(super) fn cautious(&self) -> [f64; TICKS + 1] {
        let mut least = [0.0; TICKS + 1];
        for (table, least) in self.fewer.chunks_exact(BINS * COUNTS).zip(least.iter_mut().skip(1)) {
            let fewer = |count: usize| -> f64 {
                let row = table.get(count * BINS..).unwrap_or_default();
                row.iter().zip(&self.probabilities).map(|(fewer, probability)| fewer * probability).sum()
            };
            let (mut low, mut high) = (0, COUNTS - 1);
            while low < high {
                let middle = (low + high) / 2;
                if fewer(middle) >= QUANTILE { high = middle } else { low = middle + 1 }
            }
            *least = low as f64;
        }
        least
    }
}

/// For each number of ticks, count and rate: the probability of so many packets or fewer, over the ways the rate may wander.
fn tables() -> Vec<f64> {
    let mut fewer = vec![0.0; TICKS * BINS * COUNTS];
    for (ticks, table) in (1..).zip(fewer.chunks_exact_mut(BINS * COUNTS)) {
        let seconds = f64::from(ticks) * TICK_S;
        // Deviation of the time integral of a rate that wanders.
        let deviation = WANDER * (seconds.powi(3) / 3.0).sqrt();
        for bin in 0..BINS {
            for step in STEPS {
                let mean = if bin == 0 { 0.0 } else { (rate_of(bin) * seconds + step * deviation).max(0.0) };
                let mut probability = (-mean).exp();
                let mut sum = 0.0;
                for (count, cell) in table.iter_mut().skip(bin).step_by(BINS).enumerate() {
                    sum += probability;
                    *cell += sum.min(1.0) / STEPS.len() as f64;
                    probability *= mean / (count + 1) as f64;
                }
            }
        }
    }
    fewer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_link_is_known_after_a_second() {
        let mut forecast = Forecast::new();
        for _ in 0..100 {
            forecast.evolve();
            forecast.observe(8.0, TICK_S);
        }
        let total: f64 = forecast.probabilities.iter().sum();
        assert!((total - 1.0).abs() < 1e-9);
        let mean: f64 = forecast.probabilities.iter().enumerate().map(|(bin, share)| rate_of(bin) * share).sum();
        assert!((mean - 400.0).abs() < 25.0, "{mean}");
        let least = forecast.cautious();
        assert!(least.windows(2).all(|pair| pair[0] <= pair[1]), "{least:?}");
        // 40 packets in 100 ms, less what one time in twenty holds back.
        assert!((15.0..35.0).contains(&least[5]), "{least:?}");
    }

    #[test]
    fn an_outage_is_expected_to_last_and_not_for_ever() {
        let mut forecast = Forecast::new();
        for _ in 0..50 {
            forecast.evolve();
            forecast.observe(0.0, TICK_S);
        }
        assert_eq!(forecast.cautious()[TICKS], 0.0);
        for _ in 0..25 {
            forecast.evolve();
            forecast.observe(10.0, TICK_S);
        }
        assert!(forecast.cautious()[5] > 10.0);
    }
}
