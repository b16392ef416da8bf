//! Days as people write them: `YYYY-MM-DD`, of the Gregorian calendar.

/// Days from 0000-03-01, where a calendar that begins its years in March begins, to 1970-01-01.
const EPOCH: i64 = 719_468;
/// Days in 400 years.
const ERA: i64 = 146_097;
/// Last day that is read: 9999-12-31.
const LAST: u32 = 2_932_896;

/// A day since 1970 from its date.
pub(crate) fn parse(text: &str) -> Option<u32> {
    let bytes = text.as_bytes();
    let [_, _, _, _, b'-', _, _, b'-', _, _] = bytes else { return None };
    let number = |range: std::ops::Range<usize>| {
        text.get(range.clone())?.bytes().all(|b| b.is_ascii_digit()).then(|| text.get(range)?.parse().ok())?
    };
    let day = days(number(0..4)?, number(5..7)?, number(8..10)?)?;
    // A day that doesn't exist comes back as another.
    (show(day) == text).then_some(day)
}

fn days(year: i64, month: i64, day: i64) -> Option<u32> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH;
    u32::try_from(days).ok().filter(|&days| days <= LAST)
}

/// A day's date.
pub(crate) fn show(day: u32) -> String {
    let (year, month, day) = civil(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The first day of a day's month.
pub(crate) fn month_start(day: u32) -> u32 {
    let (.., of_month) = civil(day);
    day.saturating_sub(u32::try_from(of_month - 1).unwrap_or(0))
}

fn civil(day: u32) -> (i64, i64, i64) {
    let days = i64::from(day) + EPOCH;
    let (era, of_era) = (days / ERA, days % ERA);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (era * 400 + year + i64::from(month <= 2), month, of_year - (153 * march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_comes_back() {
        for (text, day) in [("1970-01-01", 0), ("2000-02-29", 11_016), ("2026-11-21", 20_778), ("9999-12-31", LAST)] {
            assert_eq!((parse(text), show(day).as_str()), (Some(day), text));
        }
        for day in (0..200_000).chain(LAST - 1_000..=LAST) {
            assert_eq!(parse(&show(day)), Some(day));
        }
        assert_eq!(show(month_start(20_778)), "2026-11-01");
    }

    #[test]
    fn what_is_no_day_is_told() {
        for text in
            ["", "2026-02-29", "2026-13-01", "2026-00-10", "1969-12-31", "2026-1-01", "+026-01-01", "2026-01-01 "]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
