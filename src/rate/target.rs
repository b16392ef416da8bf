//! How long what is sent may wait for a link, so that the link doesn't wait for what is sent.

use super::Mode;
use super::estimate::Estimate;

/// How strongly variation, as standard deviation over mean, shrinks the time of a mode, and the least that is reckoned with.
const CAUTION: f64 = 2.0;
const LEAST_VARIATION: f64 = 0.25;
/// How much queue a mode takes for how much of a link that varies, ms: what is to wait for it when a frame is sent.
const fn mode_ms(mode: Mode) -> f64 {
    match mode {
        Mode::Conservative => 10.0,
        Mode::Adaptive => 42.5,
        Mode::Aggressive => 84.0,
    }
}

/// What may wait, ms.
pub(crate) fn target_ms(mode: Mode, link: &Estimate) -> f64 {
    mode_ms(mode) / (1.0 + CAUTION * link.variation().relative().max(LEAST_VARIATION))
}
