//! `auralink usage`: what callers have used, by day.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::Value;

use super::access::Access;
use super::console::Console;
use super::exit::{Failure, Result};
use super::probe::{self, Ask, get};

/// Longest answer that is read, bytes: some hundred thousand rows.
const MAX_ANSWER_BYTES: u64 = 64 << 20;
const HEAD: &str = "day         caller                    sessions    hours      frames     packets     MiB in    MiB out  smaller    SSIM\n";

/// Show what callers have used, by day: sessions, frames, bytes in and out.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit::HELP)]
pub(crate) struct Args {
    /// The service's HTTP side: http://host:port.
    #[arg(value_name = "URL", env = "AURALINK_HTTP", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// First day, such as 2026-01-31; the first of the month by default.
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Last day; today by default.
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// One caller alone.
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// How it is shown.
    #[arg(long, value_enum, value_name = "FORM", default_value = "table")]
    format: Form,
    #[command(flatten)]
    access: Access,
    /// Longest wait for an answer.
    #[arg(long, value_name = "MS", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..=600_000))]
    timeout_ms: u32,
}

/// Forms of usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Json,
    Csv,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (rest, port, tls) = match args.server.strip_prefix("https://") {
        Some(rest) => (rest, 443, Some(probe::tls(&args.access)?)),
        None => (args.server.strip_prefix("http://").unwrap_or(&args.server), 80, None),
    };
    let authority = rest.trim_end_matches('/');
    if authority.contains('/') {
        return Err(Failure::usage(format!("{}: not a URL such as http://127.0.0.1:8080", args.server)));
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let host = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
    let fields = args.access.fields()?;
    let ask = Ask { host: &host, authority, path: &args.path(), fields: &fields, most_bytes: MAX_ANSWER_BYTES };
    let answer = get(&ask, tls, Duration::from_millis(args.timeout_ms.into()));
    let answer = answer.map_err(|error| Failure::unavailable(&args.server).because(error))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") if args.format == Form::Table => Console::Stdout.write(table(body)?.as_bytes()),
        Some("200") => Console::Stdout.write(format!("{}\n", body.trim_end()).as_bytes()),
        Some("400") => Err(Failure::data(format!("{}: {}", args.server, detail(body)))),
        Some(_) => Err(Failure::unavailable(format!("{}: {}", args.server, detail(body)))),
        None => Err(Failure::unavailable(format!("{}: not an HTTP answer", args.server))),
    }
}

impl Args {
    fn path(&self) -> String {
        let format = if self.format == Form::Csv { "csv" } else { "json" };
        let mut path = format!("/v1/usage?format={format}");
        for (name, value) in [("from", &self.from), ("to", &self.to), ("caller", &self.caller)] {
            if let Some(value) = value {
                path += &format!("&{name}={}", escape(value));
            }
        }
        path
    }
}

/// A value as a query takes it.
fn escape(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    value.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// What a problem says of itself.
fn detail(body: &str) -> String {
    let problem: Option<Value> = serde_json::from_str(body).ok();
    let told = problem.and_then(|problem| Some(problem.get("detail")?.as_str()?.to_owned()));
    told.unwrap_or_else(|| body.trim().to_owned())
}

fn table(body: &str) -> Result<String> {
    let told: Value = serde_json::from_str(body).map_err(|error| Failure::data("the answer").because(error))?;
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_f64);
    let mut shown = format!("{} to {}\n{HEAD}", text(&told, "from"), text(&told, "to"));
    for row in told.get("rows").and_then(Value::as_array).unwrap_or(&Vec::new()) {
        let count = |name| number(row, name).unwrap_or(0.0);
        let mib = |name| count(name) / f64::from(1 << 20);
        // Names are strangers': nothing in them is to move the cursor.
        let caller: String = text(row, "caller").chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let ssim = number(row, "ssim").map_or("-".to_owned(), |ssim| format!("{ssim:.4}"));
        shown += &format!(
            "{:<10}  {caller:<24}  {:>8}  {:>7.2}  {:>10}  {:>10}  {:>9.1}  {:>9.1}  {:>5.1} %  {ssim:>6}\n",
            text(row, "day"),
            count("sessions"),
            count("seconds") / 3_600.0,
            count("frames"),
            count("packets"),
            mib("bytes_in"),
            mib("bytes_out"),
            count("reduction") * 100.0,
        );
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_shown_harmless() {
        assert_eq!(escape("a b&c=é"), "a%20b%26c%3D%C3%A9");
        let body = r#"{"from":"2026-11-01","to":"2026-11-21","rows":[{"day":"2026-11-21","caller":"\u001b[2Jann",
            "sessions":2,"seconds":7200.0,"frames":9,"packets":8,"bytes_in":1048576,"bytes_out":0,"reduction":1.0}]}"#;
        let shown = table(body).unwrap();
        assert!(shown.contains("?[2Jann") && shown.contains("2.00") && !shown.contains('\u{1b}'), "{shown}");
    }
}
