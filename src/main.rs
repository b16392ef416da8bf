//! The `auralink` program: an allocator, the arguments, and the exit code. Everything else is in [`cli`].

use std::process::ExitCode;

mod cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
