//! The [deblocking filter](super::deblock) for AVX2: the 16 lines across an edge at once, in 16-bit lanes.
//!
//! Vertical edges are turned by rounds of interleaving each vector with the one half their number further.

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx2, SimdBase, SimdInto, kernel, u8x16};

use super::deblock::Thresholds;
use super::rows::{rows, store_rows};

kernel! {
    #[inline]
    fn is_near(_token: Avx2, a: __m256i, b: __m256i, limit: __m256i) -> __m256i {
        _mm256_cmpgt_epi16(limit, _mm256_abs_epi16(_mm256_sub_epi16(a, b)))
    }
}

kernel! {
    #[inline]
    fn clamped(_token: Avx2, value: __m256i, limit: __m256i) -> __m256i {
        let least = _mm256_sub_epi16(_mm256_setzero_si256(), limit);
        _mm256_max_epi16(_mm256_min_epi16(value, limit), least)
    }
}

kernel! {
    /// Two vectors of samples.
    #[inline]
    fn packed(_token: Avx2, first: __m256i, second: __m256i) -> [__m128i; 2] {
        let both = _mm256_permute4x64_epi64::<0xD8>(_mm256_packus_epi16(first, second));
        [_mm256_castsi256_si128(both), _mm256_extracti128_si256::<1>(both)]
    }
}

kernel! {
    /// The lines that are filtered: p1, p0, q0, q1 differ by less than the thresholds.
    #[inline]
    fn filtered(token: Avx2, s: [__m256i; 4], thresholds: &Thresholds) -> __m256i {
        let (alpha, beta) = (_mm256_set1_epi16(thresholds.alpha.into()), _mm256_set1_epi16(thresholds.beta.into()));
        let sides = _mm256_and_si256(is_near(token, s[0], s[1], beta), is_near(token, s[3], s[2], beta));
        _mm256_and_si256(sides, is_near(token, s[1], s[2], alpha))
    }
}

kernel! {
    /// tC0 of each line; -1 where nothing is filtered.
    #[inline]
    fn clips(_token: Avx2, thresholds: &Thresholds) -> __m256i {
        let clips = _mm_cvtsi32_si128(i32::from_le_bytes(thresholds.clip.map(|clip| clip as u8)));
        let each = _mm_set_epi8(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
        _mm256_cvtepi8_epi16(_mm_shuffle_epi8(clips, each))
    }
}

kernel! {
    /// How far p0 and q0 move towards each other.
    #[inline]
    fn step(token: Avx2, s: [__m256i; 4], limit: __m256i) -> __m256i {
        let [p1, p0, q0, q1] = s;
        let edge = _mm256_slli_epi16::<2>(_mm256_sub_epi16(q0, p0));
        let sum = _mm256_add_epi16(_mm256_add_epi16(edge, _mm256_sub_epi16(p1, q1)), _mm256_set1_epi16(4));
        clamped(token, _mm256_srai_epi16::<3>(sum), limit)
    }
}

kernel! {
    /// Luma of bS < 4 (8.7.2.3). Samples are p3 to p0, q0 to q3.
    #[inline]
    fn luma_weak(token: Avx2, samples: &mut [__m128i; 8], thresholds: &Thresholds) -> bool {
        let s: [__m256i; 6] = [1, 2, 3, 4, 5, 6].map(|k| _mm256_cvtepu8_epi16(samples[k]));
        let [p2, p1, p0, q0, q1, q2] = s;
        let near = [p1, p0, q0, q1];
        let clip = clips(token, thresholds);
        let is_on = _mm256_cmpgt_epi16(clip, _mm256_set1_epi16(-1));
        let is_on = _mm256_and_si256(is_on, filtered(token, near, thresholds));
        if _mm256_testz_si256(is_on, is_on) == 1 {
            return false;
        }
        let beta = _mm256_set1_epi16(thresholds.beta.into());
        let (is_p_flat, is_q_flat) = (is_near(token, p2, p0, beta), is_near(token, q2, q0, beta));
        let limit = _mm256_sub_epi16(_mm256_sub_epi16(clip, is_p_flat), is_q_flat);
        let delta = _mm256_and_si256(step(token, near, limit), is_on);
        let middle = _mm256_avg_epu16(p0, q0);
        let beside = |far: __m256i, near: __m256i, is_flat: __m256i| {
            let change = _mm256_sub_epi16(_mm256_add_epi16(far, middle), _mm256_slli_epi16::<1>(near));
            let change = clamped(token, _mm256_srai_epi16::<1>(change), clip);
            _mm256_add_epi16(near, _mm256_and_si256(change, _mm256_and_si256(is_flat, is_on)))
        };
        let (p1, q1) = (beside(p2, p1, is_p_flat), beside(q2, q1, is_q_flat));
        [samples[2], samples[3]] = packed(token, p1, _mm256_add_epi16(p0, delta));
        [samples[4], samples[5]] = packed(token, _mm256_sub_epi16(q0, delta), q1);
        true
    }
}

kernel! {
    /// (2 * a1 + a0 + b1 + 2) / 4: the short filter of bS 4.
    #[inline]
    fn short(_token: Avx2, a1: __m256i, a0: __m256i, b1: __m256i) -> __m256i {
        let sum = _mm256_add_epi16(_mm256_add_epi16(a1, a1), _mm256_add_epi16(a0, b1));
        _mm256_srli_epi16::<2>(_mm256_add_epi16(sum, _mm256_set1_epi16(2)))
    }
}

kernel! {
    /// One side's new samples 0, 1 and 2 of bS 4: the long filter where `is_smooth`, else the short one.
    #[inline]
    fn long(token: Avx2, a: [__m256i; 4], b: [__m256i; 2], is_on: __m256i, is_smooth: __m256i) -> [__m256i; 3] {
        let (two, four) = (_mm256_set1_epi16(2), _mm256_set1_epi16(4));
        // a2 + a1 + a0 + b0 is part of all three.
        let sum = _mm256_add_epi16(_mm256_add_epi16(a[2], a[1]), _mm256_add_epi16(a[0], b[0]));
        let inner = _mm256_add_epi16(_mm256_add_epi16(a[1], a[0]), _mm256_add_epi16(b[0], b[1]));
        let first = _mm256_srli_epi16::<3>(_mm256_add_epi16(_mm256_add_epi16(sum, inner), four));
        let second = _mm256_srli_epi16::<2>(_mm256_add_epi16(sum, two));
        let outer = _mm256_slli_epi16::<1>(_mm256_add_epi16(a[3], a[2]));
        let third = _mm256_srli_epi16::<3>(_mm256_add_epi16(_mm256_add_epi16(sum, outer), four));
        let is_long = _mm256_and_si256(is_on, is_smooth);
        let first = _mm256_blendv_epi8(short(token, a[1], a[0], b[1]), first, is_smooth);
        [
            _mm256_blendv_epi8(a[0], first, is_on),
            _mm256_blendv_epi8(a[1], second, is_long),
            _mm256_blendv_epi8(a[2], third, is_long),
        ]
    }
}

kernel! {
    /// Luma of bS 4 (8.7.2.4).
    #[inline]
    fn luma_strong(token: Avx2, samples: &mut [__m128i; 8], thresholds: &Thresholds) -> bool {
        let s: [__m256i; 8] = [0, 1, 2, 3, 4, 5, 6, 7].map(|k| _mm256_cvtepu8_epi16(samples[k]));
        let [p3, p2, p1, p0, q0, q1, q2, q3] = s;
        let is_on = filtered(token, [p1, p0, q0, q1], thresholds);
        if _mm256_testz_si256(is_on, is_on) == 1 {
            return false;
        }
        let beta = _mm256_set1_epi16(thresholds.beta.into());
        let is_close = is_near(token, p0, q0, _mm256_set1_epi16(i16::from(thresholds.alpha >> 2) + 2));
        let is_p_smooth = _mm256_and_si256(is_close, is_near(token, p2, p0, beta));
        let is_q_smooth = _mm256_and_si256(is_close, is_near(token, q2, q0, beta));
        let p = long(token, [p0, p1, p2, p3], [q0, q1], is_on, is_p_smooth);
        let q = long(token, [q0, q1, q2, q3], [p0, p1], is_on, is_q_smooth);
        [samples[1], samples[2]] = packed(token, p[2], p[1]);
        [samples[3], samples[4]] = packed(token, p[0], q[0]);
        [samples[5], samples[6]] = packed(token, q[1], q[2]);
        true
    }
}

kernel! {
    /// Whether a sample of luma changed.
    #[inline]
    fn luma(token: Avx2, samples: &mut [__m128i; 8], thresholds: &Thresholds) -> bool {
        if thresholds.is_strong {
            luma_strong(token, samples, thresholds)
        } else {
            luma_weak(token, samples, thresholds)
        }
    }
}

kernel! {
    /// Chroma of p1, p0, q0, q1: the new p0 and q0, if any line is filtered.
    #[inline]
    fn chroma(token: Avx2, samples: [__m128i; 4], thresholds: &Thresholds) -> Option<[__m128i; 2]> {
        let s = samples.map(|s| _mm256_cvtepu8_epi16(s));
        let [p1, p0, q0, q1] = s;
        let is_on = filtered(token, s, thresholds);
        if thresholds.is_strong {
            let p = _mm256_blendv_epi8(p0, short(token, p1, p0, q1), is_on);
            let q = _mm256_blendv_epi8(q0, short(token, q1, q0, p1), is_on);
            return (_mm256_testz_si256(is_on, is_on) == 0).then(|| packed(token, p, q));
        }
        // tC is tC0 + 1: 0 where nothing is filtered.
        let clip = _mm256_add_epi16(clips(token, thresholds), _mm256_set1_epi16(1));
        let delta = _mm256_and_si256(step(token, s, clip), is_on);
        if _mm256_testz_si256(is_on, is_on) == 1 {
            return None;
        }
        Some(packed(token, _mm256_add_epi16(p0, delta), _mm256_sub_epi16(q0, delta)))
    }
}

kernel! {
    #[inline]
    fn stored(token: Avx2, values: __m128i) -> [u8; 16] {
        let values: u8x16<Avx2> = values.simd_into(token);
        values.into()
    }
}

kernel! {
    /// Three rounds of interleaving eight vectors: from columns of 16 samples to two rows of 8 a vector.
    #[inline]
    fn interleaved(_token: Avx2, vectors: [__m128i; 8]) -> [__m128i; 8] {
        let mut v = vectors;
        for _ in 0..3 {
            let [a, b, c, d, e, f, g, h] = v;
            v = [
                _mm_unpacklo_epi8(a, e), _mm_unpackhi_epi8(a, e), _mm_unpacklo_epi8(b, f), _mm_unpackhi_epi8(b, f),
                _mm_unpacklo_epi8(c, g), _mm_unpackhi_epi8(c, g), _mm_unpacklo_epi8(d, h), _mm_unpackhi_epi8(d, h),
            ];
        }
        v
    }
}

kernel! {
    /// Eight columns of 16 rows.
    #[inline]
    fn columns(token: Avx2, samples: &[u8], stride: usize) -> [__m128i; 8] {
        let r = rows::<8, 16>(samples, stride);
        let both = |k: usize| {
            let row = |k: usize| _mm_cvtsi64_si128(i64::from_le_bytes(*r[k]));
            _mm_unpacklo_epi8(row(k), row(k + 8))
        };
        interleaved(token, [both(0), both(1), both(2), both(3), both(4), both(5), both(6), both(7)])
    }
}

kernel! {
    #[inline]
    fn store_columns(token: Avx2, columns: [__m128i; 8], samples: &mut [u8], stride: usize) {
        let mut turned = [[0; 16]; 8];
        for (two, values) in turned.iter_mut().zip(interleaved(token, columns)) {
            *two = stored(token, values);
        }
        if let Some(rows) = turned.as_flattened().as_chunks::<8>().0.first_chunk::<16>() {
            store_rows(rows, samples, stride);
        }
    }
}

kernel! {
    /// Vertical luma edges; `plane[at]` is the macroblock's first sample.
    #[inline]
    pub(super) fn luma_vertical(token: Avx2, plane: &mut [u8], at: usize, stride: usize, edges: [Option<Thresholds>; 4]) {
        if let [Some(thresholds), None, None, None] = &edges {
            let plane = &mut plane[at - 4..];
            let mut samples = columns(token, plane, stride);
            if luma(token, &mut samples, thresholds) {
                store_columns(token, samples, plane, stride);
            }
            return;
        }
        // The macroblock's columns after the four left of it, by eight; those left may not exist.
        let parts: &[usize] = if edges[0].is_some() { &[0, 8, 12] } else { &[4, 12] };
        let mut all = [_mm_setzero_si128(); 20];
        for &part in parts {
            all[part..part + 8].copy_from_slice(&columns(token, &plane[at + part - 4..], stride));
        }
        let mut is_changed = false;
        for (thresholds, first) in edges.iter().zip([0, 4, 8, 12]) {
            if let (Some(thresholds), Some(samples)) = (thresholds, all[first..].first_chunk_mut()) {
                is_changed |= luma(token, samples, thresholds);
            }
        }
        if is_changed {
            for &part in parts {
                if let Some(&samples) = all[part..].first_chunk() {
                    store_columns(token, samples, &mut plane[at + part - 4..], stride);
                }
            }
        }
    }
}

kernel! {
    /// Horizontal luma edges.
    #[inline]
    pub(super) fn luma_horizontal(token: Avx2, plane: &mut [u8], at: usize, stride: usize, edges: [Option<Thresholds>; 4]) {
        for (e, thresholds) in edges.iter().enumerate() {
            let Some(thresholds) = thresholds else { continue };
            let plane = &mut plane[at + 4 * e * stride - 4 * stride..];
            let mut samples = rows::<16, 8>(plane, stride).map(|row| u8x16::from_slice(token, row).into());
            if luma(token, &mut samples, thresholds) {
                let changed = &samples[1..7];
                let mut out = [[0; 16]; 6];
                for (out, &values) in out.iter_mut().zip(changed) {
                    *out = stored(token, values);
                }
                store_rows(&out, &mut plane[stride..], stride);
            }
        }
    }
}

kernel! {
    /// Two rounds of interleaving four vectors of pairs: from columns of 8 pairs to two rows of 4 a vector.
    #[inline]
    fn interleaved_pairs(_token: Avx2, vectors: [__m128i; 4]) -> [__m128i; 4] {
        let mut v = vectors;
        for _ in 0..2 {
            let [a, b, c, d] = v;
            v = [
                _mm_unpacklo_epi16(a, c), _mm_unpackhi_epi16(a, c), _mm_unpacklo_epi16(b, d), _mm_unpackhi_epi16(b, d),
            ];
        }
        v
    }
}

kernel! {
    /// Vertical chroma edges of an interleaved plane.
    #[inline]
    pub(super) fn chroma_vertical(token: Avx2, plane: &mut [u8], at: usize, stride: usize, edges: [Option<Thresholds>; 2]) {
        for (e, thresholds) in edges.iter().enumerate() {
            let Some(thresholds) = thresholds else { continue };
            let plane = &mut plane[at + 8 * e - 4..];
            let r = rows::<8, 8>(plane, stride);
            let both = |k: usize| {
                let row = |k: usize| _mm_cvtsi64_si128(i64::from_le_bytes(*r[k]));
                _mm_unpacklo_epi16(row(k), row(k + 4))
            };
            let samples = interleaved_pairs(token, [both(0), both(1), both(2), both(3)]);
            let Some([p0, q0]) = chroma(token, samples, thresholds) else { continue };
            let rows = interleaved_pairs(token, [samples[0], p0, q0, samples[3]]);
            let mut turned = [[0; 16]; 4];
            for (two, values) in turned.iter_mut().zip(rows) {
                *two = stored(token, values);
            }
            if let Some(rows) = turned.as_flattened().as_chunks::<8>().0.first_chunk::<8>() {
                store_rows(rows, plane, stride);
            }
        }
    }
}

kernel! {
    /// Horizontal chroma edges of an interleaved plane.
    #[inline]
    pub(super) fn chroma_horizontal(token: Avx2, plane: &mut [u8], at: usize, stride: usize, edges: [Option<Thresholds>; 2]) {
        for (e, thresholds) in edges.iter().enumerate() {
            let Some(thresholds) = thresholds else { continue };
            let plane = &mut plane[at + 4 * e * stride - 2 * stride..];
            let samples = rows::<16, 4>(plane, stride).map(|row| u8x16::from_slice(token, row).into());
            let Some(changed) = chroma(token, samples, thresholds) else { continue };
            store_rows(&changed.map(|values| stored(token, values)), &mut plane[stride..], stride);
        }
    }
}
