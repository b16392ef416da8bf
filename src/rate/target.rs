//! How long what is sent may wait for a link, so that the link doesn't wait for what is sent.

use super::estimate::Estimate;
use super::{Mode, PACKET_BYTES};

/// How strongly variation, as standard deviation over mean, shrinks the time of a mode, and the least that is reckoned with.
const CAUTION: f64 = 2.0;
const LEAST_VARIATION: f64 = 0.25;
/// How much of the time is by what a steady link needs, at most. The rest keeps modes apart.
const MOST_STEADY: f64 = 0.85;
/// What must wait for a steady link beyond a frame interval: parts of a packet's time, and ms.
const PACKET_PART: f64 = 0.75;
const SPARE_MS: f64 = 1.5;

/// How much queue a mode takes for how much of a link that varies, ms: what is to wait for it when a frame is sent.
const fn mode_ms(mode: Mode) -> f64 {
    match mode {
        Mode::Conservative => 10.0,
        Mode::Adaptive => 42.5,
        Mode::Aggressive => 84.0,
    }
}

/// What may wait, ms. A steady link is full when something waits until the next frame comes, and more would only stand in its queue,
/// and come out ten times as late once there is ten times less.
pub(crate) fn target_ms(mode: Mode, frame_ms: f64, link: &Estimate) -> f64 {
    let variation = link.variation();
    let varying_ms = mode_ms(mode) / (1.0 + CAUTION * variation.relative().max(LEAST_VARIATION));
    let packet_ms = PACKET_BYTES / link.expected();
    // Frames that go packet by packet go when there is room.
    if packet_ms > frame_ms {
        return varying_ms;
    }
    let steady_ms = frame_ms + PACKET_PART * packet_ms + SPARE_MS;
    varying_ms + variation.steadiness().min(MOST_STEADY) * (steady_ms - varying_ms)
}
