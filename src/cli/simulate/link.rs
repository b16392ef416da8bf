//! Links by what the user names them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use auralink::netem::{LinkConfig, Loss, Rate, Trace};

use crate::cli::exit::Failure;

/// Largest trace that is read, bytes.
const MAX_TRACE_BYTES: u64 = 256 << 20;

/// A file, `const:KBPS`, or `steps:KBPS@SECONDS,...`.
pub(crate) fn parse(text: &str) -> Result<Arc<Trace>, String> {
    let trace = if let Some(kbps) = text.strip_prefix("const:") {
        Trace::constant(number(kbps)?)
    } else if let Some(steps) = text.strip_prefix("steps:") {
        let (rates, end_s) = steps_of(steps)?;
        Trace::from_rates(&rates, end_s)
    } else {
        Trace::parse(&read(Path::new(text))?)
    };
    trace.map(Arc::new).map_err(|error| error.to_string())
}

/// What a link is like beside its trace, as the user says it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) queue_packets: u32,
    pub(crate) codel: bool,
    pub(crate) rtt_ms: f64,
    pub(crate) loss_percent: f64,
    pub(crate) loss_burst: f64,
    pub(crate) jitter_ms: f64,
}

impl Shape {
    /// The way toward the receiver, and the way back.
    pub(crate) fn links(&self) -> Result<[LinkConfig; 2], Failure> {
        let link = LinkConfig {
            queue_packets: (self.queue_packets > 0).then_some(self.queue_packets),
            codel: self.codel,
            propagation: Duration::from_secs_f64(self.rtt_ms / 2000.0),
            jitter: Duration::from_secs_f64(self.jitter_ms / 1000.0),
            loss: Loss::Never,
        };
        Ok([LinkConfig { loss: self.loss()?, ..link }, link])
    }

    /// Bursts so long on average, so that as much is lost altogether.
    fn loss(&self) -> Result<Loss, Failure> {
        let share = self.loss_percent / 100.0;
        if !(1.0..=1000.0).contains(&self.loss_burst) {
            return Err(Failure::usage(format!("loss_burst: {} is outside 1..=1000", self.loss_burst)));
        }
        if share == 0.0 {
            return Ok(Loss::Never);
        }
        if self.loss_burst == 1.0 || share == 1.0 {
            return Ok(Loss::Independent { probability: share });
        }
        let to_good = 1.0 / self.loss_burst;
        let to_bad = to_good * share / (1.0 - share);
        if to_bad > 1.0 {
            let least = share / (1.0 - share);
            return Err(Failure::usage(format!(
                "loss_burst: {} is too short for {} % lost, which comes in bursts of at least {least:.1}",
                self.loss_burst, self.loss_percent
            )));
        }
        Ok(Loss::Bursts { to_bad, to_good, probability: 1.0 })
    }
}

fn read(path: &Path) -> Result<String, String> {
    let bytes = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if bytes > MAX_TRACE_BYTES {
        return Err(format!("{bytes} bytes are over the limit of {MAX_TRACE_BYTES}"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// Rates and the end of the last.
fn steps_of(text: &str) -> Result<(Vec<Rate>, f64), String> {
    let (mut rates, mut at_s) = (Vec::new(), 0.0);
    for step in text.split(',') {
        let (kbps, seconds) = step.split_once('@').ok_or_else(|| format!("\"{step}\" is not KBPS@SECONDS"))?;
        rates.push(Rate { from_s: at_s, kbps: number(kbps)? });
        at_s += number(seconds)?;
    }
    Ok((rates, at_s))
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_made_or_refused() {
        assert!((parse("const:4000").unwrap().mean_kbps() - 4000.0).abs() < 1e-6);
        let steps = parse("steps:8000@10,800@10").unwrap();
        assert_eq!((steps.period_ms(), steps.mean_kbps().round()), (20_000, 4_400.0));
        for (text, told) in [
            ("const:x", "not a number"),
            ("const:-1", "trace_kbps"),
            ("steps:8000", "KBPS@SECONDS"),
            ("steps:8000@0,1@1", "row 1"),
            ("no/such/file", "No such file"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
