//! Says that something is skipped: on the terminal itself, past the capture that swallows what passing tests print.

use std::fmt::Arguments;
use std::io::Write;

pub(crate) fn say(why: Arguments<'_>) {
    // A closed terminal is no reason to fail.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
