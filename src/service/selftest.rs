//! A known frame that must become known bytes before the server calls itself ready.

use crate::codec::Codec;
use crate::frame::{Frame, PixelFormat};
use crate::session::{Coder, Order};

const WIDTH: u32 = 160;
const HEIGHT: u32 = 96;

/// What the packets of the known frame hash to, JPEG and lossless together. Codecs give the same bytes on every machine, so it
/// changes only with them: a failing test of this file then prints the new one.
const KNOWN_HASH: u64 = 0x69eb_f0a7_a602_fb53;

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8], seed: u64) -> u64 {
    bytes.iter().fold(seed, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

/// A gradient with hard edges and some noise, RGB.
fn known_frame() -> Vec<u8> {
    let mut noise = 1_u32;
    let mut pixels = Vec::with_capacity((WIDTH * HEIGHT * 3) as usize);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = noise >> 29;
            let edge = if (x / 16 + y / 12) % 2 == 0 { 60 } else { 0 };
            pixels.extend([x + edge, 2 * y + grain, (x + y) / 2 + edge / 2].map(|value| value.min(255) as u8));
        }
    }
    pixels
}

fn packets_hash(coder: &mut Coder) -> crate::Result<u64> {
    let pixels = known_frame();
    let frame = Frame::new(PixelFormat::Rgb8, WIDTH, HEIGHT, &pixels)?;
    let mut seed = 0xCBF2_9CE4_8422_2325;
    for codec in Codec::ALL {
        let mut packet = Vec::new();
        coder.code(&frame, &Order::still(codec), &mut packet)?;
        seed = hash(&packet, seed);
    }
    Ok(seed)
}

/// Codes the known frame with every codec.
///
/// # Errors
/// In words: a codec that failed, or other bytes than known.
pub(crate) fn run(coder: &mut Coder) -> Result<(), String> {
    match packets_hash(coder) {
        Ok(KNOWN_HASH) => Ok(()),
        Ok(other) => Err(format!("the known frame became packets of hash {other:#018x} instead of {KNOWN_HASH:#018x}")),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::kernel;
    use std::sync::Arc;

    #[test]
    fn the_known_frame_becomes_known_bytes_at_every_level_and_thread_count() {
        for threads in [1, 3] {
            let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
            for level in kernel::levels() {
                let mut coder = Engine::new(Arc::clone(&pool)).with_level(level).coder();
                let found = packets_hash(&mut coder).unwrap();
                assert_eq!(
                    found,
                    KNOWN_HASH,
                    "if a codec was changed on purpose, set KNOWN_HASH to {found:#018x} ({} threads, {})",
                    threads,
                    kernel::name(level)
                );
            }
        }
    }
}
