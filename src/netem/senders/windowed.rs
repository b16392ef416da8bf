//! The least or largest of a window of time.

use std::collections::VecDeque;
use std::time::Duration;

/// Keeps the largest of the values of the last while; of negated values, the least.
#[derive(Clone, Debug, Default)]
pub(super) struct WindowedMax {
    /// Times ascend, values descend: what is older and not larger never matters again.
    values: VecDeque<(Duration, f64)>,
}

impl WindowedMax {
    pub(super) fn add(&mut self, value: f64, now: Duration, window: Duration) {
        while self.values.back().is_some_and(|(_, last)| *last <= value) {
            self.values.pop_back();
        }
        self.values.push_back((now, value));
        while self.values.front().is_some_and(|(at, _)| now.saturating_sub(*at) > window) {
            self.values.pop_front();
        }
    }

    pub(super) fn get(&self) -> Option<f64> {
        self.values.front().map(|(_, value)| *value)
    }
}

/// Keeps the least of the values of the last while.
#[derive(Clone, Debug, Default)]
pub(super) struct WindowedMin(WindowedMax);

impl WindowedMin {
    pub(super) fn add(&mut self, value: f64, now: Duration, window: Duration) {
        self.0.add(-value, now, window);
    }

    pub(super) fn get(&self) -> Option<f64> {
        self.0.get().map(|value| -value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_old_is_forgotten() {
        let window = Duration::from_secs(2);
        let (mut most, mut least) = (WindowedMax::default(), WindowedMin::default());
        let values = [3.0, 1.0, 2.0, 0.5, 4.0, 1.0, 1.0, 1.0];
        for (at, value) in (0..).zip(values) {
            most.add(value, Duration::from_secs(at), window);
            least.add(value, Duration::from_secs(at), window);
            let recent = &values[(at as usize).saturating_sub(2)..=at as usize];
            assert_eq!(most.get(), recent.iter().copied().reduce(f64::max), "{at}");
            assert_eq!(least.get(), recent.iter().copied().reduce(f64::min), "{at}");
        }
    }
}
