//! The 8x8 transform of JPEG and its inverse, in the fixed-point form known as "islow" (Loeffler, Ligtenberg and Moschytz,
//! 13-bit constants, 32-bit products): the reference that decoders and encoders are measured against.

/// Fractional bits of the constants.
const CONST_BITS: u32 = 13;
/// Fractional bits kept between the two passes.
const PASS1_BITS: u32 = 2;

/// Right shift of products in the first and the second forward pass.
pub(crate) const FORWARD_SHIFTS: [u32; 2] = [CONST_BITS - PASS1_BITS, CONST_BITS + PASS1_BITS];

/// Rotation of the even half: outputs 2 and 6 from `[(0 + 7 - 3 - 4), (1 + 6 - 2 - 5)]`, as `[weight 0, weight 1]`.
pub(crate) const EVEN: [[i16; 2]; 2] = [[4433 + 6270, 4433], [4433, 4433 - 15137]];

/// The odd half as one matrix: outputs 1, 3, 5, 7 from the differences `[3 - 4, 2 - 5, 1 - 6, 0 - 7]`. The butterflies of
/// the reference multiplied out: integers, so that the sums are the same.
pub(crate) const ODD: [[i16; 4]; 4] =
    [[2260, 6437, 9633, 11363], [-6436, -11362, -2259, 9633], [9633, 2261, -11362, 6437], [-11363, 9633, -6436, 2260]];

const fn descale(value: i32, shift: u32) -> i32 {
    (value + (1 << (shift - 1))) >> shift
}

/// One pass over eight lines at once: `input[k][lane]` is sample `k` of line `lane`.
#[inline(always)]
fn forward_pass<const FIRST: bool>(input: &[[i32; 8]; 8]) -> [[i32; 8]; 8] {
    let shift = FORWARD_SHIFTS[usize::from(!FIRST)];
    let mut output = [[0; 8]; 8];
    for lane in 0..8 {
        let d: [i32; 8] = std::array::from_fn(|k| input[k][lane]);
        let sums = [d[0] + d[7], d[1] + d[6], d[2] + d[5], d[3] + d[4]];
        let differences = [d[3] - d[4], d[2] - d[5], d[1] - d[6], d[0] - d[7]];
        let even = [sums[0] + sums[3], sums[1] + sums[2]];
        let turned = [sums[0] - sums[3], sums[1] - sums[2]];
        if FIRST {
            // The level shift takes 128 from each sample, which only the sum of all eight feels.
            output[0][lane] = (even[0] + even[1] - 8 * 128) << PASS1_BITS;
            output[4][lane] = (even[0] - even[1]) << PASS1_BITS;
        } else {
            output[0][lane] = descale(even[0] + even[1], PASS1_BITS);
            output[4][lane] = descale(even[0] - even[1], PASS1_BITS);
        }
        for (k, weights) in EVEN.iter().enumerate() {
            let sum = i32::from(weights[0]) * turned[0] + i32::from(weights[1]) * turned[1];
            output[2 + 4 * k][lane] = descale(sum, shift);
        }
        for (k, weights) in ODD.iter().enumerate() {
            let sum: i32 = (0..4).map(|i| i32::from(weights[i]) * differences[i]).sum();
            output[1 + 2 * k][lane] = descale(sum, shift);
        }
    }
    output
}

#[inline(always)]
fn transpose(block: &[[i32; 8]; 8]) -> [[i32; 8]; 8] {
    std::array::from_fn(|row| std::array::from_fn(|column| block[column][row]))
}

/// Forward transform of 8x8 samples, row by row: coefficients in natural order, eight times their orthonormal size.
#[inline(always)]
pub fn forward(samples: &[[u8; 8]; 8]) -> [[i32; 8]; 8] {
    let columns: [[i32; 8]; 8] = std::array::from_fn(|x| std::array::from_fn(|y| i32::from(samples[y][x])));
    forward_pass::<false>(&transpose(&forward_pass::<true>(&columns)))
}

#[inline(always)]
fn inverse_pass<const FIRST: bool>(input: &[[i32; 8]; 8]) -> [[i32; 8]; 8] {
    let shift = if FIRST { CONST_BITS - PASS1_BITS } else { CONST_BITS + PASS1_BITS + 3 };
    let mut output = [[0; 8]; 8];
    for lane in 0..8 {
        let d: [i32; 8] = std::array::from_fn(|k| input[k][lane]);
        let ends = [(d[0] + d[4]) << CONST_BITS, (d[0] - d[4]) << CONST_BITS];
        let turned: [i32; 2] = std::array::from_fn(|i| i32::from(EVEN[0][i]) * d[2] + i32::from(EVEN[1][i]) * d[6]);
        let even = [ends[0] + turned[0], ends[1] + turned[1], ends[1] - turned[1], ends[0] - turned[0]];
        for (k, even) in even.into_iter().enumerate() {
            let odd: i32 = (0..4).map(|i| i32::from(ODD[i][3 - k]) * d[1 + 2 * i]).sum();
            output[k][lane] = descale(even + odd, shift);
            output[7 - k][lane] = descale(even - odd, shift);
        }
    }
    output
}

/// Inverse transform of dequantised coefficients in natural order to samples, as the "islow" decoder makes them.
#[inline(always)]
pub fn inverse(coefficients: &[[i32; 8]; 8]) -> [[u8; 8]; 8] {
    let columns = inverse_pass::<true>(coefficients);
    let samples = transpose(&inverse_pass::<false>(&transpose(&columns)));
    samples.map(|row| row.map(|sample| (sample + 128).clamp(0, 255) as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: &mut u32) -> u8 {
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*seed >> 24) as u8
    }

    /// The definition, ITU-T T.81 A.3.3, in floating point.
    fn exact(samples: &[[u8; 8]; 8], v: usize, u: usize) -> f64 {
        let scale = |k: usize| if k == 0 { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 };
        let cosine = |x: usize, k: usize| ((2 * x + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos();
        let mut sum = 0.0;
        for (y, row) in samples.iter().enumerate() {
            for (x, &sample) in row.iter().enumerate() {
                sum += (f64::from(sample) - 128.0) * cosine(x, u) * cosine(y, v);
            }
        }
        sum * scale(u) * scale(v) / 4.0
    }

    #[test]
    fn forward_is_the_definition_within_its_rounding() {
        let mut seed = 7;
        for round in 0..200 {
            let samples: [[u8; 8]; 8] = std::array::from_fn(|_| {
                std::array::from_fn(|_| if round % 2 == 0 { noise(&mut seed) } else { 255 * (noise(&mut seed) & 1) })
            });
            let coefficients = forward(&samples);
            for (v, row) in coefficients.iter().enumerate() {
                for (u, &coefficient) in row.iter().enumerate() {
                    let error = f64::from(coefficient) / 8.0 - exact(&samples, v, u);
                    assert!(error.abs() < 0.25, "({v}, {u}): off by {error}");
                }
            }
        }
    }

    #[test]
    fn inverse_undoes_forward() {
        let mut seed = 9;
        for _ in 0..200 {
            let samples: [[u8; 8]; 8] = std::array::from_fn(|_| std::array::from_fn(|_| noise(&mut seed)));
            let rounded = forward(&samples).map(|row| row.map(|c| descale(c, 3)));
            for (row, back) in samples.iter().zip(inverse(&rounded)) {
                for (&a, b) in row.iter().zip(back) {
                    assert!(a.abs_diff(b) <= 2, "{a} came back as {b}");
                }
            }
        }
    }

    #[test]
    fn flat_blocks_have_only_their_mean() {
        for value in [0, 1, 127, 128, 255_u8] {
            let coefficients = forward(&[[value; 8]; 8]);
            assert_eq!(coefficients[0][0], 64 * (i32::from(value) - 128));
            assert!(coefficients.iter().flatten().skip(1).all(|&c| c == 0));
        }
    }
}
