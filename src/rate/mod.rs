//! Network facts to a plan. Nothing here touches pixels.

mod conditions;
mod mode;
mod model;
mod plan;
mod planner;

pub use conditions::{NetworkClass, NetworkConditions, NetworkSummary, summarise};
pub use mode::Mode;
pub use plan::{Plan, Reason, Scale};
pub use planner::{Goal, Hints};
