//! [`quantise`](super::quantise): against the definitions, at every SIMD level.

use fearless_simd::dispatch;

use super::noise::Noise;
use super::quantise::*;
use super::quantiser::Rounding;
use super::transform8::{Plane8, Planes8};
use super::{Planes, transform4, transform8};
use crate::kernel::each_level;
use crate::kernel::quantise::ZIGZAG as ZIGZAG_8X8;

/// The field's multipliers, of quantiser parameters 0..=5, for positions with even coordinates, odd ones, and the rest.
const MULTIPLIERS: [[i64; 3]; 6] = [
    [13107, 5243, 8066],
    [11916, 4660, 7490],
    [10082, 4194, 6554],
    [9362, 3647, 5825],
    [8192, 3355, 5243],
    [7282, 2893, 4559],
];
const MULTIPLIERS_8X8: [[i64; 6]; 6] = [
    [13107, 11428, 20972, 12222, 16777, 15481],
    [11916, 10826, 19174, 11058, 14980, 14290],
    [10082, 8943, 15978, 9675, 12710, 11985],
    [9362, 8228, 14913, 8931, 11984, 11259],
    [8192, 7346, 13159, 7740, 10486, 9777],
    [7282, 6428, 11570, 6830, 9118, 8640],
];

fn planes<const N: usize>(noise: &mut Noise, qp: u8) -> Planes<N> {
    // Few levels beyond one, many zeros: what there is to decide.
    let bound = [40, 300, 4080][noise.next() as usize % 3];
    let mut planes: Planes<N> = noise.signed_rows(bound << (qp / 12).min(5).min(if bound > 300 { 0 } else { 5 }));
    for plane in &mut planes {
        if noise.next().is_multiple_of(3) {
            *plane = [0; N];
        }
    }
    planes
}

/// One that falls, and one that is the same everywhere.
const ROUNDING: [Rounding; 2] = [Rounding { low: 20, fall: 16 }, Rounding::even(11)];

/// One level by its definition.
fn expected(coefficient: i16, factor: u16, bias: u16, max: i64) -> i16 {
    let magnitude = ((i64::from(coefficient).abs() + i64::from(bias)) * i64::from(factor) / 65536).min(max);
    (magnitude * i64::from(coefficient).signum()) as i16
}

fn check_planes<const N: usize>(noise: &mut Noise, qp: u8) {
    let q = Quantiser::new(qp, ROUNDING[usize::from(qp % 2)]);
    let coefficients: Planes<N> = planes(noise, qp);
    let levels: Planes<N> = std::array::from_fn(|p| coefficients[p].map(|c| expected(c, q.factor[p], q.bias[p], 2063)));
    let mask = |first: usize| -> u32 { (0..N).map(|b| u32::from((first..16).any(|p| levels[p][b] != 0)) << b).sum() };
    let zigzag: [[i16; 16]; N] =
        std::array::from_fn(|b| std::array::from_fn(|k| levels[usize::from(ZIGZAG_4X4[k])][b]));
    let score = |b: usize, first: usize| {
        let (mut run, mut score) = (0, 0);
        for &level in &zigzag[b][first..] {
            if level == 0 {
                run += 1;
                continue;
            }
            score += [3, 2, 2, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][run] + if level.abs() > 1 { 9 } else { 0 };
            run = 0;
        }
        score
    };
    each_level!(level => {
        let (mut whole, mut ac) = (coefficients, coefficients);
        assert_eq!(dispatch!(level, simd => quantise(simd, &mut whole, &q)), mask(0));
        assert_eq!(whole, levels);
        assert_eq!(dispatch!(level, simd => quantise_ac(simd, &mut ac, &q)), mask(1));
        assert_eq!((ac[0], &ac[1..]), (coefficients[0], &levels[1..]));
        assert_eq!(dispatch!(level, simd => is_zero(simd, &coefficients, &q)), mask(0) == 0);
        let mut turned = [[0; 16]; N];
        dispatch!(level, simd => levels_zigzag(simd, &levels, &mut turned));
        assert_eq!(turned, zigzag);
        let scores = dispatch!(level, simd => lone_ones(simd, &levels));
        let scores_ac = dispatch!(level, simd => lone_ones_ac(simd, &levels));
        for b in 0..N {
            for (is, first) in [(scores[b], 0), (scores_ac[b], 1)] {
                // Beyond nine they only need to say so.
                assert_eq!(is.min(NOT_LONE), score(b, first).min(i32::from(NOT_LONE)) as u8);
            }
            let natural: [i16; 16] = std::array::from_fn(|p| coefficients[p][b]);
            let mut one = [0; 16];
            assert_eq!(dispatch!(level, simd => quantise_4x4(simd, &natural, &q, &mut one)), mask(0) >> b & 1 == 1);
            assert_eq!(one, zigzag[b]);
        }
        let mut scaled = [[0; N]; 16];
        dispatch!(level, simd => dequantise(simd, &levels, &q, &mut scaled));
        for (b, zigzag) in zigzag.iter().enumerate() {
            let one = dispatch!(level, simd => dequantise_4x4(simd, zigzag, &q));
            for p in 0..16 {
                assert_eq!(i32::from(scaled[p][b]), i32::from(levels[p][b]) * i32::from(q.step[p]));
                assert_eq!(one[p], scaled[p][b]);
            }
        }
    });
}

#[test]
fn planes_become_levels_and_scaled_coefficients() {
    let mut noise = Noise(4);
    for round in 0..520 {
        check_planes::<16>(&mut noise, (round % 52) as u8);
        check_planes::<8>(&mut noise, (round % 52) as u8);
    }
}

#[test]
fn eight_by_eight_blocks_become_levels_and_scaled_coefficients() {
    let mut noise = Noise(6);
    for round in 0..260 {
        let qp = (round % 52) as u8;
        let q = Quantiser8::new(qp, ROUNDING[usize::from(qp % 2)]);
        let coefficients: Planes8 = planes(&mut noise, qp);
        let levels: Planes8 = std::array::from_fn(|row| {
            std::array::from_fn(|x| expected(coefficients[row][x], q.factor[row % 8][x], q.bias[row % 8][x], 2047))
        });
        // By block, [u][v].
        let block = |from: &Planes8, b: usize| -> Plane8 {
            std::array::from_fn(|u| std::array::from_fn(|v| from[8 * (b / 2) + u][8 * (b % 2) + v]))
        };
        let zigzag: [[i16; 64]; 4] =
            std::array::from_fn(|b| ZIGZAG_8X8.map(|p| block(&levels, b)[usize::from(p) % 8][usize::from(p) / 8]));
        let coded: [bool; 4] = std::array::from_fn(|b| zigzag[b] != [0; 64]);
        let scale: [[i32; 16]; 16] = std::array::from_fn(|row| {
            std::array::from_fn(|x| {
                // 8.5.13's two forms.
                let level_scale = if qp >= 12 {
                    (16 * i32::from(q.step[row % 8][x])) >> (qp / 6 - 2)
                } else {
                    16 * i32::from(q.step[row % 8][x])
                };
                let (level, octave) = (i32::from(levels[row][x]), qp / 6);
                if qp >= 36 {
                    (level * level_scale) << (octave - 6)
                } else {
                    (level * level_scale + (1 << (5 - octave))) >> (6 - octave)
                }
            })
        });
        each_level!(level => {
            let mut is = coefficients;
            let mask = dispatch!(level, simd => quantise8(simd, &mut is, &q));
            assert_eq!((is, mask), (levels, (0..4).map(|b| u32::from(coded[b]) << b).sum()));
            let mut turned = [[0; 64]; 4];
            dispatch!(level, simd => levels_zigzag8(simd, &levels, &mut turned));
            assert_eq!(turned, zigzag);
            let mut scaled = [[0; 16]; 16];
            dispatch!(level, simd => dequantise8(simd, &levels, &q, &mut scaled));
            assert_eq!(scaled.map(|row| row.map(i32::from)), scale);
            for b in 0..4 {
                let mut one = [1; 64];
                let some = dispatch!(level, simd => quantise_8x8(simd, &block(&coefficients, b), &q, &mut one));
                assert_eq!((one, some), (zigzag[b], coded[b]));
                let back = dispatch!(level, simd => dequantise_8x8(simd, &zigzag[b], &q));
                assert_eq!(back, block(&scaled, b));
                let mut score = 0;
                let mut run = 0;
                for &level in &zigzag[b] {
                    run = if level == 0 { run + 1 } else {
                        score += [3, 2, 1, 0][[4, 12, 24, 64].iter().position(|&end| run < end).unwrap()];
                        0
                    };
                }
                if zigzag[b].iter().any(|level| level.abs() > 1) {
                    score = i32::from(NOT_LONE);
                }
                let is = dispatch!(level, simd => lone_ones_8x8(simd, &zigzag[b]));
                assert_eq!(is.min(NOT_LONE), score.min(i32::from(NOT_LONE)) as u8);
            }
        });
    }
}

#[test]
fn the_factors_are_the_field_s() {
    for qp in 0..52_u8 {
        let (row, octave) = (usize::from(qp % 6), qp / 6);
        for offset in [11, 21, 32] {
            let (q, q8) = (Quantiser::new(qp, Rounding::even(offset)), Quantiser8::new(qp, Rounding::even(offset)));
            let near = |factor: u16, bias: u16, exact: f64| {
                assert!((f64::from(factor) - exact).abs() <= 0.51 + exact / 10_000.0, "{qp}: {factor} for {exact}");
                let part = f64::from(bias) * f64::from(factor) / 65536.0;
                assert!((part - f64::from(offset) / 64.0).abs() <= f64::from(factor) / 65536.0, "{part} for {offset}");
            };
            for p in 0..16 {
                let class = match (p % 2, p / 4 % 2) {
                    (0, 0) => 0,
                    (1, 1) => 1,
                    _ => 2,
                };
                near(q.factor[p], q.bias[p], MULTIPLIERS[row][class] as f64 * 2.0 / f64::from(1 << octave));
            }
            for (x, y) in (0..64).map(|p| (p % 8, p / 8)) {
                let class = [[0, 3, 4, 3], [3, 1, 5, 1], [4, 5, 2, 5], [3, 1, 5, 1]][y % 4][x % 4];
                near(q8.factor[y][x], q8.bias[y][x], MULTIPLIERS_8X8[row][class] as f64 / f64::from(1 << octave));
                assert_eq!((q8.factor[y][x], q8.step[y][x]), (q8.factor[y][x + 8], q8.step[y][x + 8]));
            }
            assert_eq!(i64::from(q.dc_factor), MULTIPLIERS[row][0]);
        }
    }
}

#[test]
fn direct_coefficients_of_the_second_transform() {
    let mut noise = Noise(8);
    for qp in 0..52_u8 {
        let q = Quantiser::new(qp, Rounding::even(21));
        let (v, octave) = ([10, 11, 13, 14, 16, 18][usize::from(qp % 6)], u32::from(qp / 6));
        let [dc]: [[i16; 16]; 1] = noise.signed_rows(32_640);
        each_level!(level => {
            let mut levels = dc;
            let some = dispatch!(level, simd => quantise_dc(simd, &mut levels, &q));
            assert_eq!(some, levels != [0; 16]);
            for (&level, &c) in levels.iter().zip(&dc) {
                let shift = 16 + octave;
                let factor = MULTIPLIERS[usize::from(qp % 6)][0];
                let magnitude = (i64::from(c).abs() * factor + (21 << shift) / 64) >> shift;
                assert_eq!(i64::from(level), magnitude.min(2063) * i64::from(c).signum());
            }
            let mut scaled = levels;
            dispatch!(level, simd => dequantise_luma_dc(simd, &mut scaled, &q));
            for (&scaled, &level) in scaled.iter().zip(&levels) {
                let f = i32::from(level) * 16 * v;
                let expected =
                    if qp >= 36 { f << (octave - 6) } else { (f + (1 << (5 - octave))) >> (6 - octave) };
                assert_eq!(scaled, expected as i16);
            }
            let four = [levels[0], levels[1], levels[2], levels[3]];
            assert_eq!(dequantise_chroma_dc(four, &q), four.map(|l| (((i32::from(l) * 16 * v) << octave) >> 5) as i16));
        });
    }
}

#[test]
fn what_is_coded_comes_back_within_a_step() {
    let mut noise = Noise(9);
    for qp in 0..52_u8 {
        let level = crate::kernel::detect();
        let (source, prediction): (super::Luma, super::Luma) = (noise.rows(0), noise.rows(1));
        let (q, q8) = (Quantiser::new(qp, Rounding::even(32)), Quantiser8::new(qp, Rounding::even(32)));
        let step = 0.625 * f64::powf(2.0, f64::from(qp) / 6.0);
        let error = |out: &super::Luma| {
            let each = out.as_flattened().iter().zip(source.as_flattened());
            let squares: i32 = each.map(|(&a, &b)| (i32::from(a) - i32::from(b)).pow(2)).sum();
            f64::from(squares) / 256.0
        };
        let (mut planes, mut scaled, mut out) = ([[0; 16]; 16], [[0; 16]; 16], [[0; 16]; 16]);
        dispatch!(level, simd => {
            transform4::residual_luma(simd, &source, &prediction, &mut planes);
            transform4::forward(simd, &mut planes);
            quantise(simd, &mut planes, &q);
            dequantise(simd, &planes, &q, &mut scaled);
            transform4::inverse(simd, &mut scaled);
            transform4::add_luma(simd, &prediction, &scaled, &mut out);
        });
        assert!(error(&out) < 0.3 + step * step / 10.0, "{} at {qp}", error(&out));
        dispatch!(level, simd => {
            transform8::residual_luma8(simd, &source, &prediction, &mut planes);
            transform8::forward8(simd, &mut planes);
            quantise8(simd, &mut planes, &q8);
            dequantise8(simd, &planes, &q8, &mut scaled);
            transform8::inverse8(simd, &mut scaled);
            transform8::add_luma8(simd, &prediction, &scaled, &mut out);
        });
        assert!(error(&out) < 0.3 + step * step / 10.0, "{} at {qp}, 8x8", error(&out));
    }
}

/// Differences that add up to no more than the limits, however they are spread and whatever their signs, leave no levels; and
/// the limits are worth having.
#[test]
fn differences_under_the_limits_become_nothing() {
    let mut noise = Noise(10);
    for (qp, offset) in (0..52_u8).flat_map(|qp| [(qp, 13), (qp, 15), (qp, 23), (qp, 32)]) {
        let q = Quantiser::new(qp, Rounding::even(offset));
        let step = 0.625 * f64::powf(2.0, f64::from(qp) / 6.0);
        // Half a step at least rounds to nothing in a coefficient of twice the step's length or more.
        assert!(f64::from(q.sad_limit) + 1.0 >= step && f64::from(q.dc_sad_limit) + 1.0 >= 3.9 * step, "{qp}: {q:?}");
        for round in 0..20 {
            // All in one place, the worst case, or spread.
            let places = [1, 2, 4, 16][round % 4];
            let mut planes: Planes<16> = [[0; 16]; 16];
            let first = noise.next() as usize % 16;
            let share = (i32::from(q.sad_limit) / places as i32).min(255) as i16;
            for k in 0..places {
                for value in &mut planes[(first + k * 16 / places) % 16] {
                    *value = if noise.next().is_multiple_of(2) { share } else { -share };
                }
            }
            let level = crate::kernel::detect();
            dispatch!(level, simd => transform4::forward(simd, &mut planes));
            assert!(dispatch!(level, simd => is_zero(simd, &planes, &q)), "{qp}, {places} places");
        }
        let level = crate::kernel::detect();
        for sum in [q.dc_sad_limit as i16, -(q.dc_sad_limit as i16)] {
            assert!(!dispatch!(level, simd => quantise_dc(simd, &mut [sum; 4], &q)), "{qp}: {sum}");
        }
    }
}
