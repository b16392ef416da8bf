//! Red, green and blue to full-range BT.601 luma and chroma, as JFIF defines them (ITU-T T.871), and chroma at half size.
//!
//! Weights have 16 fractional bits and results are rounded once, as decoders' authors expect of an encoder.

use fearless_simd::Simd;
use fearless_simd_macros::simd;

/// Pixels converted together. Rows of luma and chroma are padded to a multiple.
pub const CHUNK: usize = 64;

/// Weights of red, green and blue in luma, of 65536.
pub(crate) const LUMA: [i32; 3] = [19595, 38470, 7471];
/// Weights in Cb.
pub(crate) const CB: [i32; 3] = [-11059, -21709, 32768];
/// Weights in Cr.
pub(crate) const CR: [i32; 3] = [32768, -27439, -5329];
/// What is added to luma before its 16 fractional bits go.
pub(crate) const LUMA_OFFSET: i32 = 1 << 15;
/// The same for chroma: just under a half, so that the largest value stays in eight bits.
pub(crate) const CHROMA_OFFSET: i32 = (128 << 16) + (1 << 15) - 1;

/// How red, green and blue lie in a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Bytes of a pixel, 3 or 4.
    pub bytes: usize,
    /// Whether blue comes first.
    pub blue_first: bool,
}

/// Converts a row of pixels. The outputs are `width` long or longer, rounded up to [`CHUNK`]; what lies beyond the row's last
/// pixel becomes copies of it.
#[simd]
pub fn convert_row<S: Simd>(simd: S, packing: Packing, row: &[u8], luma: &mut [u8], cb: &mut [u8], cr: &mut [u8]) {
    match (packing.bytes, packing.blue_first) {
        (3, false) => convert::<S, 3, false>(simd, row, luma, cb, cr),
        (3, true) => convert::<S, 3, true>(simd, row, luma, cb, cr),
        (_, false) => convert::<S, 4, false>(simd, row, luma, cb, cr),
        (_, true) => convert::<S, 4, true>(simd, row, luma, cb, cr),
    }
}

#[inline(always)]
fn convert<S: Simd, const BYTES: usize, const BLUE_FIRST: bool>(
    simd: S,
    row: &[u8],
    luma: &mut [u8],
    cb: &mut [u8],
    cr: &mut [u8],
) {
    let outputs = luma
        .as_chunks_mut::<CHUNK>()
        .0
        .iter_mut()
        .zip(cb.as_chunks_mut::<CHUNK>().0)
        .zip(cr.as_chunks_mut::<CHUNK>().0);
    let mut rest = row;
    for ((luma, cb), cr) in outputs {
        let whole = rest.split_at_checked(BYTES * CHUNK);
        if let Some((pixels, after)) = whole {
            convert_chunk::<S, BYTES, BLUE_FIRST>(simd, pixels, luma, cb, cr);
            rest = after;
        } else {
            let mut pixels = [[0; BYTES]; CHUNK];
            let mut last = row.as_rchunks::<BYTES>().1.last().copied().unwrap_or([0; BYTES]);
            let mut left = rest.as_chunks::<BYTES>().0.iter();
            for pixel in &mut pixels {
                last = left.next().copied().unwrap_or(last);
                *pixel = last;
            }
            convert_chunk::<S, BYTES, BLUE_FIRST>(simd, pixels.as_flattened(), luma, cb, cr);
            rest = &[];
        }
    }
}

#[inline(always)]
fn convert_chunk<S: Simd, const BYTES: usize, const BLUE_FIRST: bool>(
    simd: S,
    pixels: &[u8],
    luma: &mut [u8; CHUNK],
    cb: &mut [u8; CHUNK],
    cr: &mut [u8; CHUNK],
) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if let Some(avx512) = simd.level().as_avx512() {
            return super::color_avx512::convert(avx512, pixels, BYTES, BLUE_FIRST, luma, cb, cr);
        }
        if let Some(avx2) = simd.level().as_avx2() {
            return super::color_avx2::convert(avx2, pixels, BYTES, BLUE_FIRST, luma, cb, cr);
        }
    }
    let _ = simd;
    let pixels = &pixels[..BYTES * CHUNK];
    let weigh = |weights: [i32; 3], rgb: [i32; 3], offset: i32| -> u8 {
        ((weights[0] * rgb[0] + weights[1] * rgb[1] + weights[2] * rgb[2] + offset) >> 16) as u8
    };
    for i in 0..CHUNK {
        let (red, blue) = if BLUE_FIRST { (2, 0) } else { (0, 2) };
        let rgb = [red, 1, blue].map(|channel| i32::from(pixels[BYTES * i + channel]));
        luma[i] = weigh(LUMA, rgb, LUMA_OFFSET);
        cb[i] = weigh(CB, rgb, CHROMA_OFFSET);
        cr[i] = weigh(CR, rgb, CHROMA_OFFSET);
    }
}

/// Means of two by two samples of neighbouring rows. Halves and quarters are rounded down and up in turn along the row, so
/// that flat areas don't drift.
#[simd]
pub fn halve_both<S: Simd>(simd: S, rows: [&[u8]; 2], out: &mut [u8]) {
    let pairs = rows[0].as_chunks::<{ 2 * HALVED }>().0.iter().zip(rows[1].as_chunks::<{ 2 * HALVED }>().0);
    for (out, (above, below)) in out.as_chunks_mut::<HALVED>().0.iter_mut().zip(pairs) {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        {
            if let Some(avx512) = simd.level().as_avx512() {
                super::color_avx512::halve_both(avx512, above, below, out);
                continue;
            }
            if let Some(avx2) = simd.level().as_avx2() {
                super::color_avx2::halve_both(avx2, above, below, out);
                continue;
            }
        }
        for (i, out) in out.iter_mut().enumerate() {
            let sum = [above[2 * i], above[2 * i + 1], below[2 * i], below[2 * i + 1]]
                .into_iter()
                .map(u16::from)
                .sum::<u16>();
            *out = ((sum + 1 + (i & 1) as u16) >> 2) as u8;
        }
    }
}

/// Means of two neighbouring samples, rounded down and up in turn.
#[simd]
pub fn halve_row<S: Simd>(_simd: S, row: &[u8], out: &mut [u8]) {
    for (out, row) in out.as_chunks_mut::<HALVED>().0.iter_mut().zip(row.as_chunks::<{ 2 * HALVED }>().0) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = ((u16::from(row[2 * i]) + u16::from(row[2 * i + 1]) + (i & 1) as u16) >> 1) as u8;
        }
    }
}

/// Samples that the halving functions write together.
pub(crate) const HALVED: usize = CHUNK / 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Level, Vectorise, each_level, vectorise};

    struct Convert<'a>(Packing, &'a [u8], usize);

    impl Vectorise for Convert<'_> {
        type Output = [Vec<u8>; 4];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let mut planes = [(); 3].map(|()| vec![0; self.2]);
            let [luma, cb, cr] = &mut planes;
            convert_row(simd, self.0, self.1, luma, cb, cr);
            let (mut both, mut row) = (vec![0; self.2 / 2], vec![0; self.2 / 2]);
            halve_both(simd, [&planes[1], &planes[2]], &mut both);
            halve_row(simd, &planes[2], &mut row);
            both.extend(row);
            let [luma, cb, cr] = planes;
            [luma, cb, cr, both]
        }
    }

    #[test]
    fn colours_are_those_of_jfif_at_each_level() {
        for packing in
            [3, 4].into_iter().flat_map(|bytes| [false, true].map(|blue_first| Packing { bytes, blue_first }))
        {
            for width in [1, 2, 63, 64, 65, 200] {
                let row: Vec<u8> = (0..width * packing.bytes).map(|i| ((i * 89 + i / 7 * 31) % 256) as u8).collect();
                let padded = width.next_multiple_of(CHUNK);
                let expected = vectorise(Level::baseline(), Convert(packing, &row, padded));
                for x in 0..padded {
                    let pixel = &row[packing.bytes * x.min(width - 1)..][..3];
                    let (r, g, b) = if packing.blue_first {
                        (pixel[2], pixel[1], pixel[0])
                    } else {
                        (pixel[0], pixel[1], pixel[2])
                    };
                    let (r, g, b) = (f64::from(r), f64::from(g), f64::from(b));
                    let y = 0.299 * r + 0.587 * g + 0.114 * b;
                    for (plane, exact) in [(0, y), (1, 128.0 + (b - y) / 1.772), (2, 128.0 + (r - y) / 1.402)] {
                        let error = f64::from(expected[plane][x]) - exact;
                        assert!(error.abs() < 0.51, "{packing:?} plane {plane} at {x}: off by {error}");
                    }
                }
                each_level!(level => { assert_eq!(vectorise(level, Convert(packing, &row, padded)), expected); });
            }
        }
    }

    #[test]
    fn all_corners_of_the_cube_fit_in_bytes() {
        let row: Vec<u8> = (0..8 * 64).flat_map(|i| [0, 1, 2].map(|bit| 255 * (i >> bit & 1) as u8)).collect();
        let expected = vectorise(Level::baseline(), Convert(Packing { bytes: 3, blue_first: false }, &row, 512));
        assert_eq!((expected[0][7], expected[1][4], expected[2][1]), (255, 255, 255));
        each_level!(level => {
            assert_eq!(vectorise(level, Convert(Packing { bytes: 3, blue_first: false }, &row, 512)), expected);
        });
    }
}
