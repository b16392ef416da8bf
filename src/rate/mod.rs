//! Network facts to a plan. Nothing here touches pixels.

mod base;
mod cbr;
mod conditions;
mod controller;
mod delivery;
mod flight;
mod h264;
mod ladder;
mod mode;
mod model;
mod plan;
mod planner;
mod receipt;

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
