//! A sender that competes, by its name.

use auralink::netem::senders::{self, Setting};
use auralink::netem::{Bulk, Endpoint, ModelSource, Paired, Simulation, TcpConfig};

use super::Args;
use super::args::usage;
use crate::cli::exit::{Failure, Result};

/// The name of a bulk transfer over TCP.
const TCP: &str = "tcp";

/// Adds the sender that `--compete` names, if it does.
pub(super) fn add(simulation: Simulation, args: &Args, setting: &Setting) -> Result<Simulation> {
    let Some(text) = &args.compete else { return Ok(simulation) };
    let (name, span) = text.split_once('@').map_or((text.as_str(), None), |(name, span)| (name, Some(span)));
    let (from_s, to_s) = span.map_or(Ok((0.0, setting.config.seconds)), |span| seconds(text, span))?;
    let (endpoint, tcp): (Box<dyn Endpoint>, _) = if name == TCP {
        (Box::new(Bulk::default()), Some(TcpConfig::default()))
    } else {
        let source = ModelSource::new(args.model(), !setting.config.seed).map_err(usage)?;
        let sender = senders::by_name(name, setting).map_err(usage)?;
        (Box::new(Paired::new(sender, source)), setting.config.tcp)
    };
    simulation.with_rival(endpoint, tcp, from_s..=to_s).map_err(usage)
}

fn seconds(text: &str, span: &str) -> Result<(f64, f64)> {
    let ends = span.split_once('-').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    ends.ok_or_else(|| Failure::usage(format!("compete: {text} isn't NAME or NAME@BEGIN-END in seconds")))
}
