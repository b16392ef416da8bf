//! Senders by their names.

use std::sync::Arc;

use super::{Bbr, Copa, Fixed, Gcc, KeepAlive, Oracle, Salsify, Sprout, TigerVnc, TwoTimescale};
use crate::error::{Error, Result};
use crate::limits::{self, BITRATE_KBPS};
use crate::netem::{Sender, SimulationConfig};
use crate::rate::{Controller, Mode};

/// What is appended to a name for smallest frames in silence.
const KEEP_ALIVE: &str = "+keepalive";

/// What senders are made for.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The run they will be in.
    pub config: SimulationConfig,
    /// Bytes of the smallest frame.
    pub min_frame_bytes: u32,
    /// How daring those that can choose are.
    pub mode: Mode,
}

/// All names, our own first, a fixed rate by an example.
pub fn names() -> &'static [&'static str] {
    &[
        "auralink",
        "oracle",
        "fixed:25%",
        "fixed:50%",
        "gcc",
        "salsify",
        "salsify:50",
        "sprout",
        "sprout+keepalive",
        "copa",
        "copa+keepalive",
        "bbr",
        "tigervnc",
        "tigervnc+keepalive",
        "twotimescale:1.0",
        "twotimescale",
    ]
}

/// A sender by its name: one of [`names`], `fixed:KBPS`, `fixed:PERCENT%` of what the link carries on average,
/// `salsify:DELAY_MS`, `copa:DELTA` or `twotimescale:HEADROOM`; `+keepalive` behind any of them.
///
/// # Errors
/// [`Error::Unsupported`] for another name, [`Error::OutOfRange`] for a number out of bounds.
pub fn by_name(name: &str, setting: &Setting) -> Result<Box<dyn Sender>> {
    let min = setting.min_frame_bytes;
    if let Some(inner) = name.strip_suffix(KEEP_ALIVE) {
        return Ok(Box::new(KeepAlive::new(plain(inner, setting)?, min)));
    }
    plain(name, setting)
}

fn plain(name: &str, setting: &Setting) -> Result<Box<dyn Sender>> {
    let Setting { config, min_frame_bytes: min, mode } = setting;
    let (min, fps) = (*min, config.fps);
    let (kind, argument) = name.split_once(':').map_or((name, None), |(kind, argument)| (kind, Some(argument)));
    let number = |field, usual, range| argument.map_or(Ok(usual), |text| number(name, field, text, range));
    Ok(match (kind, argument) {
        ("auralink", None) => Box::new(Controller::new(*mode, fps, None)),
        ("oracle", None) => Box::new(Oracle::new(Arc::clone(&config.down), config.down_link.propagation, fps, min)),
        ("fixed", Some(argument)) => {
            let kbps = match argument.strip_suffix('%') {
                Some(percent) => {
                    self::number(name, "fixed_percent", percent, &(0.1..=1000.0))? / 100.0 * config.down.mean_kbps()
                }
                None => self::number(name, "fixed_kbps", argument, &BITRATE_KBPS)?,
            };
            Box::new(Fixed::new(kbps, fps))
        }
        ("gcc", None) => Box::new(Gcc::new(fps, min)),
        ("salsify", _) => Box::new(Salsify::new(number("salsify_delay_ms", 100.0, &(1.0..=1000.0))?, fps, min)),
        ("sprout", None) => Box::new(Sprout::new(min)),
        ("copa", _) => Box::new(Copa::new(number("copa_delta", 0.5, &(0.001..=10.0))?, fps, min)),
        ("bbr", None) => Box::new(Bbr::new(fps, min)),
        ("tigervnc", None) => Box::new(TigerVnc::new(min)),
        ("twotimescale", _) => {
            // Its authors' rules have smallest frames in silence among them.
            let inner = TwoTimescale::new(number("headroom", headroom(*mode), &(0.5..=3.0))?, min);
            Box::new(KeepAlive::new(inner, min))
        }
        _ => return Err(unknown(name)),
    })
}

/// What a short-term rate may be above the long-term one.
fn headroom(mode: Mode) -> f64 {
    match mode {
        Mode::Conservative => 1.0,
        Mode::Adaptive => 1.2,
        Mode::Aggressive => 1.3,
    }
}

fn number(name: &str, field: &'static str, text: &str, range: &std::ops::RangeInclusive<f64>) -> Result<f64> {
    let value = text.parse().map_err(|_| unknown(name))?;
    limits::check(field, value, range)?;
    Ok(value)
}

fn unknown(name: &str) -> Error {
    Error::Unsupported {
        field: "controller",
        value: name.to_owned(),
        supported: "auralink, oracle, fixed:KBPS, fixed:PERCENT%, gcc, salsify[:MS], sprout, copa[:DELTA], bbr, tigervnc, \
                    twotimescale[:HEADROOM], each with +keepalive",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netem::{ModelConfig, ModelSource, Report, Trace, simulate};

    fn setting(down: Trace, seconds: f64) -> Setting {
        let up = Arc::new(Trace::constant(4_000.0).unwrap());
        let config = SimulationConfig { seconds, ..SimulationConfig::new(Arc::new(down), up) };
        Setting { config, min_frame_bytes: 400, mode: Mode::Adaptive }
    }

    fn run(name: &str, setting: &Setting) -> Report {
        let mut sender = by_name(name, setting).unwrap();
        simulate(setting.config.clone(), &mut sender, &mut ModelSource::new(ModelConfig::default(), 1).unwrap())
            .unwrap()
    }

    #[test]
    fn every_sender_uses_a_steady_link() {
        let setting = setting(Trace::constant(4_000.0).unwrap(), 30.0);
        for name in names() {
            let report = run(name, &setting);
            let least = match *name {
                "fixed:25%" => 0.24,
                "fixed:50%" => 0.49,
                // Without probing it grows by 8 % a second.
                "gcc" => 0.25,
                _ => 0.9,
            };
            assert!(report.utilisation > least, "{name}: {}", report.utilisation);
            assert!(report.signal_delay_ms.p95 < 200.0, "{name}: {:?}", report.signal_delay_ms);
            assert!(report.shown_fps > 20.0, "{name}: {}", report.shown_fps);
        }
    }

    #[test]
    fn every_sender_goes_on_after_an_outage() {
        // Ten seconds in which nothing goes through, and ten in which something does.
        let text: String = (10_000..20_000).step_by(4).map(|ms| format!("{ms}\n")).collect();
        let mut setting = setting(Trace::parse(&text).unwrap(), 40.0);
        // What was shown in the last ten seconds is what the senders came back for.
        setting.config.warm_up_seconds = 30.0;
        for name in names() {
            let report = run(name, &setting);
            assert!(report.frames_shown > 20, "{name}: {} frames", report.frames_shown);
        }
    }

    #[test]
    fn keep_alives_show_something_while_only_the_way_back_is_silent() {
        let mut setting = setting(Trace::constant(4_000.0).unwrap(), 30.0);
        // A second of receipts, then two without.
        let text: String = (0..1_000).chain([3_000]).map(|ms| format!("{ms}\n")).collect();
        setting.config.up = Arc::new(Trace::parse(&text).unwrap());
        let plain = run("tigervnc", &setting);
        let alive = run("tigervnc+keepalive", &setting);
        assert!(alive.signal_delay_ms.p95 < 0.7 * plain.signal_delay_ms.p95, "{:?} {:?}", alive, plain);
    }

    #[test]
    fn keep_alives_dont_drown_a_thin_link() {
        let mut setting = setting(Trace::constant(64.0).unwrap(), 60.0);
        setting.min_frame_bytes = 1_000;
        let report = run("sprout+keepalive", &setting);
        assert!(report.frame_delay_ms.max < 1_500.0, "{:?}", report.frame_delay_ms);
    }

    #[test]
    fn names_are_read_or_refused() {
        let setting = setting(Trace::constant(1_000.0).unwrap(), 10.0);
        for name in names().iter().chain(&["fixed:300", "salsify:30", "copa:0.04", "bbr+keepalive"]) {
            assert!(by_name(name, &setting).is_ok(), "{name}");
        }
        for (name, field) in [
            ("", "controller"),
            ("cubic", "controller"),
            ("fixed", "controller"),
            ("fixed:x", "controller"),
            ("gcc:1", "controller"),
            ("fixed:0", "fixed_kbps"),
            ("fixed:NaN%", "fixed_percent"),
            ("salsify:0", "salsify_delay_ms"),
            ("twotimescale:9", "headroom"),
        ] {
            assert_eq!(by_name(name, &setting).err().unwrap().field(), field, "{name}");
        }
    }
}
