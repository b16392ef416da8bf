//! I_PCM: a macroblock's samples as they are, where its levels would take more bits (ITU-T H.264 7.3.5).
//!
//! Noise at fine quantisers is such; decoders needn't take macroblocks of more than 128 bits beyond their samples' at all (A.3.1).

use super::macroblock::{Levels, Macroblock};

/// Bytes of an I_PCM macroblock's samples.
const BYTES: usize = 384;
/// What other macroblocks may take.
const MOST_BITS: u32 = 8 * BYTES as u32 + 128;
/// The quantiser parameter beyond which no levels take that much.
const MOST_QP: u8 = 26;
/// coded_block_pattern of a macroblock whose luma is coded in all quadrants.
const ALL_LUMA: u8 = 15;

/// What the magnitudes of a macroblock's levels add up to, at least, where these take more than [`MOST_BITS`]: none takes more than 14
/// thirds of a bit and a third for each of its magnitude.
const LEAST_SUM: u32 = 3 * MOST_BITS - 14 * BYTES as u32;

/// Whether the levels of a macroblock at quantiser parameter `qp` would take more bits than its samples.
#[inline(always)]
pub(super) fn is_smaller(mb: &Macroblock, qp: u8) -> bool {
    qp <= MOST_QP && mb.cbp & ALL_LUMA == ALL_LUMA && takes_more(&mb.levels, mb.transform_8x8)
}

#[inline(never)]
fn takes_more(levels: &Levels, transform_8x8: bool) -> bool {
    // What isn't coded holds leftovers, which make the sum larger at most.
    let magnitudes = |blocks: &[[i16; 16]]| blocks.iter().map(magnitude).sum::<u32>();
    let luma =
        if transform_8x8 { magnitudes(levels.luma8.as_flattened().as_chunks().0) } else { magnitudes(&levels.luma) };
    luma + magnitudes(levels.chroma_ac.as_flattened()) >= LEAST_SUM && bits(levels, transform_8x8) > MOST_BITS
}

/// The sum of the magnitudes of levels, each of which is under 4096.
fn magnitude(levels: &[i16; 16]) -> u32 {
    u32::from(levels.iter().map(|level| level.unsigned_abs()).sum::<u16>())
}

/// About what the levels of a macroblock take that has them in most of its blocks.
fn bits(levels: &Levels, transform_8x8: bool) -> u32 {
    let coded = |blocks: &[[i16; 16]], mask: u16| -> u32 {
        blocks.iter().enumerate().filter(|(b, _)| mask >> b & 1 != 0).flat_map(|(_, block)| block).map(bits_of).sum()
    };
    let luma = if transform_8x8 {
        levels.luma8.as_flattened().iter().map(bits_of).sum()
    } else {
        coded(&levels.luma, levels.luma_mask)
    };
    let [cb, cr] = levels.chroma_mask.map(u16::from);
    luma + coded(&levels.chroma_ac[0], cb) + coded(&levels.chroma_ac[1], cr)
}

/// About what a level takes: one bit where it is zero, and else that it is none, its sign, and its magnitude's digits, which CABAC
/// writes in unary at first.
fn bits_of(level: &i16) -> u32 {
    match level.unsigned_abs() {
        0 => 1,
        magnitude @ 1..=15 => 3 + 3 * magnitude.ilog2() / 2,
        magnitude => 6 + 2 * (u32::from(magnitude) - 14).ilog2(),
    }
}

/// Appends 256 samples of luma, 64 of Cb and 64 of Cr.
pub(super) fn append(mb: &Macroblock, bytes: &mut Vec<u8>) {
    let (luma, chroma) = mb.pcm.as_ref();
    bytes.extend_from_slice(luma.as_flattened());
    for component in 0..2 {
        bytes.extend(chroma.as_flattened().iter().skip(component).step_by(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sums_of_magnitudes_take_no_more_than_samples() {
        assert!((0..4096).all(|level| 3 * bits_of(&level) <= 14 + level as u32));
        assert_eq!((LEAST_SUM, bits_of(&22), bits_of(&-4)), (11 * BYTES as u32, 12, 6));
        let noise = |level: i16| Levels {
            luma8: [[level; 64]; 4],
            chroma_ac: [[[-level; 16]; 4]; 2],
            chroma_mask: [15; 2],
            ..Levels::default()
        };
        assert!((0..22).all(|level| takes_more(&noise(level), true) == (bits(&noise(level), true) > MOST_BITS)));
        assert!(takes_more(&noise(18), true) && !takes_more(&noise(11), true));
    }
}
