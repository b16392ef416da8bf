//! H.264 (ITU-T H.264): streams that play everywhere.
//!
//! An [`H264Encoder`] takes frames and gives access units: I and P slices of 8-bit 4:2:0, progressive, without reordering, so that a
//! decoder shows each frame as soon as it has it. It decides, then codes: every macroblock is analysed, reconstructed, written
//! and, once its row is complete, deblocked, while its samples are in the cache. Slices are apart from each other in all of this
//! and share the caller's threads; the bytes depend on their number, never on the threads' or on the SIMD level.
//!
//! ```
//! use auralink::codec::h264::{FrameOrder, H264Config, H264Encoder};
//! use auralink::{Frame, PixelFormat};
//!
//! let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
//! let mut encoder = H264Encoder::new(auralink::kernel::detect(), H264Config::default())?;
//! let pixels = vec![128; 320 * 180 * 3 / 2];
//! let frame = Frame::new(PixelFormat::I420, 320, 180, &pixels)?;
//! let mut stream = Vec::new();
//! let first = encoder.encode(&frame, &FrameOrder::at(26), &pool, &mut stream)?;
//! let second = encoder.encode(&frame, &FrameOrder::at(26), &pool, &mut stream)?;
//! assert!(first.keyframe && !second.keyframe);
//! assert_eq!(encoder.codec_string().as_deref(), Some("avc1.64000B"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where things are
//!
//! | stage | files | clauses |
//! |---|---|---|
//! | frame in: whole macroblocks, interleaved chroma | `source` | |
//! | what kind of frame, retries, what it leaves behind | `encoder`, `references` (long-term pictures, losses), `picture` (borders), `past` (what rows were like, slices of even work) | 8.2.5 |
//! | bytes: rows steered to a target, caps | `budget` | |
//! | macroblocks in order, their surroundings | `slice`, `block` | 7.3.4 |
//! | choice of kind: skip, inter, intra | `decide`, `tools` (presets), `adapt` (quantiser by content) | |
//! | motion: vectors and their prediction, search, partitions, what moved on a screen | `mv`, `motion`, `partition`, `displacement` | 8.4 |
//! | fades and changes of exposure: weighted prediction | `fade` | 8.4.2.3 |
//! | intra prediction | `intra` | 8.3 |
//! | transform, quantisation, reconstruction | `residual` | 8.5 |
//! | deblocking: which edges, how strongly | `deblock` | 8.7 |
//! | decided syntax elements | `macroblock` | 7.3.5 |
//! | their bits | `slice_writer`; `cavlc`, `cavlc_residual` (9.2); `cabac` (the coder), `cabac_syntax` (binarisation and contexts), `cabac_residual`, `cabac_neighbours` (9.3); `pcm` | 9 |
//! | headers and parameter sets, levels, colour | `header`, `params`, `level` | 7.3.2, 7.3.3, A.3, E |
//! | NAL units, framing, avcC | `nal`, `bits` | 7.3.1, B |
//!
//! The arithmetic on samples is in the kernels, each with a plain form that says what it does.

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
mod fade;
mod header;
mod intra;
mod level;
mod macroblock;
mod motion;
mod mv;
mod nal;
mod params;
mod partition;
mod past;
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
