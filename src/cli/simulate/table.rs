//! Figures for people and for programs.

use auralink::netem::{Delays, Report, Sharing};
use serde::Serialize;

use super::promises::{Fallbacks, Kept};

/// What one controller gave.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(super) controller: String,
    #[serde(flatten)]
    pub(super) report: Report,
    /// Signal delay beyond the oracle's; none where no oracle ran.
    pub(super) signal_excess_ms: Option<Delays>,
    /// What a session kept of its promises; none of a bare encoder.
    pub(super) promises: Option<Kept>,
}

impl Outcome {
    pub(crate) fn new(controller: &str, report: Report, oracle: Option<&Report>, promises: Option<Kept>) -> Self {
        let signal_excess_ms = oracle.map(|oracle| {
            let (own, least) = (&report.signal_delay_ms, &oracle.signal_delay_ms);
            Delays {
                p50: own.p50 - least.p50,
                p95: own.p95 - least.p95,
                p99: own.p99 - least.p99,
                max: own.max - least.max,
            }
        });
        Self { controller: controller.to_owned(), report, signal_excess_ms, promises }
    }
}

/// A line for each, below a heading.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let width = outcomes.iter().map(|outcome| outcome.controller.len()).max().unwrap_or(0).max(10);
    let mut text = format!(
        "{:width$}   used    sent   shown  frame delay p50/p95/p99     signal delay p50/p95/p99     frozen   drops    SSIM\n",
        "controller"
    );
    for Outcome { controller, report, .. } in outcomes {
        let delays = |delays: &Delays| format!("{:.0} / {:.0} / {:.0} ms", delays.p50, delays.p95, delays.p99);
        text += &format!(
            "{controller:width$}  {:>3.0} %  {:>6}  {:>2.0} fps  {:<26}  {:<26}  {:>5.1} %  {:>6}  {:>6}\n",
            report.utilisation * 100.0,
            rate(report.sent_kbps),
            report.shown_fps,
            delays(&report.frame_delay_ms),
            delays(&report.signal_delay_ms),
            report.freeze_percent,
            report.queue_drops,
            report.ssim_mean.map_or("-".to_owned(), |ssim| format!("{ssim:.4}")),
        );
    }
    for Outcome { controller, report, .. } in outcomes {
        if let Some(Sharing { own_kbps, rival_kbps, own_share, own_after_kbps }) = report.sharing {
            let after = own_after_kbps.map_or(String::new(), |kbps| format!(", then {}", rate(kbps)));
            let (own, other) = (rate(own_kbps), rate(rival_kbps));
            text += &format!("{controller}: {own} beside {other} of the other, {:.0} %{after}\n", 100.0 * own_share);
        }
    }
    for kept in outcomes.iter().filter_map(|outcome| outcome.promises.as_ref()) {
        text += &told(kept);
    }
    text
}

/// A session's promises in words.
fn told(kept: &Kept) -> String {
    let Fallbacks { quality_floor, budget, latency, codec_error } = kept.fallbacks;
    format!(
        "{} packets: SSIM as promised in {:.1} %, as small as promised {:.1} %; fallback {:.2} % (budget {budget}, quality \
         floor {quality_floor}, latency {latency}, codec error {codec_error}); for the link {:.2} %, for nothing {:.2} %; \
         {} changes of size\n",
        kept.packets,
        kept.floor_percent,
        kept.reduction_percent,
        kept.fallback_percent,
        kept.broken_by_link_percent,
        kept.broken_freely_percent,
        kept.resolution_changes,
    )
}

/// kbit/s in a few characters.
fn rate(kbps: f64) -> String {
    if kbps < 10_000.0 { format!("{kbps:.0}k") } else { format!("{:.1}M", kbps / 1000.0) }
}
