//! What is simulated.

use std::sync::Arc;
use std::time::Duration;

use super::link::LinkConfig;
use super::tcp::TcpConfig;
use super::trace::Trace;
use crate::error::Result;
use crate::limits::{self, FPS, SIMULATED_SECONDS};

/// When a receiver says what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Receipts {
    /// With each packet.
    #[default]
    EachPacket,
    /// Once a frame is whole.
    EachFrame,
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct SimulationConfig {
    /// What the link carries toward the receiver.
    pub down: Arc<Trace>,
    /// What it carries back.
    pub up: Arc<Trace>,
    /// The way toward the receiver.
    pub down_link: LinkConfig,
    /// The way back.
    pub up_link: LinkConfig,
    /// The connection that carries frames; none for packets of their own.
    pub tcp: Option<TcpConfig>,
    /// When the receiver says what it has.
    pub receipts: Receipts,
    /// Frames captured a second.
    pub fps: f64,
    /// Time simulated, seconds.
    pub seconds: f64,
    /// Time at the beginning that isn't reported, seconds.
    pub warm_up_seconds: f64,
    /// Time from a whole frame to its display.
    pub decode_time: Duration,
    /// Where chance comes from.
    pub seed: u64,
}

impl SimulationConfig {
    /// 300 s at 60 fps over links of 20 ms and 256 packets, a receipt with each packet; the first 5 s aren't reported.
    pub fn new(down: Arc<Trace>, up: Arc<Trace>) -> Self {
        Self {
            down,
            up,
            down_link: LinkConfig::default(),
            up_link: LinkConfig::default(),
            tcp: None,
            receipts: Receipts::default(),
            fps: 60.0,
            seconds: 300.0,
            warm_up_seconds: 5.0,
            decode_time: Duration::ZERO,
            seed: 1,
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) with the field and its bounds.
    pub fn validate(&self) -> Result<()> {
        limits::check("fps", self.fps, &FPS)?;
        limits::check("seconds", self.seconds, &SIMULATED_SECONDS)?;
        limits::check("warm_up_seconds", self.warm_up_seconds, &(0.0..=self.seconds - 0.5))?;
        limits::check("decode_time_ms", self.decode_time.as_secs_f64() * 1000.0, &(0.0..=1000.0))?;
        if let Some(tcp) = &self.tcp {
            tcp.validate()?;
        }
        self.down_link.validate()?;
        self.up_link.validate()
    }
}
