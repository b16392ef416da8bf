//! Adaptive quantisation: flat macroblocks, where errors show, finer; busy ones, where they hide, coarser.

use fearless_simd::Simd;

use crate::kernel::h264::Luma;

/// Least and most that a macroblock's quantiser parameter moves.
const REACH: i32 = 4;
/// The logarithm of a macroblock's energy, in quarters, that is neither flat nor busy.
const MIDDLE: i32 = 4 * 14;

/// What to add to the quantiser parameter of a macroblock: about one for each doubling of its energy beyond the middle, which is
/// the sum of squared differences to its mean.
#[inline(always)]
pub(super) fn qp_offset<S: Simd>(_simd: S, luma: &Luma) -> i32 {
    let (mut sum, mut squares) = (0_u32, 0_u32);
    for row in luma {
        for &sample in row {
            sum += u32::from(sample);
            squares += u32::from(sample) * u32::from(sample);
        }
    }
    let energy = squares - ((u64::from(sum) * u64::from(sum)) >> 8) as u32;
    ((log2_quarters(energy + 1) - MIDDLE) / 4).clamp(-REACH, REACH)
}

/// The logarithm to base two, in quarters, from the leading bits: exact enough, and the same everywhere.
const fn log2_quarters(value: u32) -> i32 {
    let whole = 31 - value.leading_zeros();
    // The two bits below the leading one.
    let part = if whole >= 2 { (value >> (whole - 2)) & 3 } else { 0 };
    (4 * whole + part) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Vectorise, levels, vectorise};

    struct Offset<'a>(&'a Luma);

    impl Vectorise for Offset<'_> {
        type Output = i32;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> i32 {
            qp_offset(simd, self.0)
        }
    }

    #[test]
    fn flat_is_finer_and_busy_is_coarser() {
        let flat = [[90; 16]; 16];
        let busy: Luma = std::array::from_fn(|y| std::array::from_fn(|x| if (x + y) % 2 == 0 { 0 } else { 255 }));
        let mild: Luma = std::array::from_fn(|y| std::array::from_fn(|x| 90 + ((x * 7 + y * 3) % 23) as u8));
        for level in levels() {
            assert_eq!(vectorise(level, Offset(&flat)), -REACH);
            assert_eq!(vectorise(level, Offset(&busy)), REACH);
            assert!(vectorise(level, Offset(&mild)).abs() <= 1);
        }
    }
}
