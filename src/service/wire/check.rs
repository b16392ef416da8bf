//! Every bound a message has, checked together so that a caller hears of all faults at once.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use validator::{Validate, ValidationError, ValidationErrors, ValidationErrorsKind};

use crate::limits::{self, Limits};
use crate::service::proto;
use crate::service::refusal::{Refusal, Violation, join};

/// Whether a number lies in its range, which NaN never does.
pub(super) fn within(value: f64, range: &RangeInclusive<f64>) -> Result<(), ValidationError> {
    if range.contains(&value) {
        return Ok(());
    }
    // Three hundred digits help nobody.
    let value = if value.abs() < 1e12 { value.to_string() } else { format!("{value:e}") };
    let told = format!("{value} is outside {}..={}", range.start(), range.end());
    Err(ValidationError::new("range").with_message(Cow::Owned(told)))
}

/// The ranges of single numbers, as the derives below name them.
mod range {
    use super::{ValidationError, limits, within};

    macro_rules! ranges {
        ($($name:ident: $range:expr;)*) => {
            $(pub(super) fn $name(value: f64) -> Result<(), ValidationError> {
                within(value, &$range)
            })*
        };
    }

    ranges! {
        bandwidth_kbps: limits::BANDWIDTH_KBPS;
        rtt_ms: limits::RTT_MS;
        loss_percent: limits::LOSS_PERCENT;
        jitter_ms: limits::JITTER_MS;
        score: 0.0..=1.0;
        fps: limits::FPS;
        target_reduction: limits::TARGET_REDUCTION;
        min_quality: limits::MIN_QUALITY;
        max_latency_ms: limits::MAX_LATENCY_MS;
    }
}

/// A network declared by its numbers.
#[derive(Validate)]
pub(crate) struct NetworkNumbers {
    #[validate(custom(function = "range::bandwidth_kbps"))]
    bandwidth_kbps: f64,
    #[validate(custom(function = "range::rtt_ms"))]
    rtt_ms: f64,
    #[validate(custom(function = "range::loss_percent"))]
    packet_loss_percent: f64,
    #[validate(custom(function = "range::jitter_ms"))]
    jitter_ms: f64,
}

/// A network declared by its score.
#[derive(Validate)]
pub(crate) struct NetworkScore {
    #[validate(custom(function = "range::score"))]
    network_condition: f64,
}

/// The numbers of `open`, with 0 replaced by what it stands for.
#[derive(Validate)]
pub(crate) struct OpenNumbers {
    #[validate(custom(function = "range::fps"))]
    pub(crate) fps: f64,
    #[validate(custom(function = "range::target_reduction"))]
    pub(crate) target_reduction: Option<f64>,
    #[validate(custom(function = "range::max_latency_ms"))]
    pub(crate) max_latency_ms: f64,
    #[validate(custom(function = "range::min_quality"))]
    pub(crate) min_quality: Option<f64>,
    #[validate(range(min = 1, max = 8, message = "1..=8"))]
    pub(crate) window: u32,
}

/// The numbers of `reconfigure`.
#[derive(Validate)]
pub(crate) struct ChangeNumbers {
    #[validate(custom(function = "range::target_reduction"))]
    pub(crate) target_reduction: Option<f64>,
    #[validate(custom(function = "range::min_quality"))]
    pub(crate) min_quality: Option<f64>,
    #[validate(custom(function = "range::fps"))]
    pub(crate) fps: Option<f64>,
}

/// The numbers of a single frame's order, with 0 replaced by what it stands for.
#[derive(Validate)]
pub(crate) struct StillNumbers {
    #[validate(range(min = 1, max = 100, message = "1..=100"))]
    pub(crate) quality: u32,
}

/// The numbers of a watch.
#[derive(Validate)]
pub(crate) struct WatchNumbers {
    #[validate(range(min = 100, max = 60_000, message = "100..=60000"))]
    pub(crate) interval_ms: u32,
}

/// The numbers of a hint, with 0 replaced by what it stands for.
#[derive(Validate)]
pub(crate) struct HintNumbers {
    #[validate(custom(function = "range::fps"))]
    pub(crate) fps: f64,
}

/// Faults found so far.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Violation>);

impl Faults {
    pub(crate) fn push(&mut self, part: &str, field: &str, description: impl Into<String>) {
        self.0.push(Violation { field: join(part, field), description: description.into() });
    }

    /// Adds the faults of a derived check.
    pub(crate) fn absorb(&mut self, part: &str, checked: &impl Validate) {
        self.0.extend(violations_of(checked, part));
    }

    /// Adds what the engine has against a field.
    pub(crate) fn note<T>(&mut self, part: &str, result: crate::error::Result<T>) -> Option<T> {
        result.map_err(|error| self.0.push(Violation::engine(part, &error))).ok()
    }

    /// Adds what is wrong with a picture's size.
    pub(crate) fn size(&mut self, part: &str, limits: &Limits, width: u32, height: u32) {
        let range = |min, max| f64::from(min)..=f64::from(max);
        self.note(part, limits::check("width", width.into(), &range(limits.min_width, limits.max_width)));
        self.note(part, limits::check("height", height.into(), &range(limits.min_height, limits.max_height)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a refusal's faults.
    pub(crate) fn take<T>(&mut self, result: Result<T, Refusal>) -> Option<T> {
        result.map_err(|refusal| self.0.extend(refusal.violations)).ok()
    }

    /// `value`, if nothing was found.
    pub(crate) fn into_result<T>(self, value: Option<T>) -> Result<T, Refusal> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Refusal::invalid(self.0)),
        }
    }
}

/// The faults of a derived check, as paths under `part`, in the order of their names.
pub(crate) fn violations_of(checked: &impl Validate, part: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Err(errors) = checked.validate() {
        flatten(&errors, part, &mut found);
    }
    found.sort_by(|a, b| a.field.cmp(&b.field));
    found
}

fn flatten(errors: &ValidationErrors, part: &str, found: &mut Vec<Violation>) {
    for (field, kind) in errors.errors() {
        let path = join(part, field);
        match kind {
            ValidationErrorsKind::Struct(inner) => flatten(inner, &path, found),
            ValidationErrorsKind::List(list) => {
                list.iter().for_each(|(index, inner)| flatten(inner, &format!("{path}[{index}]"), found));
            }
            ValidationErrorsKind::Field(faults) => {
                let told = faults.iter().map(|fault| Violation { field: path.clone(), description: describe(fault) });
                found.extend(told);
            }
        }
    }
}

/// The value and the limit, in words.
fn describe(fault: &ValidationError) -> String {
    let limit = fault.message.as_deref().unwrap_or(&fault.code);
    match fault.params.get("value") {
        Some(value) if fault.code == "range" && !limit.contains("outside") => format!("{value} is outside {limit}"),
        _ => limit.to_owned(),
    }
}

/// A network's faults, under `part`.
pub(crate) fn network_faults(network: &proto::NetworkConditions, part: &str, faults: &mut Faults) {
    match network.network_condition {
        Some(network_condition) => faults.absorb(part, &NetworkScore { network_condition }),
        None => faults.absorb(
            part,
            &NetworkNumbers {
                bandwidth_kbps: network.bandwidth_kbps,
                rtt_ms: network.rtt_ms,
                packet_loss_percent: network.packet_loss_percent,
                jitter_ms: network.jitter_ms,
            },
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_told_with_value_and_limit() {
        let mut faults = Faults::default();
        let network = proto::NetworkConditions {
            bandwidth_kbps: 63.0,
            rtt_ms: f64::NAN,
            packet_loss_percent: 1e308,
            jitter_ms: 0.0,
            network_condition: None,
        };
        network_faults(&network, "open.network", &mut faults);
        let open = OpenNumbers {
            fps: 0.5,
            target_reduction: Some(f64::INFINITY),
            max_latency_ms: 20.0,
            min_quality: None,
            window: 9,
        };
        faults.absorb("open", &open);
        let refusal = faults.into_result(Some(())).unwrap_err();
        let told: Vec<_> = refusal.violations.iter().map(|v| format!("{} {}", v.field, v.description)).collect();
        assert_eq!(
            told,
            [
                "open.network.bandwidth_kbps 63 is outside 64..=100000",
                "open.network.packet_loss_percent 1e308 is outside 0..=100",
                "open.network.rtt_ms NaN is outside 0..=5000",
                "open.fps 0.5 is outside 1..=120",
                "open.target_reduction inf is outside 0.1..=0.95",
                "open.window 9 is outside 1..=8",
            ]
        );
    }
}
