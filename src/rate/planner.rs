//! Declared conditions to a plan.
/// wip
pub struct Goal;
/// wip
pub struct Planner;
