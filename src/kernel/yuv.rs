//! Rows of luma and chroma: unpacking, range, matrix and chroma resolution.

use fearless_simd::Simd;
use fearless_simd_macros::simd;

/// Fractional bits of the matrix weights.
const BITS: u32 = 16;

/// Takes every `STEP`th byte of `packed`, from byte `first` on.
#[simd]
pub fn unpack<S: Simd, const STEP: usize>(_simd: S, packed: &[u8], first: usize, out: &mut [u8]) {
    for (out, group) in out.iter_mut().zip(packed.as_chunks::<STEP>().0) {
        *out = group[first % STEP];
    }
}

/// Stretches a limited range to the full one: `value + round(value * extra / 2^15)` about `zero`.
#[inline(always)]
fn stretch(sample: u8, zero: i16, extra: i32, origin: i16) -> u8 {
    let value = i16::from(sample) - zero;
    let more = (((i32::from(value) * extra) >> 14) + 1) >> 1;
    (value + more as i16 + origin).clamp(0, 255) as u8
}

/// Luma 16..=235 to 0..=255.
#[simd]
pub fn expand_luma<S: Simd>(_simd: S, row: &[u8], out: &mut [u8]) {
    for (out, &sample) in out.iter_mut().zip(row) {
        *out = stretch(sample, 16, 36 * 32768 / 219, 0);
    }
}

/// Chroma 16..=240 to 0..=255.
#[simd]
pub fn expand_chroma<S: Simd>(_simd: S, row: &[u8], out: &mut [u8]) {
    for (out, &sample) in out.iter_mut().zip(row) {
        *out = stretch(sample, 128, (31 * 32768 + 112) / 224, 128);
    }
}

/// Weights that turn BT.709 samples into full-range BT.601 ones.
#[derive(Clone, Copy, Debug)]
pub struct FromBt709 {
    /// Black's code.
    black: i32,
    /// Of luma, Cb and Cr in luma.
    luma: [i32; 3],
    /// Of the same and of the other chroma, in Cb and Cr.
    chroma: [[i32; 2]; 2],
}

impl FromBt709 {
    /// For samples of limited or full range.
    pub const fn new(limited: bool) -> Self {
        let (luma_gain, chroma_gain) = if limited { (255.0 / 219.0, 255.0 / 224.0) } else { (1.0, 1.0) };
        let fixed = [1.0 * luma_gain, 0.101_579 * chroma_gain, 0.196_076 * chroma_gain];
        let cb = [0.989_854 * chroma_gain, -0.110_653 * chroma_gain];
        let cr = [0.983_398 * chroma_gain, -0.072_453 * chroma_gain];
        const ONE: f64 = (1 << BITS) as f64;
        Self {
            black: if limited { 16 } else { 0 },
            luma: [(fixed[0] * ONE) as i32, (fixed[1] * ONE) as i32, (fixed[2] * ONE) as i32],
            chroma: [[(cb[0] * ONE) as i32, (cb[1] * ONE) as i32], [(cr[0] * ONE) as i32, (cr[1] * ONE) as i32]],
        }
    }
}

/// A sum of weighted samples back to a byte.
#[inline(always)]
fn rounded(sum: i32, origin: i32) -> u8 {
    (((sum + (1 << (BITS - 1))) >> BITS) + origin).clamp(0, 255) as u8
}

/// BT.601 luma of BT.709 samples; chroma at luma's resolution.
#[simd]
pub fn luma_from_bt709<S: Simd>(_simd: S, weights: &FromBt709, luma: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
    let FromBt709 { black, luma: [y, u, v], .. } = *weights;
    for (((out, &luma), &cb), &cr) in out.iter_mut().zip(luma).zip(cb).zip(cr) {
        *out = rounded(y * (i32::from(luma) - black) + u * (i32::from(cb) - 128) + v * (i32::from(cr) - 128), 0);
    }
}

/// BT.601 chroma of BT.709 chroma.
#[simd]
pub fn chroma_from_bt709<S: Simd>(_simd: S, weights: &FromBt709, chroma: [&[u8]; 2], out: [&mut [u8]; 2]) {
    let [u, v] = weights.chroma;
    let [out_cb, out_cr] = out;
    for (((out_cb, out_cr), &cb), &cr) in out_cb.iter_mut().zip(out_cr).zip(chroma[0]).zip(chroma[1]) {
        let (blue, red) = (i32::from(cb) - 128, i32::from(cr) - 128);
        *out_cb = rounded(u[0] * blue + u[1] * red, 128);
        *out_cr = rounded(v[0] * red + v[1] * blue, 128);
    }
}

/// Each sample twice.
#[simd]
pub fn double_row<S: Simd>(_simd: S, row: &[u8], out: &mut [u8]) {
    for (out, &sample) in out.as_chunks_mut::<2>().0.iter_mut().zip(row) {
        *out = [sample; 2];
    }
}

/// Means of two rows, rounded up.
#[simd]
pub fn mean_rows<S: Simd>(_simd: S, rows: [&[u8]; 2], out: &mut [u8]) {
    for ((out, &above), &below) in out.iter_mut().zip(rows[0]).zip(rows[1]) {
        *out = (u16::from(above) + u16::from(below)).div_ceil(2) as u8;
    }
}

/// Repeats the last of the first `width` samples to the end of the row.
pub fn pad(row: &mut [u8], width: usize) {
    let last = width.checked_sub(1).and_then(|at| row.get(at)).copied().unwrap_or_default();
    row.get_mut(width..).unwrap_or_default().fill(last);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Vectorise, each_level, vectorise};

    struct Expand;

    impl Vectorise for Expand {
        type Output = [Vec<u8>; 2];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let all: Vec<u8> = (0..=255).collect();
            let (mut luma, mut chroma) = (all.clone(), all.clone());
            expand_luma(simd, &all, &mut luma);
            expand_chroma(simd, &all, &mut chroma);
            [luma, chroma]
        }
    }

    #[test]
    fn ranges_expand_to_the_nearest_code_at_each_level() {
        each_level!(level => {
            let [luma, chroma] = vectorise(level, Expand);
            for code in 0..256 {
                let exact = ((code as f64 - 16.0) * 255.0 / 219.0).clamp(0.0, 255.0);
                assert!((f64::from(luma[code]) - exact).abs() <= 0.5, "luma {code}");
                let exact = (128.0 + (code as f64 - 128.0) * 255.0 / 224.0).clamp(0.0, 255.0);
                assert!((f64::from(chroma[code]) - exact).abs() <= 0.5, "chroma {code}");
            }
        });
    }

    struct Matrix<'a>(bool, [&'a [u8]; 3]);

    impl Vectorise for Matrix<'_> {
        type Output = [Vec<u8>; 3];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let weights = FromBt709::new(self.0);
            let [luma, cb, cr] = self.1;
            let mut out = self.1.map(<[u8]>::to_vec);
            luma_from_bt709(simd, &weights, luma, cb, cr, &mut out[0]);
            let [_, out_cb, out_cr] = &mut out;
            chroma_from_bt709(simd, &weights, [cb, cr], [out_cb, out_cr]);
            out
        }
    }

    /// Through red, green and blue and back, in floating point.
    fn by_rgb(limited: bool, [y, cb, cr]: [f64; 3]) -> [f64; 3] {
        let (y, gain) = if limited { ((y - 16.0) * 255.0 / 219.0, 255.0 / 224.0) } else { (y, 1.0) };
        let (cb, cr) = ((cb - 128.0) * gain, (cr - 128.0) * gain);
        let (r, b) = (y + 2.0 * (1.0 - 0.2126) * cr, y + 2.0 * (1.0 - 0.0722) * cb);
        let g = (y - 0.2126 * r - 0.0722 * b) / 0.7152;
        let y = 0.299 * r + 0.587 * g + 0.114 * b;
        [y, 128.0 + (b - y) / 1.772, 128.0 + (r - y) / 1.402].map(|v| v.clamp(0.0, 255.0))
    }

    #[test]
    fn bt709_becomes_bt601_at_each_level() {
        let samples: [Vec<u8>; 3] =
            [37, 91, 53].map(|step| (0..4096_usize).map(|i| (i * step + i / 256) as u8).collect());
        let planes = [&samples[0][..], &samples[1], &samples[2]];
        for limited in [false, true] {
            each_level!(level => {
                let out = vectorise(level, Matrix(limited, planes));
                for i in 0..4096 {
                    let exact = by_rgb(limited, planes.map(|plane| f64::from(plane[i])));
                    for c in 0..3 {
                        assert!((f64::from(out[c][i]) - exact[c]).abs() < 0.52, "component {c} of {i}, limited {limited}");
                    }
                }
            });
        }
    }

    #[test]
    fn rows_are_padded_with_their_last_sample() {
        let mut row = [1, 2, 3, 9, 9];
        pad(&mut row, 3);
        assert_eq!(row, [1, 2, 3, 3, 3]);
    }
}
