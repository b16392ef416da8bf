//! Charts as SVG, without a library: lines of quality against size, and bars of speed.

use std::fmt::Write;

/// Colours of encoders, in the order they come.
const COLORS: [&str; 7] = ["#d1495b", "#30638e", "#edae49", "#8d96a3", "#00798c", "#5f0f40", "#66a182"];
const WIDTH: f64 = 640.0;
const PANEL_HEIGHT: f64 = 260.0;
const MARGIN: f64 = 56.0;
const BAR_HEIGHT: f64 = 18.0;

/// One encoder's points, each an x and a y.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// A chart of lines with a heading.
pub struct Panel {
    pub title: String,
    pub lines: Vec<Line>,
}

fn open(height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    )
}

/// Panels above each other: y against x.
pub fn lines(panels: &[Panel], x_label: &str, y_label: &str) -> String {
    let mut svg = open(PANEL_HEIGHT * panels.len() as f64);
    for (index, panel) in panels.iter().enumerate() {
        let top = PANEL_HEIGHT * index as f64;
        let points = || panel.lines.iter().flat_map(|line| &line.points);
        let range = |pick: fn(&(f64, f64)) -> f64| {
            let low = points().map(pick).fold(f64::MAX, f64::min);
            (low, (points().map(pick).fold(f64::MIN, f64::max) - low).max(1e-9))
        };
        let ((x_low, x_span), (y_low, y_span)) = (range(|point| point.0), range(|point| point.1));
        let (left, right, bottom) = (MARGIN, WIDTH - 190.0, top + PANEL_HEIGHT - 44.0);
        let place = |&(x, y): &(f64, f64)| {
            let height = bottom - top - 36.0;
            (left + (x - x_low) / x_span * (right - left), bottom - (y - y_low) / y_span * height)
        };
        let _ = writeln!(svg, "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{}</text>", top + 20.0, panel.title);
        let _ = writeln!(svg, "<path d=\"M{left} {} V{bottom} H{right}\" fill=\"none\" stroke=\"#999\"/>", top + 30.0);
        for (value, label_y) in [(y_low, bottom), (y_low + y_span, top + 40.0)] {
            let _ = writeln!(svg, "<text x=\"{}\" y=\"{label_y}\" text-anchor=\"end\">{value:.1}</text>", left - 6.0);
        }
        for (value, x) in [(x_low, left), (x_low + x_span, right)] {
            let _ = writeln!(svg, "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{value:.2}</text>", bottom + 16.0);
        }
        let middle = (left + right) / 2.0;
        let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{x_label}</text>", bottom + 30.0);
        let _ = writeln!(svg, "<text x=\"10\" y=\"{}\">{y_label}</text>", (top + bottom) / 2.0);
        for (i, line) in panel.lines.iter().enumerate() {
            let color = COLORS[i % COLORS.len()];
            let path: Vec<String> = line.points.iter().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let path = path.join(" ");
            let _ = writeln!(svg, "<polyline points=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>");
            let y = top + 40.0 + 18.0 * i as f64;
            let _ = writeln!(svg, "<text x=\"{}\" y=\"{y}\" fill=\"{color}\">{}</text>", right + 12.0, line.name);
        }
    }
    svg + "</svg>\n"
}

/// Bars in groups: each group has a heading, each bar a name and a value.
pub fn bars(groups: &[(String, Vec<(String, f64)>)], unit: &str) -> String {
    let rows: usize = groups.iter().map(|(_, bars)| bars.len() + 2).sum();
    let mut svg = open(BAR_HEIGHT * (rows + 1) as f64);
    let longest = groups.iter().flat_map(|(_, bars)| bars).map(|bar| bar.1).fold(1.0, f64::max);
    let (left, mut y) = (190.0, BAR_HEIGHT);
    for (title, bars) in groups {
        let _ = writeln!(svg, "<text x=\"10\" y=\"{}\" font-weight=\"bold\">{title}, {unit}</text>", y + 12.0);
        y += BAR_HEIGHT * 1.3;
        for (i, (name, value)) in bars.iter().enumerate() {
            let (width, color) = (value / longest * (WIDTH - left - 70.0), COLORS[i % COLORS.len()]);
            let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>", left - 8.0, y + 12.0);
            let height = BAR_HEIGHT - 4.0;
            let _ = writeln!(
                svg,
                "<rect x=\"{left}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{color}\"/>"
            );
            let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{}\">{value:.0}</text>", left + width + 6.0, y + 12.0);
            y += BAR_HEIGHT;
        }
        y += BAR_HEIGHT * 0.7;
    }
    svg + "</svg>\n"
}
