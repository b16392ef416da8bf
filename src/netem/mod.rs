//! A network in a box: frames go over links whose capacity is that of recorded ones, in virtual time.
//!
//! A [`Simulation`] takes a [`Sender`], which decides when a frame is sent and how large it may be, and a [`Source`], which
//! makes packets of frames, and lets milliseconds pass. Nothing reads a clock, and chance comes from a seed: the same run gives
//! the same [`Report`]. Each millisecond, in this order: receipts reach the sender; a frame is captured, coded and sent;
//! packets come to the queue; the link takes from it; the receiver takes what comes out, and its receipts set out. So it is
//! with mahimahi's links, whose traces a [`Trace`] reads.
//!
//! | what | where |
//! |---|---|
//! | traces, and links that follow them | `trace`, `link`, `codel` |
//! | frames as packets of their own, or in a stream of HTTP/2 over TCP | `transport`, `datagrams`, `tcp` |
//! | the receiving end, what is watched, what is told | `receiver`, `measure`, `report` |
//! | sending ends, alone and several of them | `endpoint`, `lane`, `rival` |
//! | sources | `source`, `model`; whoever codes real pictures brings their own |
//! | senders | [`senders`] |
//!
//! A frame that waits is always the newest captured: what can't be sent when a newer one comes isn't sent at all.
//!
//! ```
//! use std::sync::Arc;
//! use auralink::netem::{self, ModelSource, ModelConfig, Simulation, SimulationConfig, Trace, senders};
//!
//! let down = Arc::new(Trace::constant(4_000.0)?);
//! let config = SimulationConfig { seconds: 20.0, ..SimulationConfig::new(Arc::clone(&down), down) };
//! let mut sender = senders::Fixed::new(2_000.0, config.fps);
//! let mut source = ModelSource::new(ModelConfig::default(), 1)?;
//! let report = netem::simulate(config, &mut sender, &mut source)?;
//! assert!((report.utilisation - 0.5).abs() < 0.02);
//! # Ok::<(), auralink::Error>(())
//! ```

mod codel;
mod config;
mod datagrams;
mod endpoint;
mod lane;
mod link;
mod measure;
mod model;
mod random;
mod receiver;
mod report;
mod rival;
pub mod senders;
mod simulation;
mod source;
mod tcp;
mod trace;
mod transport;

use std::time::Duration;

use crate::rate::Controller;
pub use crate::rate::Receipt;
pub use config::{Receipts, SimulationConfig};
pub use endpoint::{Endpoint, Outgoing, Paired};
pub use link::{Link, LinkConfig, LinkTally, Loss};
pub use model::{ModelConfig, ModelSource};
pub use report::{Decisions, Delays, Moment, Queues, Report};
pub use rival::{Bulk, Sharing};
pub use simulation::{Simulation, simulate};
pub use source::{Encoded, Score, Source};
pub use tcp::TcpConfig;
pub use trace::{OPPORTUNITY_BYTES, Rate, Trace};

/// Decides when a frame is sent and how large it may be.
pub trait Sender {
    /// Bytes the newest captured frame may take if it is coded and sent now; `None` to wait. Asked each millisecond while one
    /// waits.
    fn budget(&mut self, now: Duration) -> Option<u32>;
    /// A frame went out.
    fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration);
    /// A receipt came back.
    fn received(&mut self, receipt: &Receipt, now: Duration);
    /// Least time between packets.
    fn packet_gap(&self) -> Duration {
        Duration::ZERO
    }
}

/// Our own.
impl Sender for Controller {
    fn budget(&mut self, now: Duration) -> Option<u32> {
        Self::budget(self, now)
    }

    fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration) {
        self.sent(frame_number, bytes, now);
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        self.received(receipt, now);
    }
}

impl<S: Sender + ?Sized> Sender for &mut S {
    fn budget(&mut self, now: Duration) -> Option<u32> {
        (**self).budget(now)
    }

    fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration) {
        (**self).sent(frame_number, bytes, now);
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        (**self).received(receipt, now);
    }

    fn packet_gap(&self) -> Duration {
        (**self).packet_gap()
    }
}

impl<S: Sender + ?Sized> Sender for Box<S> {
    fn budget(&mut self, now: Duration) -> Option<u32> {
        (**self).budget(now)
    }

    fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration) {
        (**self).sent(frame_number, bytes, now);
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        (**self).received(receipt, now);
    }

    fn packet_gap(&self) -> Duration {
        (**self).packet_gap()
    }
}
