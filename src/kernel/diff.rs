//! Which tiles of a row differ from a reference.

use fearless_simd::{Level, dispatch};

/// Marks (sets to 1) the tiles in which two rows differ. A tile is `tile_bytes` of a row; the last may be shorter. Marks set
/// before stay.
pub(crate) fn mark_changed(level: Level, row: &[u8], reference: &[u8], tile_bytes: usize, changed: &mut [u8]) {
    match tile_bytes {
        8 => dispatch!(level, _simd => mark_body::<8>(row, reference, changed)),
        16 => dispatch!(level, _simd => mark_body::<16>(row, reference, changed)),
        32 => dispatch!(level, _simd => mark_body::<32>(row, reference, changed)),
        _ => mark_any(row, reference, tile_bytes, changed),
    }
}

#[inline(always)]
fn mark_body<const TILE: usize>(row: &[u8], reference: &[u8], changed: &mut [u8]) {
    let ((tiles, row_rest), (references, reference_rest)) = (row.as_chunks::<TILE>(), reference.as_chunks::<TILE>());
    let (whole, last) = changed.split_at_mut(tiles.len().min(changed.len()));
    for ((tile, reference), changed) in tiles.iter().zip(references).zip(whole) {
        *changed |= u8::from(tile != reference);
    }
    if let Some(last) = last.first_mut() {
        *last |= u8::from(row_rest != reference_rest);
    }
}

/// The specification, for any size of tile.
fn mark_any(row: &[u8], reference: &[u8], tile_bytes: usize, changed: &mut [u8]) {
    let tiles = row.chunks(tile_bytes.max(1)).zip(reference.chunks(tile_bytes.max(1)));
    for ((tile, reference), changed) in tiles.zip(changed) {
        *changed |= u8::from(tile != reference);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::each_level;

    #[test]
    fn every_single_byte_marks_its_tile_alone() {
        each_level!(level => {
            for tile_bytes in [8, 16, 32] {
                for width in [1_usize, 7, 16, 33, 100] {
                    let reference: Vec<u8> = (0..width).map(|i| i as u8).collect();
                    let tiles = width.div_ceil(tile_bytes);
                    for at in 0..width {
                        let mut row = reference.clone();
                        row[at] ^= 0x10;
                        let (mut marks, mut wanted) = (vec![0; tiles], vec![0; tiles]);
                        mark_changed(level, &row, &reference, tile_bytes, &mut marks);
                        mark_any(&row, &reference, tile_bytes, &mut wanted);
                        assert_eq!(marks, wanted);
                        assert_eq!(marks.iter().position(|&m| m == 1), Some(at / tile_bytes));
                        assert_eq!(marks.iter().sum::<u8>(), 1);
                    }
                    let mut marks = vec![0; tiles];
                    mark_changed(level, &reference, &reference, tile_bytes, &mut marks);
                    assert!(marks.iter().all(|&mark| mark == 0));
                }
            }
        });
    }
}
