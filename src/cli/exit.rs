//! What a command ends with: an exit code of `sysexits.h`, and one line that says why.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// The text below every `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
    0  success, also when the reader of our output went away
   64  usage: arguments that make no sense
   65  data: input that isn't what it claims to be, or is beyond the limits
   69  unavailable: no server, or one that refuses
   70  internal: memory, threads or a library failed
   74  input or output failed
  130  interrupted; what was written so far is whole";

/// Why a command didn't succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Success = 0,
    Usage = 64,
    Data = 65,
    Unavailable = 69,
    Internal = 70,
    Io = 74,
    Interrupted = 130,
}

/// An exit code, what was being done, and what went wrong below it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    context: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, context: impl Into<String>) -> Self {
        Self { exit, context: context.into(), source: None }
    }

    pub(crate) fn usage(context: impl Into<String>) -> Self {
        Self::new(Exit::Usage, context)
    }

    pub(crate) fn data(context: impl Into<String>) -> Self {
        Self::new(Exit::Data, context)
    }

    pub(crate) fn unavailable(context: impl Into<String>) -> Self {
        Self::new(Exit::Unavailable, context)
    }

    pub(crate) fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "interrupted")
    }

    /// A file or stream that couldn't be read or written.
    pub(crate) fn io(context: impl Into<String>, error: io::Error) -> Self {
        Self { exit: Exit::Io, context: context.into(), source: Some(Box::new(error)) }
    }

    /// Standard output was closed by its reader, such as `head`: not an error.
    pub(crate) fn reader_gone() -> Self {
        Self::new(Exit::Success, "")
    }

    /// Whether nobody is to be told.
    pub(crate) fn is_quiet(&self) -> bool {
        self.exit == Exit::Success
    }

    pub(crate) fn because(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Puts what was being done before what went wrong.
    pub(crate) fn within(mut self, outer: impl std::fmt::Display) -> Self {
        self.context = if self.context.is_empty() { outer.to_string() } else { format!("{outer}: {}", self.context) };
        self
    }

    /// The line for standard error; none where there is nothing to complain about.
    pub(crate) fn line(&self) -> Option<String> {
        if self.is_quiet() {
            return None;
        }
        let mut line = self.context.clone();
        let mut cause: Option<&(dyn StdError + 'static)> = self.source.as_deref().map(|source| source as _);
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries repeat their source in their own words.
            if !line.contains(&text) {
                let separator = if line.is_empty() { "" } else { ": " };
                let _ = write!(line, "{separator}{text}");
            }
            cause = error.source();
        }
        Some(line.replace('\n', " "))
    }
}

impl From<auralink::Error> for Failure {
    fn from(error: auralink::Error) -> Self {
        let exit = if error.is_input() { Exit::Data } else { Exit::Internal };
        Self::new(exit, error.to_string())
    }
}

/// Names the file in a failure.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|error| Failure::io(path.display().to_string(), error))
    }
}

impl<T> At<T> for auralink::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|error| Failure::from(error).within(path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_the_whole_chain_once() {
        let failure = Failure::io("clip.y4m", io::Error::other("disk on fire"));
        assert_eq!(failure.line().unwrap(), "clip.y4m: disk on fire");
        let failure = Failure::unavailable("server http://x: disk on fire").because(io::Error::other("disk on fire"));
        assert_eq!(failure.line().unwrap(), "server http://x: disk on fire");
        assert_eq!(Failure::reader_gone().line(), None);
    }

    #[test]
    fn a_callers_fault_is_data_and_ours_is_internal() {
        let data = auralink::Error::Malformed { what: "y4m", detail: "no header".to_owned() };
        assert_eq!(Failure::from(data).exit, Exit::Data);
        let ours = auralink::Error::Internal { what: "zstd", detail: "no memory".to_owned() };
        assert_eq!(Failure::from(ours).exit, Exit::Internal);
    }
}
