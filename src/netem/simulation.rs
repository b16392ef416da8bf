//! Lets milliseconds pass.

use std::ops::RangeInclusive;

use super::Sender;
use super::config::SimulationConfig;
use super::endpoint::{Endpoint, Paired};
use super::lane::{Back, Down, Lane};
use super::link::Link;
use super::report::Report;
use super::rival::Rival;
use super::source::Source;
use super::tcp::TcpConfig;
use crate::error::Result;
use crate::limits;

/// A run, millisecond by millisecond.
pub struct Simulation {
    config: SimulationConfig,
    now_ms: u64,
    down: Link<Down>,
    up: Link<Back>,
    lane: Lane,
    rival: Option<Rival>,
    parcels: Vec<Down>,
    backs: Vec<Back>,
}

/// Runs a simulation from beginning to end.
///
/// # Errors
/// As [`SimulationConfig::validate`].
pub fn simulate(config: SimulationConfig, sender: &mut dyn Sender, source: &mut dyn Source) -> Result<Report> {
    let mut simulation = Simulation::new(config)?;
    simulation.advance(f64::INFINITY, &mut Paired::new(sender, source));
    Ok(simulation.finish())
}

impl Simulation {
    /// A run at its beginning.
    ///
    /// # Errors
    /// As [`SimulationConfig::validate`].
    pub fn new(config: SimulationConfig) -> Result<Self> {
        config.validate()?;
        let down = Link::new(config.down.clone(), config.down_link, config.seed)?;
        let up = Link::new(config.up.clone(), config.up_link, !config.seed)?;
        let lane = Lane::new(0, &config, config.tcp);
        Ok(Self { now_ms: 0, down, up, lane, rival: None, parcels: Vec::new(), backs: Vec::new(), config })
    }

    /// With another sender through the same queues, over a connection or with packets of its own, between two times in seconds.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for times that aren't ascending, or not within the run.
    pub fn with_rival(
        mut self,
        endpoint: Box<dyn Endpoint>,
        tcp: Option<TcpConfig>,
        seconds: RangeInclusive<f64>,
    ) -> Result<Self> {
        let (from_s, to_s) = (*seconds.start(), *seconds.end());
        limits::check("rival_from_s", from_s, &(0.0..=self.config.seconds))?;
        limits::check("rival_to_s", to_s, &(from_s + 0.001..=self.config.seconds))?;
        let ms = |s: f64| (s * 1000.0) as u64;
        self.rival = Some(Rival::new(Lane::new(1, &self.config, tcp), endpoint, ms(from_s), ms(to_s)));
        Ok(self)
    }

    /// Time simulated so far, seconds.
    pub fn elapsed_s(&self) -> f64 {
        self.now_ms as f64 / 1000.0
    }

    /// Frames captured so far.
    pub fn frames_captured(&self) -> u64 {
        self.lane.frames_captured()
    }

    /// Lets time pass until `until_s`, or until the configuration's end; false once that is reached.
    pub fn advance(&mut self, until_s: f64, endpoint: &mut dyn Endpoint) -> bool {
        let end_ms = self.end_ms();
        let until_ms = ((until_s * 1000.0) as u64).min(end_ms);
        while self.now_ms < until_ms {
            self.step(endpoint);
        }
        self.now_ms < end_ms
    }

    /// Ends the run here.
    pub fn finish(self) -> Report {
        let sharing = self.rival.map(|rival| rival.sharing(self.lane.delivered_bytes(), self.now_ms));
        Report { sharing, ..self.lane.report(self.now_ms, self.down.tally()) }
    }

    fn end_ms(&self) -> u64 {
        (self.config.seconds * 1000.0) as u64
    }

    fn step(&mut self, endpoint: &mut dyn Endpoint) {
        let now_ms = self.now_ms;
        self.lane.look(now_ms, &self.down);
        self.up.step(now_ms, &mut self.backs);
        for back in self.backs.drain(..) {
            match &mut self.rival {
                Some(rival) if back.lane > 0 => rival.lane.hear(&back, &mut *rival.endpoint, now_ms),
                _ => self.lane.hear(&back, endpoint, now_ms),
            }
        }
        self.lane.send(endpoint, &mut self.down, now_ms);
        if let Some(rival) = &mut self.rival {
            rival.look(self.lane.delivered_bytes(), now_ms);
            if rival.is_there(now_ms) {
                rival.lane.send(&mut *rival.endpoint, &mut self.down, now_ms);
            }
        }
        self.down.step(now_ms, &mut self.parcels);
        for (lane, parcel) in self.parcels.drain(..) {
            match &mut self.rival {
                Some(rival) if lane > 0 => rival.lane.receive(parcel, &mut self.up, now_ms),
                _ => self.lane.receive(parcel, &mut self.up, now_ms),
            }
        }
        self.now_ms += 1;
    }
}

#[cfg(test)]
mod tests;
