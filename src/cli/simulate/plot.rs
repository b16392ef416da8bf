//! A run over time as SVG: capacity and sending rate, delay, quality, one panel above the other.

use std::fmt::Write;

use auralink::netem::{Moment, Report};

const WIDTH: f64 = 960.0;
const PANEL: f64 = 170.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 44.0;
/// Room above a panel's axis for its heading, and below it.
const HEAD: f64 = 26.0;
const FOOT: f64 = 14.0;
/// Delays are drawn from here on, on a logarithmic scale, ms.
const LEAST_DELAY_MS: f64 = 10.0;
/// Colours that read on white and on black.
const STYLE: &str = "<style>
text{font:12px sans-serif;fill:#333}.h{font-weight:600}.g{stroke:#8884;stroke-width:1}.bg{fill:#fff}
.capacity{fill:#8ecae680;stroke:none}.line{fill:none;stroke-width:1.5;stroke-linejoin:round}
.sent{stroke:#d1495b}.delay{stroke:#2a7f62}.ssim{stroke:#7b4fb5}
@media(prefers-color-scheme:dark){text{fill:#ccc}.bg{fill:#16181c}.capacity{fill:#30638e80}.sent{stroke:#ff7b89}
.delay{stroke:#5cc9a1}.ssim{stroke:#b794f4}}
</style>
";

/// A panel's axis: values to heights.
struct Axis {
    top: f64,
    low: f64,
    high: f64,
    is_log: bool,
}

impl Axis {
    fn y(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.top + HEAD + (1.0 - share.clamp(0.0, 1.0)) * (PANEL - HEAD - FOOT)
    }

    fn bottom(&self) -> f64 {
        self.y(self.low)
    }
}

/// Draws a run.
pub(super) fn draw(controller: &str, report: &Report) -> String {
    let moments = &report.moments;
    let end_s = moments.last().map_or(1.0, |moment| moment.at_s).max(1.0);
    let x = |at_s: f64| LEFT + at_s / end_s * (WIDTH - LEFT - RIGHT);
    let has_quality = moments.iter().any(|moment| moment.ssim.is_some());
    let panels = if has_quality { 3.0 } else { 2.0 };
    let height = TOP + panels * PANEL + 34.0;
    let mut svg = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\">\n{STYLE}");
    svg += "<rect class=\"bg\" width=\"100%\" height=\"100%\"/>\n";
    let _ = writeln!(
        svg,
        "<text class=\"h\" x=\"{LEFT}\" y=\"24\" style=\"font-size:15px\">{controller}: {:.0} % of the link, signal delay \
         {:.0} ms p50, {:.0} ms p95, {:.1} fps shown</text>",
        report.utilisation * 100.0,
        report.signal_delay_ms.p50,
        report.signal_delay_ms.p95,
        report.shown_fps,
    );
    rates(&mut svg, moments, &x);
    delays(&mut svg, moments, &x);
    if has_quality {
        quality(&mut svg, moments, &x);
    }
    let foot = TOP + panels * PANEL + 16.0;
    for tick in ticks(0.0, end_s, 10.0) {
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{foot}\" text-anchor=\"middle\">{tick:.0} s</text>", x(tick));
    }
    svg + "</svg>\n"
}

fn rates(svg: &mut String, moments: &[Moment], x: &impl Fn(f64) -> f64) {
    let most = moments.iter().map(|moment| moment.capacity_kbps.max(moment.sent_kbps)).fold(100.0, f64::max) / 1000.0;
    let axis = Axis { top: TOP, low: 0.0, high: most, is_log: false };
    let values = ticks(0.0, most, 4.0);
    heading(svg, &axis, &values, "capacity (area) and sending rate (line), Mbit/s");
    let points = |value: fn(&Moment) -> f64| -> String {
        moments.iter().map(|moment| format!("{:.1},{:.1} ", x(moment.at_s), axis.y(value(moment) / 1000.0))).collect()
    };
    let (first, last) = (x(0.0), moments.last().map_or(LEFT, |moment| x(moment.at_s)));
    let capacity = points(|moment| moment.capacity_kbps);
    let bottom = axis.bottom();
    let _ = writeln!(
        svg,
        "<polygon class=\"capacity\" points=\"{first:.1},{bottom:.1} {capacity}{last:.1},{bottom:.1}\"/>"
    );
    let _ = writeln!(svg, "<polyline class=\"line sent\" points=\"{}\"/>", points(|moment| moment.sent_kbps));
}

fn delays(svg: &mut String, moments: &[Moment], x: &impl Fn(f64) -> f64) {
    let most = moments.iter().filter_map(|moment| moment.signal_delay_ms).fold(100.0, f64::max);
    let axis = Axis { top: TOP + PANEL, low: LEAST_DELAY_MS, high: most * 1.1, is_log: true };
    let values: Vec<f64> =
        [10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5].into_iter().filter(|ms| *ms <= axis.high).collect();
    heading(svg, &axis, &values, "longest signal delay in each quarter of a second, ms");
    line(svg, "delay", moments.iter().map(|moment| (moment.at_s, moment.signal_delay_ms)), &axis, x);
}

fn quality(svg: &mut String, moments: &[Moment], x: &impl Fn(f64) -> f64) {
    let least = moments.iter().filter_map(|moment| moment.ssim).fold(0.99, f64::min);
    let axis = Axis { top: TOP + 2.0 * PANEL, low: (least * 20.0).floor() / 20.0, high: 1.0, is_log: false };
    heading(svg, &axis, &ticks(axis.low, 1.0, 4.0), "SSIM of frames shown");
    line(svg, "ssim", moments.iter().map(|moment| (moment.at_s, moment.ssim)), &axis, x);
}

fn heading(svg: &mut String, axis: &Axis, values: &[f64], title: &str) {
    let _ = writeln!(svg, "<text class=\"h\" x=\"{LEFT}\" y=\"{:.1}\">{title}</text>", axis.top + HEAD - 10.0);
    for &value in values {
        let y = axis.y(value);
        let _ = writeln!(svg, "<line class=\"g\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>", WIDTH - RIGHT);
        let label = LEFT - 8.0;
        let value = (value * 1000.0).round() / 1000.0;
        let _ = writeln!(svg, "<text x=\"{label}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>", y + 4.0);
    }
}

/// A line that is broken where there is no value.
fn line(
    svg: &mut String,
    class: &str,
    values: impl Iterator<Item = (f64, Option<f64>)>,
    axis: &Axis,
    x: &impl Fn(f64) -> f64,
) {
    let mut path = String::new();
    let mut verb = 'M';
    for (at_s, value) in values {
        match value {
            Some(value) => {
                let _ = write!(path, "{verb}{:.1} {:.1}", x(at_s), axis.y(value));
                verb = 'L';
            }
            None => verb = 'M',
        }
    }
    let _ = writeln!(svg, "<path class=\"line {class}\" d=\"{path}\"/>");
}

/// Round values from `low` to `high`, about `count` of them.
fn ticks(low: f64, high: f64, count: f64) -> Vec<f64> {
    let rough = ((high - low) / count).max(1e-9);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= rough).unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    (first..).map(|index| index as f64 * step).take_while(|value| *value <= high + step * 1e-6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks(0.0, 10.0, 4.0), [0.0, 5.0, 10.0]);
        assert_eq!(ticks(0.0, 300.0, 10.0).len(), 7);
        assert!(ticks(0.85, 1.0, 4.0).iter().all(|value| (0.85..=1.001).contains(value)));
    }
}
