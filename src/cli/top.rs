//! `auralink top`: the sessions of a service, live.

use std::time::Duration;

use auralink::service::proto::{ListSessionsRequest, Session};

use super::access::Access;
use super::client::{caller, connect, refused};
use super::console::Console;
use super::exit::Result;
use super::runtime;
use super::stop::signal;
use super::tally::or_dash;

/// Time between two tables.
const INTERVAL: Duration = Duration::from_secs(1);
/// Home, and clear to the end of the screen.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Show a service's sessions, refreshed each second.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit::HELP)]
pub(crate) struct Args {
    /// The service: http://host:port, host:port, https://host:port or unix:/path.
    #[arg(value_name = "URL", env = "AURALINK_SERVER", default_value = "http://127.0.0.1:50051")]
    server: String,
    #[command(flatten)]
    access: Access,
    /// Show them once and end.
    #[arg(long)]
    once: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    runtime()?.block_on(async {
        tokio::select! {
            result = watch(args) => result,
            // Leaving is how this command ends.
            () = signal() => Ok(()),
        }
    })
}

async fn watch(args: &Args) -> Result<()> {
    let mut client = caller(connect(&args.server, &args.access).await?);
    let clear = if Console::Stdout.is_terminal() && !args.once { CLEAR } else { "" };
    loop {
        let answer = client.list_sessions(ListSessionsRequest {}).await.map_err(|status| refused(&status))?;
        let table = table(&args.server, &answer.into_inner().sessions);
        Console::Stdout.write(format!("{clear}{table}").as_bytes())?;
        if args.once {
            return Ok(());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn table(server: &str, sessions: &[Session]) -> String {
    let mut text = format!("{server}: sessions {}\n", sessions.len());
    text += "session   codec     size       mode          age      in     out  drop  err   fps   kbit/s  smaller    SSIM  p50/p95 ms    plan\n";
    for session in sessions {
        let name = |text: &str| text.rsplit_once('_').map_or("", |(_, name)| name).to_ascii_lowercase();
        let plan = session.plan.as_ref().map_or(String::new(), |plan| format!("q{} {}", plan.quality, plan.reason));
        text += &format!(
            "{:<8}  {:<8}  {:<9}  {:<12}  {:>4} s  {:>6}  {:>6}  {:>4}  {:>3}  {:>4.1}  {:>7.0}  {:>5.1} %  {:>6}  {:<12}  {plan}\n",
            session.session_id.get(..8).unwrap_or(&session.session_id),
            name(session.codec().as_str_name()),
            format!("{}x{}", session.width, session.height),
            name(session.mode().as_str_name()),
            session.age_ms / 1000,
            session.frames_in,
            session.packets_out,
            session.frames_dropped,
            session.frame_errors,
            session.fps,
            session.kbps,
            session.reduction * 100.0,
            or_dash(session.ssim, 4, ""),
            format!("{:.1} / {:.1}", session.latency_p50_ms, session.latency_p95_ms),
        );
    }
    text
}
