//! Links by what the user names them.

use std::path::Path;
use std::sync::Arc;

use auralink::netem::{Rate, Trace};

/// Largest trace that is read, bytes.
const MAX_TRACE_BYTES: u64 = 256 << 20;

/// A file, `const:KBPS`, or `steps:KBPS@SECONDS,...`.
pub(super) fn parse(text: &str) -> Result<Arc<Trace>, String> {
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
