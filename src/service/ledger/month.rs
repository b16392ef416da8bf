//! Bytes of packets in the current month, of the callers that have a budget of them: the others' are the store's to tell.

use std::collections::HashMap;

use super::date;
use super::record::{day_of, now_ms};

/// Days that a month may have begun later than it has: a clock that goes back by more was wrong before.
const CLOCK_DAYS: u32 = 31;

/// See the [module](self). As large as the number of budgets.
#[derive(Debug, Default)]
pub(super) struct Month {
    first_day: u32,
    bytes: HashMap<String, u64>,
}

impl Month {
    /// The first day of this month, since 1970, UTC.
    pub(super) fn begins() -> u32 {
        date::month_start(day_of(now_ms()))
    }

    /// Counts a caller's bytes, where it has a budget.
    pub(super) fn add(&mut self, caller: &str, bytes: u64) {
        self.turn_to(Self::begins());
        if let Some(known) = self.bytes.get_mut(caller) {
            *known += bytes;
        }
    }

    /// Bytes of a caller with a budget so far.
    pub(super) fn used(&mut self, caller: &str) -> u64 {
        self.turn_to(Self::begins());
        self.bytes.get(caller).copied().unwrap_or(0)
    }

    /// Takes over what the store knows of callers with a budget. Ours may be ahead by what waits to be written, the store's by what
    /// others have written.
    pub(super) fn learn(&mut self, sums: impl IntoIterator<Item = (String, u64)>) {
        self.turn_to(Self::begins());
        for (caller, bytes) in sums {
            let known = self.bytes.entry(caller).or_default();
            *known = bytes.max(*known);
        }
    }

    /// Only these callers have a budget.
    pub(super) fn keep(&mut self, has_budget: impl Fn(&str) -> bool) {
        self.bytes.retain(|caller, _| has_budget(caller));
    }

    /// Begins anew where the month has ended. A clock that is set back a little doesn't begin the month before again, whose bytes
    /// would then be forgotten.
    fn turn_to(&mut self, first_day: u32) {
        if first_day > self.first_day || first_day + CLOCK_DAYS < self.first_day {
            self.first_day = first_day;
            self.bytes.values_mut().for_each(|bytes| *bytes = 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_forgets_nothing_of_the_month() {
        let (march, april) = (date::month_start(20_540), date::month_start(20_550));
        assert_eq!(april - march, 31);
        let mut month = Month::default();
        month.turn_to(april);
        month.bytes.insert("ann".to_owned(), 7);
        // An hour back, at the beginning of the month, and forth again.
        month.turn_to(march);
        month.turn_to(april);
        assert_eq!(month.bytes["ann"], 7);
        month.turn_to(april + 30);
        assert_eq!(month.bytes["ann"], 0);
        // It was set to another year by mistake.
        month.turn_to(april + 3_650);
        month.bytes.insert("ann".to_owned(), 7);
        month.turn_to(april);
        assert_eq!((month.bytes["ann"], month.first_day), (0, april));
    }

    #[test]
    fn a_million_callers_without_a_budget_take_no_memory() {
        let mut month = Month::default();
        month.learn([("ann".to_owned(), 5), ("bob".to_owned(), 0)]);
        for caller in 0..1_000_000 {
            month.add(&caller.to_string(), 1);
        }
        month.add("ann", 2);
        month.learn([("ann".to_owned(), 6)]);
        assert_eq!((month.used("ann"), month.used("bob"), month.bytes.len()), (7, 0, 2));
        month.keep(|caller| caller == "bob");
        assert_eq!(month.bytes.len(), 1);
    }
}
