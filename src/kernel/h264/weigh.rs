//! Weighted samples (ITU-T H.264 8.4.2.3.2), and how far rows of samples are apart.

use fearless_simd::{Level, Simd, dispatch};

/// What becomes of a predicted sample: `(sample * factor >> shift) + offset`, rounded and kept within 0..=255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight {
    /// 0..=127: products stay within 16 bits.
    pub(crate) factor: i16,
    /// log2WD, 1..=7.
    pub(crate) shift: u8,
    /// -128..=127.
    pub(crate) offset: i16,
}

impl Weight {
    #[inline(always)]
    fn of(self, sample: u8) -> u8 {
        let product = (i16::from(sample) * self.factor + (1 << (self.shift - 1))) >> self.shift;
        (product + self.offset).clamp(0, 255) as u8
    }
}

/// Weighs samples in place.
#[inline(always)]
pub(crate) fn weigh<S: Simd>(_simd: S, samples: &mut [u8], weight: Weight) {
    for sample in samples {
        *sample = weight.of(*sample);
    }
}

/// As [`weigh`], for many samples at once.
pub(crate) fn weigh_all(level: Level, samples: &mut [u8], weight: Weight) {
    dispatch!(level, simd => weigh(simd, samples, weight));
}

/// Samples that are summed up in 32 bits.
const PIECE: usize = 4096;

/// The sum of samples and that of their squares.
pub(crate) fn moments(level: Level, samples: &[u8]) -> [u64; 2] {
    #[inline(always)]
    fn of_piece(piece: &[u8]) -> [u32; 2] {
        let (mut sum, mut squares) = (0, 0);
        for &sample in piece {
            sum += u32::from(sample);
            squares += u32::from(sample) * u32::from(sample);
        }
        [sum, squares]
    }
    let mut all = [0; 2];
    for piece in samples.chunks(PIECE) {
        let [sum, squares] = dispatch!(level, _simd => of_piece(piece));
        all = [all[0] + u64::from(sum), all[1] + u64::from(squares)];
    }
    all
}

/// The sum of absolute differences of samples and others, which are weighted first.
pub(crate) fn distance(level: Level, samples: &[u8], others: &[u8], weight: Option<Weight>) -> u64 {
    #[inline(always)]
    fn of_piece(piece: &[u8], others: &[u8], weight: impl Fn(u8) -> u8) -> u32 {
        piece.iter().zip(others).fold(0, |sum, (&sample, &other)| sum + u32::from(sample.abs_diff(weight(other))))
    }
    let pieces = samples.chunks(PIECE).zip(others.chunks(PIECE));
    let distances = pieces.map(|(piece, others)| match weight {
        Some(weight) => dispatch!(level, _simd => of_piece(piece, others, |other| weight.of(other))),
        None => dispatch!(level, _simd => of_piece(piece, others, |other| other)),
    });
    distances.map(u64::from).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::each_level;
    use crate::kernel::h264::noise;

    #[test]
    fn every_level_weighs_as_the_standard_says() {
        let samples: Vec<u8> = (0..=255).cycle().take(600).collect();
        for factor in [0, 1, 31, 64, 100, 127] {
            for shift in 1..=7 {
                for offset in [-128, -3, 0, 40, 127] {
                    let weight = Weight { factor, shift, offset };
                    let right = |sample: &u8| {
                        let product = (i32::from(*sample) * i32::from(factor) + (1 << (shift - 1))) >> shift;
                        (product + i32::from(offset)).clamp(0, 255) as u8
                    };
                    let wanted: Vec<u8> = samples.iter().map(right).collect();
                    each_level!(level => {
                        let mut weighed = samples.clone();
                        weigh_all(level, &mut weighed, weight);
                        assert_eq!(weighed, wanted, "{weight:?}");
                        assert_eq!(distance(level, &wanted, &samples, Some(weight)), 0, "{weight:?}");
                    });
                }
            }
        }
    }

    #[test]
    fn sums_are_those_of_all_samples() {
        for len in [0, 1, 63, 4096, 4097, 10_000] {
            let (samples, others) = (noise(len, 3, 255), noise(len, 4, 0));
            let sum: u64 = samples.iter().map(|&sample| u64::from(sample)).sum();
            let squares = samples.iter().map(|&sample| u64::from(sample).pow(2)).sum();
            let apart = samples.iter().zip(&others).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
            each_level!(level => {
                assert_eq!(moments(level, &samples), [sum, squares]);
                assert_eq!(distance(level, &samples, &others, None), apart);
            });
        }
    }
}
