//! A known frame that must become known bytes, and come back from them, before the server calls itself ready.

use rayon::ThreadPool;

use crate::codec::Codec;
use crate::codec::h264::H264Config;
use crate::codec::lossless::LosslessDecoder;
use crate::frame::{Frame, PixelFormat};
use crate::kernel::Level;
use crate::limits::Limits;
use crate::session::{Coder, Order};

const WIDTH: u32 = 160;
const HEIGHT: u32 = 96;

/// What the known frame's JPEG hashes to. The encoder gives the same bytes on every machine, so it changes only with it: a
/// failing test of this file then prints the new one. Lossless packets also depend on the version of zstd, and are decoded. H.264 must be twice the same.
const KNOWN_HASH: u64 = 0x20c3_f585_234f_5f04;

/// How an H.264 packet begins that stands alone: a start code and a sequence parameter set.
const H264_START: [u8; 5] = [0, 0, 0, 1, 0x67];

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
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

fn jpeg_hash(coder: &mut Coder, frame: &Frame<'_>) -> crate::Result<u64> {
    let mut packet = Vec::new();
    coder.code(frame, &Order::still(Codec::Jpeg), &mut packet)?;
    Ok(hash(&packet))
}

/// The first packet of an encoder that was made for it.
fn h264_packet(coder: &mut Coder, frame: &Frame<'_>) -> crate::Result<Vec<u8>> {
    let mut packet = Vec::new();
    // Other slices open another encoder, so the second is always new, and numbers its keyframes from the start.
    for slices in [2, 1] {
        packet.clear();
        let h264 = H264Config { slices, ..H264Config::default() };
        coder.code(frame, &Order { h264, ..Order::still(Codec::H264) }, &mut packet)?;
    }
    Ok(packet)
}

/// Codes the known frame with every codec.
///
/// # Errors
/// In words: a codec that failed, other bytes than known, or pixels that don't come back.
pub(crate) fn run(coder: &mut Coder, level: Level, pool: &ThreadPool) -> Result<(), String> {
    let pixels = known_frame();
    let told = |error: crate::Error| error.to_string();
    let frame = Frame::new(PixelFormat::Rgb8, WIDTH, HEIGHT, &pixels).map_err(told)?;
    let found = jpeg_hash(coder, &frame).map_err(told)?;
    if found != KNOWN_HASH {
        return Err(format!("the known frame became a JPEG of hash {found:#018x} instead of {KNOWN_HASH:#018x}"));
    }
    let h264 = [h264_packet(coder, &frame).map_err(told)?, h264_packet(coder, &frame).map_err(told)?];
    if !h264[0].starts_with(&H264_START) || h264[0] != h264[1] {
        return Err(format!("the known frame became {} and {} bytes of H.264", h264[0].len(), h264[1].len()));
    }
    let mut packet = Vec::new();
    coder.code(&frame, &Order::still(Codec::Lossless), &mut packet).map_err(told)?;
    let mut decoder = LosslessDecoder::new(level, Limits::SERVICE);
    if decoder.decode(&packet, pool).map_err(told)?.data() != pixels {
        return Err("the known frame came back from its lossless packet as another".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::kernel;
    use std::sync::Arc;

    #[test]
    fn the_known_frame_becomes_known_bytes_at_every_level_and_thread_count() {
        let pixels = known_frame();
        let frame = Frame::new(PixelFormat::Rgb8, WIDTH, HEIGHT, &pixels).unwrap();
        for threads in [1, 3] {
            let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
            for level in kernel::levels() {
                let mut coder = Engine::new(Arc::clone(&pool)).with_level(level).coder();
                let found = jpeg_hash(&mut coder, &frame).unwrap();
                let name = kernel::name(level);
                assert_eq!(
                    found, KNOWN_HASH,
                    "if the encoder was changed on purpose, set KNOWN_HASH to {found:#018x} ({threads} threads, {name})"
                );
                run(&mut coder, level, &pool).unwrap();
            }
        }
    }
}
