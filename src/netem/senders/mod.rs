//! Senders to compare with: what others do, and what could be done.

mod fixed;
mod oracle;

pub use fixed::Fixed;
pub use oracle::Oracle;
