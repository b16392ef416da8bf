//! What a link can carry, millisecond by millisecond: opportunities to let 1500 bytes go, as mahimahi has them.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::limits::{self, TRACE_KBPS, TRACE_SECONDS};

/// Bytes that may leave at one opportunity.
pub const OPPORTUNITY_BYTES: u32 = 1500;
/// Bits of an opportunity, in thousandths: a rate in bit/s gives so many of them each millisecond.
const OPPORTUNITY_MILLIBITS: u64 = OPPORTUNITY_BYTES as u64 * 8 * 1000;

/// Opportunities in one millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    ms: u32,
    count: u32,
}

/// A link's opportunities, over and over again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Ascending in time, never empty.
    moments: Vec<Moment>,
    /// Time after which it repeats, at least 1: that of the last opportunity, or later.
    period_ms: u64,
}

/// A rate from a time on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// When it begins, seconds.
    pub from_s: f64,
    /// How much there is, kbit/s.
    pub kbps: f64,
}

impl Trace {
    /// Reads a file of either kind: one whole number a line is mahimahi's, two columns or more are times and rates.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the line at fault, [`Error::OutOfRange`] for times and rates beyond the limits.
    pub fn parse(text: &str) -> Result<Self> {
        let first = text.lines().next().unwrap_or_default();
        if columns(first).count() > 1 { Self::from_table(text) } else { Self::from_mahimahi(text) }
    }

    /// Reads mahimahi's text: each line is a time in ms, never less than the one before, at which 1500 bytes may leave.
    ///
    /// # Errors
    /// An empty file or line, something else than a whole number, a time before the last, or nothing but zeros.
    pub fn from_mahimahi(text: &str) -> Result<Self> {
        let longest_ms = (TRACE_SECONDS.end() * 1000.0) as u32;
        let mut moments: Vec<Moment> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line_number = index + 1;
            let Ok(ms) = line.trim().parse::<u64>().map(|ms| u32::try_from(ms).unwrap_or(u32::MAX)) else {
                return Err(malformed(format!("line {line_number}: {:?} is not a time in whole ms", shorten(line))));
            };
            if ms > longest_ms {
                return Err(malformed(format!("line {line_number}: {ms} ms is beyond {longest_ms} ms")));
            }
            match moments.last_mut() {
                Some(last) if ms < last.ms => {
                    return Err(malformed(format!("line {line_number}: {ms} ms comes after {} ms", last.ms)));
                }
                Some(last) if ms == last.ms => last.count = last.count.saturating_add(1),
                _ => moments.push(Moment { ms, count: 1 }),
            }
        }
        let Some(last) = moments.last() else { return Err(malformed("no line in it".to_owned())) };
        let period_ms = u64::from(last.ms);
        if period_ms == 0 {
            return Err(malformed("its last time is 0 ms, so it would repeat at once".to_owned()));
        }
        Ok(Self { moments, period_ms })
    }

    /// Reads rows of seconds and Mbit/s, separated by commas, spaces or tabs; further columns and empty lines are passed
    /// over. Each rate holds until the next row, the last as long as the one before it; time begins with the first row.
    ///
    /// # Errors
    /// As [`Trace::from_rates`], and text that isn't numbers, with its line.
    pub fn from_table(text: &str) -> Result<Self> {
        let mut rates = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let mut numbers = columns(line).map(str::parse::<f64>);
            let (Some(Ok(from_s)), Some(Ok(mbps))) = (numbers.next(), numbers.next()) else {
                let line_number = index + 1;
                return Err(malformed(format!("line {line_number}: {:?} is not seconds and Mbit/s", shorten(line))));
            };
            rates.push(Rate { from_s, kbps: mbps * 1000.0 });
        }
        let end_s = match rates.as_slice() {
            [.., before, last] => 2.0 * last.from_s - before.from_s,
            [only] => only.from_s + 1.0,
            [] => return Err(malformed("no row in it".to_owned())),
        };
        Self::from_rates(&rates, end_s)
    }

    /// The same rate for ever.
    ///
    /// # Errors
    /// A rate out of range.
    pub fn constant(kbps: f64) -> Result<Self> {
        // Twelve seconds hold a whole number of opportunities at any whole number of kbit/s.
        Self::from_rates(&[Rate { from_s: 0.0, kbps }], 12.0)
    }

    /// Rates one after another, from the first one's beginning until `end_s`, and then again.
    ///
    /// # Errors
    /// A time or rate out of range, times that don't ascend, or rates too low for a single opportunity.
    pub fn from_rates(rates: &[Rate], end_s: f64) -> Result<Self> {
        let begin_s = rates.first().map_or(0.0, |rate| rate.from_s);
        check_ascending(rates, end_s)?;
        limits::check("trace_seconds", end_s - begin_s, &TRACE_SECONDS)?;
        let mut moments = Vec::new();
        let mut millibits = 0;
        let mut ms = 0;
        for (index, rate) in rates.iter().enumerate() {
            limits::check("trace_kbps", rate.kbps, &TRACE_KBPS)?;
            let until_s = rates.get(index + 1).map_or(end_s, |next| next.from_s);
            let until_ms = ((until_s - begin_s) * 1000.0).round() as u64;
            let bps = (rate.kbps * 1000.0).round() as u64;
            while ms < until_ms {
                ms += 1;
                millibits += bps;
                let count = (millibits / OPPORTUNITY_MILLIBITS) as u32;
                millibits %= OPPORTUNITY_MILLIBITS;
                if count > 0 {
                    moments.push(Moment { ms: ms as u32, count });
                }
            }
        }
        if moments.is_empty() {
            return Err(malformed(format!("not one packet of {OPPORTUNITY_BYTES} bytes fits through it")));
        }
        Ok(Self { moments, period_ms: ms })
    }

    /// Time after which it repeats, ms.
    pub fn period_ms(&self) -> u64 {
        self.period_ms
    }

    /// What it carries on average, kbit/s.
    pub fn mean_kbps(&self) -> f64 {
        let count: u64 = self.moments.iter().map(|moment| u64::from(moment.count)).sum();
        count as f64 * f64::from(OPPORTUNITY_BYTES) * 8.0 / self.period_ms as f64
    }
}

/// Goes through a trace's opportunities, and through it again at its end.
#[derive(Clone, Debug)]
pub(super) struct Opportunities {
    trace: Arc<Trace>,
    next: usize,
    base_ms: u64,
}

impl Opportunities {
    pub(super) fn new(trace: Arc<Trace>) -> Self {
        Self { trace, next: 0, base_ms: 0 }
    }

    /// Opportunities until `now_ms` inclusive that weren't taken yet.
    pub(super) fn take(&mut self, now_ms: u64) -> u32 {
        let mut taken: u32 = 0;
        while let Some(moment) = self.trace.moments.get(self.next) {
            if self.base_ms + u64::from(moment.ms) > now_ms {
                break;
            }
            taken = taken.saturating_add(moment.count);
            self.next += 1;
            if self.next == self.trace.moments.len() {
                self.next = 0;
                self.base_ms += self.trace.period_ms;
            }
        }
        taken
    }
}

fn check_ascending(rates: &[Rate], end_s: f64) -> Result<()> {
    let ends = rates.iter().skip(1).map(|next| next.from_s).chain([end_s]);
    match rates.iter().zip(ends).position(|(rate, until_s)| until_s.is_nan() || until_s <= rate.from_s) {
        None => Ok(()),
        Some(index) => Err(malformed(format!("row {} doesn't come before what follows it", index + 1))),
    }
}

fn columns(line: &str) -> impl Iterator<Item = &str> {
    line.split([',', ' ', '\t', ';', '\r']).filter(|column| !column.is_empty())
}

/// A line as it is shown in a message.
fn shorten(line: &str) -> String {
    line.chars().take(40).collect()
}

fn malformed(detail: String) -> Error {
    Error::Malformed { what: "trace", detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opportunities of each of the first `until_ms` milliseconds.
    fn counts(trace: Trace, until_ms: u64) -> Vec<u32> {
        let mut opportunities = Opportunities::new(Arc::new(trace));
        (0..until_ms).map(|ms| opportunities.take(ms)).collect()
    }

    #[test]
    fn mahimahi_repeats_from_its_last_time() {
        let trace = Trace::parse("0\n2\n2\n5\n").unwrap();
        assert_eq!(trace.period_ms(), 5);
        // At 5 ms the last of one round and the first of the next fall together.
        assert_eq!(counts(trace, 13), [1, 0, 2, 0, 0, 2, 0, 2, 0, 0, 2, 0, 2]);
        assert_eq!(counts(Trace::parse("1").unwrap(), 4), [0, 1, 1, 1]);
        assert!((Trace::parse("1").unwrap().mean_kbps() - 12_000.0).abs() < 1e-9);
    }

    #[test]
    fn lines_at_fault_are_named() {
        for (text, told) in [
            ("", "no line"),
            ("0\n0\n", "last time is 0"),
            ("1\n\n2\n", "line 2: \"\""),
            ("1\n5\n4\n", "line 3: 4 ms comes after 5 ms"),
            ("1\n-2\n", "line 2: \"-2\""),
            ("7 8 x\nno\n", "line 2: \"no\""),
            ("1\n99999999999\n", "ms is beyond 7200000 ms"),
            ("0 1\n2 1\n1 1\n", "row 2 doesn't"),
            ("0 0\n1 0\n", "not one packet"),
            ("0 1\n1 NaN\n", "trace_kbps: NaN"),
            ("NaN 1\n1 1\n", "row 2 doesn't"),
            ("0 1\n1 -1\n", "trace_kbps: -1000 is outside"),
            ("0 1\n1e9 1\n", "trace_seconds: 2000000000 is outside"),
        ] {
            let error = Trace::parse(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text:?}: {error}");
        }
    }

    #[test]
    fn rates_become_opportunities_without_losing_a_bit() {
        // 12 Mbit/s are one a millisecond, 4 Mbit/s one in three.
        assert_eq!(counts(Trace::constant(12_000.0).unwrap(), 5), [0, 1, 1, 1, 1]);
        assert_eq!(counts(Trace::constant(4_000.0).unwrap(), 8), [0, 0, 0, 1, 0, 0, 1, 0]);
        for kbps in [64.0, 577.0, 3_333.0, 50_000.0, 1_234_567.0] {
            assert!((Trace::constant(kbps).unwrap().mean_kbps() / kbps - 1.0).abs() < 1e-9, "{kbps}");
        }
    }

    #[test]
    fn tables_hold_each_rate_until_the_next_row() {
        for text in ["10,12\n10.002,24\n10.004,0\n", "10 12 7\n\n10.002\t24\n10.004 0 x\r\n"] {
            let trace = Trace::parse(text).unwrap();
            assert_eq!(trace.period_ms(), 6);
            assert_eq!(counts(trace, 9), [0, 1, 1, 2, 2, 0, 0, 1, 1], "{text}");
        }
    }
}
