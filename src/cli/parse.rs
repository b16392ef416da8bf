//! Values of arguments.

use std::time::Duration;

use auralink::limits;

/// `WIDTHxHEIGHT` in pixels.
pub(crate) fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once(['x', 'X']).and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let (width, height) = sides.ok_or("not WxH, such as 1280x720")?;
    limits::Limits::ENGINE.check_size(width, height).map_err(|error| error.to_string())?;
    Ok((width, height))
}

/// Frames a second.
pub(crate) fn fps(text: &str) -> Result<f64, String> {
    number("fps", text, &limits::FPS)
}

/// Fraction of the raw bytes to save.
pub(crate) fn reduction(text: &str) -> Result<f64, String> {
    number("target_reduction", text, &limits::TARGET_REDUCTION)
}

/// kbit/s of a link.
pub(crate) fn bandwidth_kbps(text: &str) -> Result<f64, String> {
    number("bandwidth_kbps", text, &limits::BANDWIDTH_KBPS)
}

/// Round-trip time, ms.
pub(crate) fn rtt_ms(text: &str) -> Result<f64, String> {
    number("rtt_ms", text, &limits::RTT_MS)
}

/// Packets lost, percent.
pub(crate) fn loss_percent(text: &str) -> Result<f64, String> {
    number("loss", text, &limits::LOSS_PERCENT)
}

/// Jitter, ms.
pub(crate) fn jitter_ms(text: &str) -> Result<f64, String> {
    number("jitter_ms", text, &limits::JITTER_MS)
}

/// kbit/s a file is coded for.
pub(crate) fn bitrate_kbps(text: &str) -> Result<f64, String> {
    number("bitrate_kbps", text, &limits::BITRATE_KBPS)
}

/// Time that coding a frame may take, ms.
pub(crate) fn deadline_ms(text: &str) -> Result<u32, String> {
    let value = text.parse().map_err(|_| "not a whole number".to_owned())?;
    if limits::DEADLINE_MS.contains(&value) {
        return Ok(value);
    }
    Err(format!("{value} is outside {}..={}", limits::DEADLINE_MS.start(), limits::DEADLINE_MS.end()))
}

/// Seconds of a demonstration.
pub(crate) fn demo_seconds(text: &str) -> Result<Duration, String> {
    number("seconds", text, &(1.0..=600.0)).map(Duration::from_secs_f64)
}

fn number(field: &'static str, text: &str, range: &std::ops::RangeInclusive<f64>) -> Result<f64, String> {
    let value = text.parse::<f64>().map_err(|_| "not a number".to_owned())?;
    limits::check(field, value, range).map_err(|error| error.to_string())?;
    Ok(value)
}
