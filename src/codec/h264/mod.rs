//! H.264 (ITU-T H.264): streams that play everywhere.
#![allow(dead_code, reason = "grows stage by stage")]

mod adapt;
mod bits;
mod block;
mod budget;
mod cabac;
mod cabac_neighbours;
mod cabac_residual;
mod cabac_syntax;
mod cabac_tables;
mod cavlc;
mod cavlc_residual;
mod cavlc_tables;
mod config;
mod deblock;
mod decide;
mod displacement;
mod encoder;
mod header;
mod intra;
mod level;
mod macroblock;
mod motion;
mod mv;
mod nal;
mod params;
mod partition;
mod pcm;
mod picture;
mod references;
mod residual;
mod slice;
mod slice_writer;
mod source;
#[cfg(test)]
mod syntax_tests;
mod tables;
mod tools;

pub use config::{FrameOrder, H264Config, H264Stats};
pub use encoder::H264Encoder;
pub use nal::Framing;
pub use params::Profile;
pub use tools::Preset;
