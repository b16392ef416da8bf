//! The service's program at its edges: killed, stopped, flooded and overfilled, in a process of its own.
//!
//! `AURALINK_TEST_PROGRAM` names another program to test, such as a release build whose figures count. `AURALINK_TEST_ROUNDS` has what
//! is repeated a few times repeated so often; `AURALINK_ATTACK_SECONDS` has each flood made again and again for so long;
//! `AURALINK_SOAK_MINUTES` turns the soak on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's helpers may fail the test")]
#![allow(clippy::print_stdout, reason = "figures are told to whoever asks for them")]

#[path = "edge/attackers.rs"]
mod attackers;
#[path = "edge/client.rs"]
mod client;
#[path = "edge/dying.rs"]
mod dying;
#[path = "edge/fair.rs"]
mod fair;
#[path = "edge/floods.rs"]
mod floods;
#[path = "edge/instance.rs"]
mod instance;
#[path = "edge/memory.rs"]
mod memory;
#[path = "edge/nginx.rs"]
mod nginx;
#[path = "edge/overload.rs"]
mod overload;
#[path = "support/picture.rs"]
mod picture;
#[path = "service/programs.rs"]
#[allow(dead_code, reason = "shared with other tests, which use the rest")]
mod programs;
mod skip;
#[path = "edge/soak.rs"]
mod soak;
#[allow(dead_code, reason = "shared with other tests, which use the rest")]
mod support;
#[path = "edge/victim.rs"]
mod victim;
#[path = "support/wire.rs"]
mod wire;

/// What the harness of the service's own tests calls so, too: the longest that a test waits for anything.
mod harness {
    pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
}
