//! H.264 (ITU-T H.264): streams that play everywhere.
#![allow(dead_code, reason = "grows stage by stage")]

mod macroblock;
