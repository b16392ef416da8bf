//! The log on standard error: a line an event, whatever strangers put into it.

use std::fmt::{Debug, Display, Write as _};
use std::io::{self, Write as _};

use auralink::service::config::LogForm;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Longest text of one field, bytes; the rest is cut.
const MAX_TEXT_BYTES: usize = 1 << 10;
/// Room for the fields of a line, bytes as JSON; those beyond it are left out and counted. With time, level, target and braces
/// a line stays under 16 KiB.
const MAX_FIELDS_BYTES: usize = 14 << 10;

/// Writes each event with the fields of the spans around it.
#[derive(Debug)]
pub(crate) struct Log {
    form: LogForm,
    colours: bool,
}

/// Names and values, outer spans before inner ones.
#[derive(Debug, Default)]
struct Fields {
    fields: Vec<(&'static str, Value)>,
    bytes: usize,
    left_out: usize,
}

impl Fields {
    fn add(&mut self, name: &'static str, value: Value) {
        let bytes = name.len() + value.to_string().len() + 4;
        if self.bytes + bytes > MAX_FIELDS_BYTES {
            self.left_out += 1;
            return;
        }
        self.bytes += bytes;
        self.fields.retain(|(known, _)| *known != name);
        self.fields.push((name, value));
    }

    fn text(&mut self, field: &Field, text: String) {
        self.add(field.name(), Value::from(cut(text)));
    }
}

/// The beginning of a text that is too long, and how long it was.
fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        let whole = text.len();
        let end = (0..=MAX_TEXT_BYTES).rfind(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
        // Writing to a string doesn't fail.
        let _ = write!(text, "... ({whole} bytes)");
    }
    text
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field, value.to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), Value::from(value));
    }
}

impl Log {
    pub(crate) fn new(form: LogForm, colours: bool) -> Self {
        Self { form, colours }
    }

    fn line(&self, level: Level, target: &str, mut fields: Fields) -> String {
        let mut time = String::new();
        // A clock that can't be told is no reason not to tell the rest.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        if fields.left_out > 0 {
            fields.fields.push(("fields_left_out", Value::from(fields.left_out)));
        }
        match self.form {
            LogForm::Json => json(&time, level, target, fields),
            LogForm::Text => self.text(&time, level, target, &fields),
        }
    }

    fn text(&self, time: &str, level: Level, target: &str, fields: &Fields) -> String {
        let (colour, end) = match level {
            _ if !self.colours => ("", ""),
            Level::ERROR => ("\x1b[31m", "\x1b[0m"),
            Level::WARN => ("\x1b[33m", "\x1b[0m"),
            _ => ("\x1b[32m", "\x1b[0m"),
        };
        let mut line = format!("{time} {colour}{level:>5}{end} {target}:");
        let message = fields.fields.iter().find(|(name, _)| *name == "message");
        let others = fields.fields.iter().filter(|(name, _)| *name != "message");
        for (index, (name, value)) in message.into_iter().chain(others).enumerate() {
            let told = match value {
                Value::String(text) if index == 0 && *name == "message" => plain(text),
                Value::String(text) if text.contains([' ', '"', '=']) => format!("{text:?}"),
                Value::String(text) => plain(text),
                other => other.to_string(),
            };
            let name = if *name == "message" { String::new() } else { format!("{name}=") };
            line += &format!(" {name}{told}");
        }
        line
    }
}

/// A text without what would move a terminal's cursor or begin a line.
fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut plain, c| {
        if c.is_control() {
            plain.extend(c.escape_default())
        } else {
            plain.push(c)
        }
        plain
    })
}

fn json(time: &str, level: Level, target: &str, fields: Fields) -> String {
    let mut line = Map::new();
    for (name, value) in fields.fields {
        line.insert(name.to_owned(), value);
    }
    // What the line is about goes over any field of the same name.
    line.insert("timestamp".to_owned(), Value::from(time));
    line.insert("level".to_owned(), Value::from(level.as_str()));
    line.insert("target".to_owned(), Value::from(target));
    Value::Object(line).to_string()
}

fn told(line: impl Display) {
    // Nobody is left to tell if this fails.
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // The event's own fields come first where there isn't room for all.
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                for (name, value) in &outer.fields {
                    if !fields.fields.iter().any(|(known, _)| known == name) {
                        fields.add(name, value.clone());
                    }
                }
            }
        }
        let meta = event.metadata();
        told(self.line(*meta.level(), meta.target(), fields));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stranger might send, and worse.
    const HOSTILE: [&str; 6] =
        ["a\nb", "\x1b[31mred\x1b[0m", "\",\"level\":\"ERROR", "\u{2028}\u{0}\u{7F}", "\r\nset-cookie: x", "{}"];

    fn fields(texts: &[String]) -> Fields {
        const NAMES: [&str; 8] = ["message", "a", "b", "c", "level", "timestamp", "path", "h"];
        let mut fields = Fields::default();
        for (index, text) in texts.iter().enumerate() {
            fields.add(NAMES[index % NAMES.len()], Value::from(cut(text.clone())));
        }
        fields
    }

    #[test]
    fn whatever_is_logged_a_line_is_one_line_of_valid_json_and_short() {
        let mut cases: Vec<Vec<String>> = HOSTILE.iter().map(|text| vec![(*text).to_owned(); 7]).collect();
        cases.push(vec!["\u{1}".repeat(1 << 20); 8]);
        cases.push(vec!["é".repeat(1 << 20), "x".repeat(MAX_TEXT_BYTES + 1)]);
        for case in cases {
            let line = Log::new(LogForm::Json, false).line(Level::WARN, "auralink", fields(&case));
            assert!(line.len() <= 16 << 10 && !line.contains(['\n', '\r', '\x1b']), "{} bytes", line.len());
            let told: Value = serde_json::from_str(&line).unwrap();
            assert_eq!((told["level"].as_str(), told["target"].as_str()), (Some("WARN"), Some("auralink")));
            let text = Log::new(LogForm::Text, false).line(Level::WARN, "auralink", fields(&case));
            assert!(text.len() <= 20 << 10 && !text.contains(['\n', '\r', '\x1b']), "{text}");
        }
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let line = Log::new(LogForm::Json, false).line(Level::INFO, "a", fields(&vec!["\u{1}".repeat(2_000); 8]));
        let told: Value = serde_json::from_str(&line).unwrap();
        assert!(told["fields_left_out"].as_u64() > Some(0), "{told}");
        assert!(told["message"].as_str().unwrap().ends_with("... (2000 bytes)"));
    }
}
