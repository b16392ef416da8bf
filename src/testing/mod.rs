//! Bodies of the fuzz targets, and the pictures they and the tests work on.
//!
//! The targets under `fuzz/` are a few lines each and call a body from here, so that a change of the library that breaks one
//! is found when the library is compiled. A body takes a fuzzer's bytes, and panics where the library broke a promise. A
//! test replays every body on fixed seeds, so that plain `cargo test` runs them too.

#![allow(clippy::panic, clippy::expect_used, reason = "a panic is how a fuzz body tells what it found")]

#[cfg(feature = "server")]
mod credentials;
mod decoding;
mod h264;
mod h264_stages;
mod operations;
mod pictures;
mod round_trip;
#[cfg(feature = "server")]
mod wire;

use std::sync::{Arc, OnceLock};

use rayon::ThreadPool;

#[cfg(feature = "server")]
pub use credentials::credentials;
pub use decoding::{frame_construction, image_decode, lossless_decode, y4m};
pub use h264::{Show, h264_shown, h264_stream};
pub use h264_stages::{Stage, Stages};
pub use operations::session_operations;
pub use pictures::{Content, picture};
pub use round_trip::{jpeg_round_trip, lossless_round_trip};
#[cfg(feature = "server")]
pub use wire::wire_to_plan;

use crate::limits::Limits;

/// A fuzz target's name and body.
pub type Body = (&'static str, fn(&[u8]));

/// All bodies, named as their targets are.
pub const BODIES: &[Body] = &[
    ("frame_construction", frame_construction),
    ("y4m", y4m),
    ("lossless_decode", lossless_decode),
    ("image_decode", image_decode),
    ("jpeg_round_trip", jpeg_round_trip),
    ("lossless_round_trip", lossless_round_trip),
    ("h264_stream", h264_stream),
    ("session_operations", session_operations),
    #[cfg(feature = "server")]
    ("credentials", credentials),
    #[cfg(feature = "server")]
    ("wire_to_plan", wire_to_plan),
];

/// Largest side that decoders take here: a fuzzer's time is for the bytes, not for large pictures.
const MAX_SIDE: u32 = 512;

/// Limits of the decoders under test.
fn limits() -> Limits {
    Limits {
        max_width: MAX_SIDE,
        max_height: MAX_SIDE,
        max_encoded_bytes: 1 << 20,
        max_decoder_bytes: 16 << 20,
        ..Limits::ENGINE
    }
}

/// Two threads for all bodies: enough for work to meet out of order.
fn pool() -> &'static Arc<ThreadPool> {
    static POOL: OnceLock<Arc<ThreadPool>> = OnceLock::new();
    POOL.get_or_init(|| {
        Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads can be started"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_hold_on_seeds() {
        for (name, body) in BODIES {
            body(&[]);
            for seed in 0..240 {
                let length = 1 << (seed % 12);
                let noise = pictures::noise(seed, length);
                body(&noise);
            }
            eprintln!("{name} holds");
        }
    }

    #[test]
    fn decoders_hold_on_damaged_files() {
        let mut files = vec![b"YUV4MPEG2 W4 H2 F25:1 C420jpeg\nFRAME\n0123456789abFRAME\n0123456789ab".to_vec()];
        for content in Content::ALL {
            let source = picture(content, crate::PixelFormat::Rgb8, 33, 17, 0);
            let mut coder = crate::Engine::new(Arc::clone(pool())).coder();
            for codec in crate::Codec::ALL {
                let mut file = Vec::new();
                coder.code(&source.as_frame(), &crate::Order::still(codec), &mut file).unwrap();
                files.push(file);
            }
            let mut png = Vec::new();
            crate::images::encode_png(&source.as_frame(), &mut png).unwrap();
            files.push(png);
        }
        for (index, file) in files.iter().enumerate() {
            let noise = pictures::noise(index as u32, 64);
            for (step, pair) in noise.as_chunks::<2>().0.iter().enumerate() {
                let mut damaged = file.clone();
                let at = usize::from(u16::from_le_bytes(*pair)) % damaged.len();
                if step % 2 == 0 {
                    damaged[at] ^= pair[0] | 1
                } else {
                    damaged.truncate(at)
                }
                for body in [y4m, lossless_decode, image_decode] {
                    body(&damaged);
                }
            }
        }
    }
}
