//! `auralink simulate`: frames over a recorded network, in virtual time.

pub(crate) mod args;
mod clip;
mod compete;
mod frames;
pub(crate) mod history;
pub(crate) mod link;
mod plot;
pub(crate) mod promises;
mod session;
pub(crate) mod table;

use auralink::netem::senders::{self, Setting};
use auralink::netem::{Endpoint, ModelSource, Paired, Report, Simulation};

pub(crate) use args::Args;
pub(crate) use args::usage;
use clip::Clip;
use frames::Frames;
use promises::Kept;
use session::SessionEnd;
use table::{Outcome, table};

use super::console::Console;
use super::exit::{Failure, Result};
use super::input::Extent;
use super::output::{Sink, is_dash};
use super::progress::Progress;
use super::stop::Stop;

/// Ourselves.
const OWN: &str = "auralink";
/// Who knows the trace.
const ORACLE: &str = "oracle";
/// Time between two looks at whether to stop, simulated seconds.
const STRIDE_S: f64 = 0.5;

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let setting = args.setting()?;
    let names = match args.controller.as_str() {
        "all" => senders::names().to_vec(),
        name => vec![name],
    };
    if args.plot.is_some() && names.len() > 1 {
        return Err(Failure::usage("--plot draws one controller: name it with --controller"));
    }
    // Names that don't exist are told before a clip is read.
    for name in &names {
        senders::by_name(name, &setting).map_err(usage)?;
    }
    let stop = Stop::on_signals()?;
    let mut runs = Runs { args, setting, clip: None, stop, progress: None, done: 0 };
    runs.begin(names.len())?;
    let mut oracle = None;
    let mut outcomes = Vec::new();
    for name in names {
        let (report, kept) = runs.one(name)?;
        if name == ORACLE {
            oracle = Some(report.clone());
        } else if oracle.is_none() && runs.clip.is_none() {
            oracle = Some(runs.one(ORACLE)?.0);
        }
        outcomes.push(Outcome::new(name, report, oracle.as_ref(), kept));
    }
    drop(runs.progress.take());
    tell(args, &outcomes)
}

/// Runs one after another.
struct Runs<'a> {
    args: &'a Args,
    setting: Setting,
    clip: Option<Frames>,
    stop: Stop,
    progress: Option<Progress>,
    /// Frames captured in the runs before.
    done: u64,
}

impl Runs<'_> {
    fn begin(&mut self, count: usize) -> Result<()> {
        if let Some(path) = &self.args.clip {
            self.clip = Some(Frames::read(path, self.args, &self.stop)?);
        }
        // One more for the oracle that a single controller is compared with.
        let runs = if count == 1 && self.clip.is_none() { 2 } else { count };
        let frames = self.setting.config.seconds * self.setting.config.fps * runs as f64;
        self.progress = Some(Progress::new(Extent::of(None), Some(frames as u64)));
        Ok(())
    }

    fn one(&mut self, name: &str) -> Result<(Report, Option<Kept>)> {
        let Some(frames) = self.clip.clone() else {
            let source = ModelSource::new(self.args.model(), self.setting.config.seed).map_err(usage)?;
            let mut paired = Paired::new(senders::by_name(name, &self.setting).map_err(usage)?, source);
            paired = paired.with_clock(crate::cli::clock);
            let report = self.simulate(name, &mut paired)?;
            return Ok((Report { decisions: paired.decisions(), ..report }, None));
        };
        if name == OWN && !self.args.bare {
            let mut end = SessionEnd::new(frames, self.setting.mode, self.args)?;
            let report = self.simulate(name, &mut end)?;
            let kept = end.promises().kept(self.setting.config.seconds);
            return end.take_failure().map_or(Ok((report, Some(kept))), Err);
        }
        let mut clip = Clip::new(frames, self.args)?;
        let sender = senders::by_name(name, &self.setting).map_err(usage)?;
        let report = self.simulate(name, &mut Paired::new(sender, &mut clip))?;
        clip.take_failure().map_or(Ok((report, None)), Err)
    }

    fn simulate(&mut self, name: &str, endpoint: &mut dyn Endpoint) -> Result<Report> {
        let simulation = Simulation::new(self.setting.config.clone()).map_err(usage)?;
        let mut simulation = compete::add(simulation, self.args, &self.setting)?;
        while simulation.advance(simulation.elapsed_s() + STRIDE_S, endpoint) {
            if self.stop.is_set() {
                return Err(Failure::interrupted());
            }
            if let Some(progress) = &mut self.progress {
                let elapsed_s = simulation.elapsed_s();
                progress.tell(self.done + simulation.frames_captured(), || format!("{name}  {elapsed_s:.0} s"));
            }
        }
        self.done += simulation.frames_captured();
        Ok(simulation.finish())
    }
}

/// Writes what was asked for.
fn tell(args: &Args, outcomes: &[Outcome]) -> Result<()> {
    if let (Some(path), [outcome]) = (&args.plot, outcomes) {
        Sink::new(path).write(plot::draw(&outcome.controller, &outcome.report).as_bytes())?;
    }
    if let Some(path) = &args.json {
        let json = match outcomes {
            [only] => serde_json::to_vec_pretty(only),
            all => serde_json::to_vec_pretty(all),
        };
        let mut json =
            json.map_err(|error| Failure::new(super::exit::Exit::Internal, "writing JSON").because(error))?;
        json.push(b'\n');
        Sink::new(path).write(&json)?;
    }
    let is_taken = [&args.json, &args.plot].into_iter().flatten().any(|path| is_dash(path));
    if is_taken { Ok(()) } else { Console::Stdout.write(table(outcomes).as_bytes()) }
}
