//! Lines for people and for other programs: to standard output, or to standard error where that carries data.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

use serde::Serialize;

use super::exit::{Exit, Failure, Result};

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Console {
    Stdout,
    /// Standard output carries frames or packets.
    Stderr,
}

impl Console {
    /// The console beside an output that may be standard output itself.
    pub(crate) fn beside(data_on_stdout: bool) -> Self {
        if data_on_stdout { Self::Stderr } else { Self::Stdout }
    }

    /// Writes one line at once, so that readers of a pipe see it.
    pub(crate) fn line(self, line: impl Display) -> Result<()> {
        self.write(format!("{line}\n").as_bytes())
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn json(self, value: &impl Serialize) -> Result<()> {
        let mut line =
            serde_json::to_vec(value).map_err(|error| Failure::new(Exit::Internal, "writing JSON").because(error))?;
        line.push(b'\n');
        self.write(&line)
    }

    /// Whether somebody looks at it.
    pub(crate) fn is_terminal(self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
        }
    }

    pub(crate) fn write(self, text: &[u8]) -> Result<()> {
        match self {
            Self::Stdout => stdout_result(io::stdout().lock().write_all(text).and_then(|()| io::stdout().flush())),
            Self::Stderr => {
                // Nobody is left to tell if this fails.
                let _ = io::stderr().lock().write_all(text);
                Ok(())
            }
        }
    }
}

/// A remark for people on standard error.
pub(crate) fn remark(line: impl Display) {
    let _ = Console::Stderr.line(line);
}

/// Makes a reader who went away a quiet end.
pub(crate) fn stdout_result<T>(result: io::Result<T>) -> Result<T> {
    result.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::reader_gone(),
        _ => Failure::io("standard output", error),
    })
}
