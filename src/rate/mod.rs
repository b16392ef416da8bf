//! Network facts to a plan. Nothing here touches pixels.

mod appearance;
mod asking;
mod base;
mod cbr;
mod conditions;
mod controller;
mod delivery;
mod display;
mod estimate;
mod flight;
mod h264;
mod ladder;
mod mode;
mod model;
mod plan;
mod planner;
mod queue;
mod receipt;
mod target;
mod variation;

use std::time::Duration;

pub use appearance::Appearance;
pub use cbr::{Cbr, FrameBytes};
pub use conditions::{NetworkClass, NetworkConditions, NetworkSummary, summarise};
pub use controller::Controller;
pub use h264::{Complexity, qp_of_quality, quality_of_qp};
pub(crate) use ladder::Ladder;
pub use mode::Mode;
pub(crate) use model::usual_bytes;
pub use plan::{Plan, Reason, Scale};
pub use planner::{Goal, Hints};
pub use receipt::Receipt;

/// Bytes of a packet on the wire, about: what a link delivers at a time.
const PACKET_BYTES: f64 = 1_500.0;

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
