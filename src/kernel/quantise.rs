//! Quantisation by reciprocal multiplication, in zigzag order.

/// Natural position of each coefficient in zigzag order (ITU-T T.81 figure A.6).
pub const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Divisors of one component's coefficients as multiplications, all in zigzag order.
///
/// A coefficient comes eight times its size, so the divisor is eight steps. For a magnitude `n` up to 2^14 and a divisor
/// `d` up to 2040, `n / d == (n * reciprocal) >> (16 + shift)` exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Quantiser {
    /// Half of the divisor, added first: results round to the nearest.
    pub(crate) half: [u16; 64],
    /// 2^(16 + shift) over the divisor, rounded up.
    pub(crate) reciprocal: [u16; 64],
    /// log2 of the divisor, rounded down (one less for powers of two).
    pub(crate) shift: [u16; 64],
    /// 2^(16 - shift), for processors that have no shift of their own for each lane.
    pub(crate) shift_up: [u16; 64],
    /// The divisors: eight steps.
    pub(crate) divisor: [i16; 64],
    /// The steps themselves, 1..=255, as the file carries them.
    pub(crate) steps: [u8; 64],
}

impl Quantiser {
    /// From the steps of a table in zigzag order; a step of zero is taken for one.
    pub fn new(steps: &[u8; 64]) -> Self {
        let steps = steps.map(|step| step.max(1));
        let divisor = steps.map(|step| 8 * u32::from(step));
        let shift = divisor.map(|d| if d.is_power_of_two() { d.ilog2() - 1 } else { d.ilog2() });
        Self {
            half: divisor.map(|d| (d / 2) as u16),
            reciprocal: std::array::from_fn(|k| (1_u32 << (16 + shift[k])).div_ceil(divisor[k]) as u16),
            shift: shift.map(|s| s as u16),
            shift_up: shift.map(|s| 1 << (16 - s)),
            divisor: divisor.map(|d| d as i16),
            steps,
        }
    }

    /// The steps in zigzag order.
    pub fn steps(&self) -> &[u8; 64] {
        &self.steps
    }

    /// Coefficients in natural order (eight times their size) to quantised ones in zigzag order.
    #[inline(always)]
    pub fn quantise(&self, coefficients: &[[i32; 8]; 8], out: &mut [i16; 64]) {
        let natural = coefficients.as_flattened();
        let mut zigzag = [0_i32; 64];
        for (value, &at) in zigzag.iter_mut().zip(&ZIGZAG) {
            *value = natural[usize::from(at)];
        }
        self.quantise_zigzag(&zigzag, out);
    }

    /// Coefficients in zigzag order (eight times their size) to quantised ones.
    #[inline(always)]
    pub fn quantise_zigzag(&self, zigzag: &[i32; 64], out: &mut [i16; 64]) {
        for k in 0..64 {
            let sum = zigzag[k].unsigned_abs() + u32::from(self.half[k]);
            let magnitude = ((sum * u32::from(self.reciprocal[k])) >> (16 + self.shift[k])) as i32;
            out[k] = if zigzag[k] < 0 { -magnitude } else { magnitude } as i16;
        }
    }

    /// Quantised coefficients in zigzag order back to their values in natural order.
    #[inline(always)]
    pub fn dequantise(&self, quantised: &[i16; 64]) -> [[i32; 8]; 8] {
        let mut natural = [[0; 8]; 8];
        for ((&value, &step), &at) in quantised.iter().zip(&self.steps).zip(&ZIGZAG) {
            natural[usize::from(at / 8)][usize::from(at % 8)] = i32::from(value) * i32::from(step);
        }
        natural
    }
}

/// Bit `k` is set where coefficient `k` is not zero.
#[inline(always)]
pub fn nonzero_mask(quantised: &[i16; 64]) -> u64 {
    let mut mask = 0;
    for (k, &value) in quantised.iter().enumerate() {
        mask |= u64::from(value != 0) << k;
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zigzag_is_a_permutation() {
        let mut seen = [false; 64];
        for at in ZIGZAG {
            assert!(!std::mem::replace(&mut seen[usize::from(at)], true));
        }
    }

    #[test]
    fn every_step_divides_exactly_with_rounding() {
        for step in 1..=255_u8 {
            let quantiser = Quantiser::new(&[step; 64]);
            let divisor = 8 * i32::from(step);
            for first in (-8192_i32..=8192).step_by(64) {
                let block: [[i32; 8]; 8] = std::array::from_fn(|v| std::array::from_fn(|u| first + (8 * v + u) as i32));
                let mut out = [0; 64];
                quantiser.quantise(&block, &mut out);
                for (k, &at) in ZIGZAG.iter().enumerate() {
                    let value = first + i32::from(at);
                    let expected = value.signum() * ((value.abs() + divisor / 2) / divisor);
                    assert_eq!(i32::from(out[k]), expected, "{value} / {divisor}");
                }
            }
        }
    }

    #[test]
    fn masks_and_dequantised_values_sit_where_they_should() {
        let mut quantised = [0_i16; 64];
        (quantised[0], quantised[2], quantised[63]) = (-3, 5, 1);
        assert_eq!(nonzero_mask(&quantised), 1 | 1 << 2 | 1 << 63);
        let natural = Quantiser::new(&[2; 64]).dequantise(&quantised);
        assert_eq!((natural[0][0], natural[1][0], natural[7][7]), (-6, 10, 2));
    }
}
