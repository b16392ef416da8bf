//! Looking a macroblock up in another picture, sample for sample.

use fearless_simd::{Level, Simd, dispatch};
use fearless_simd_macros::simd;

/// Positions of a block's first sample: first and last of columns and of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    pub(crate) x: [usize; 2],
    pub(crate) y: [usize; 2],
}

/// Rows of a block by which it is looked for, and by which it is told: they are the likeliest to have an edge.
const KEY_ROW: usize = 7;
/// Positions compared together.
const LANES: usize = 32;

/// The one place in a region of `plane` where the 16x16 samples at the start of `block` are, both with rows of `stride`. A block
/// whose key row is flat, or that is in more than one place, tells nothing.
pub(crate) fn find_block(
    level: Level,
    block: &[u8],
    plane: &[u8],
    stride: usize,
    region: Region,
) -> Option<[usize; 2]> {
    let key: [u8; 16] = *block.get(KEY_ROW * stride..)?.first_chunk()?;
    if key.iter().all(|&sample| sample == key[0]) {
        return None;
    }
    let mut found = None;
    for y in region.y[0]..=region.y[1] {
        let row = plane.get((y + KEY_ROW) * stride + region.x[0]..(y + KEY_ROW) * stride + region.x[1] + 16)?;
        let mut from = 0;
        while let Some(at) = dispatch!(level, simd => find_key(simd, &key, row, from)) {
            from = at + 1;
            let x = region.x[0] + at;
            if (0..16).all(|v| {
                block.get(v * stride..v * stride + 16) == plane.get((y + v) * stride + x..(y + v) * stride + x + 16)
            }) {
                if found.is_some() {
                    return None;
                }
                found = Some([x, y]);
            }
        }
    }
    found
}

/// Where `key` next is in `row`, from a position on.
#[simd]
fn find_key<S: Simd>(_simd: S, key: &[u8; 16], row: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    // Samples that differ from their neighbours within the key tell most; its ends and middle are a fair guess.
    while let Some(window) = row.get(at..at + LANES + 15) {
        let mut same = [0_u8; LANES];
        for k in 0..LANES {
            same[k] = u8::from(window[k] == key[0])
                & u8::from(window[k + 5] == key[5])
                & u8::from(window[k + 10] == key[10])
                & u8::from(window[k + 15] == key[15]);
        }
        if same.iter().fold(0, |any, same| any | same) != 0 {
            let hit = (0..LANES).find(|&k| same[k] != 0 && window[k..k + 16] == *key);
            if let Some(k) = hit {
                return Some(at + k);
            }
        }
        at += LANES;
    }
    (at..row.len().saturating_sub(15)).find(|&at| row[at..at + 16] == *key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::each_level;

    #[test]
    fn a_block_is_found_where_it_is_and_only_if_it_is_there_once() {
        let stride = 160;
        let mut seed = 7_u32;
        let mut plane = vec![0_u8; stride * 64];
        plane.iter_mut().for_each(|sample| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *sample = (seed >> 30) as u8;
        });
        each_level!(level => {
            for (x, y) in [(0, 0), (3, 5), (77, 20), (144, 48)] {
                let region = Region { x: [0, 144], y: [0, 48] };
                assert_eq!(find_block(level, &plane[y * stride + x..], &plane, stride, region), Some([x, y]));
            }
            let flat = vec![9; stride * 64];
            assert_eq!(find_block(level, &flat, &flat, stride, Region { x: [0, 144], y: [0, 48] }), None);
            let mut twice = plane.clone();
            for v in 0..16 {
                twice.copy_within(v * stride..v * stride + 16, (v + 20) * stride + 50);
            }
            assert_eq!(find_block(level, &plane, &twice, stride, Region { x: [0, 144], y: [0, 48] }), None);
        });
    }
}
