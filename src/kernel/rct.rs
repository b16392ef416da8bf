//! The reversible colour transform, and the splitting of packed rows into planes and back.
//!
//! All arithmetic is modulo 256: `G`, `R - G + 128`, `B - ((R + G) >> 1) + 128` (the sum taken in nine bits). The offset keeps
//! small differences of either sign away from the wrap, where a predictor would stumble.

use fearless_simd::{Level, dispatch};

/// Where red lies in a packed pixel; green is always the second byte, blue the other of 0 and 2, alpha the fourth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

#[inline(always)]
fn transform(red: u8, green: u8, blue: u8) -> [u8; 3] {
    let middle = red.midpoint(green);
    [green, red.wrapping_sub(green).wrapping_add(128), blue.wrapping_sub(middle).wrapping_add(128)]
}

#[inline(always)]
fn invert(green: u8, first: u8, second: u8) -> [u8; 3] {
    let red = first.wrapping_add(green).wrapping_sub(128);
    [red, green, second.wrapping_add(red.midpoint(green)).wrapping_sub(128)]
}

/// Splits a row of three-byte pixels into three transformed planes.
pub(crate) fn split_rgb(level: Level, order: Order, row: &[u8], planes: [&mut [u8]; 3]) {
    match order {
        Order::Rgb => dispatch!(level, _simd => split_rgb_body::<0>(row, planes)),
        Order::Bgr => dispatch!(level, _simd => split_rgb_body::<2>(row, planes)),
    }
}

#[inline(always)]
fn split_rgb_body<const RED: usize>(row: &[u8], planes: [&mut [u8]; 3]) {
    let [a, b, c] = planes;
    for (((pixel, a), b), c) in row.as_chunks::<3>().0.iter().zip(a).zip(b).zip(c) {
        [*a, *b, *c] = transform(pixel[RED], pixel[1], pixel[2 - RED]);
    }
}

/// The inverse of [`split_rgb`].
pub(crate) fn merge_rgb(level: Level, order: Order, planes: [&[u8]; 3], row: &mut [u8]) {
    match order {
        Order::Rgb => dispatch!(level, _simd => merge_rgb_body::<0>(planes, row)),
        Order::Bgr => dispatch!(level, _simd => merge_rgb_body::<2>(planes, row)),
    }
}

#[inline(always)]
fn merge_rgb_body<const RED: usize>(planes: [&[u8]; 3], row: &mut [u8]) {
    let [a, b, c] = planes;
    for (((pixel, &a), &b), &c) in row.as_chunks_mut::<3>().0.iter_mut().zip(a).zip(b).zip(c) {
        let [red, green, blue] = invert(a, b, c);
        pixel[RED] = red;
        pixel[1] = green;
        pixel[2 - RED] = blue;
    }
}

/// Splits a row of four-byte pixels into three transformed planes and alpha.
pub(crate) fn split_rgba(level: Level, order: Order, row: &[u8], planes: [&mut [u8]; 4]) {
    match order {
        Order::Rgb => dispatch!(level, _simd => split_rgba_body::<0>(row, planes)),
        Order::Bgr => dispatch!(level, _simd => split_rgba_body::<2>(row, planes)),
    }
}

#[inline(always)]
fn split_rgba_body<const RED: usize>(row: &[u8], planes: [&mut [u8]; 4]) {
    let [a, b, c, d] = planes;
    for ((((pixel, a), b), c), d) in row.as_chunks::<4>().0.iter().zip(a).zip(b).zip(c).zip(d) {
        [*a, *b, *c] = transform(pixel[RED], pixel[1], pixel[2 - RED]);
        *d = pixel[3];
    }
}

/// The inverse of [`split_rgba`].
pub(crate) fn merge_rgba(level: Level, order: Order, planes: [&[u8]; 4], row: &mut [u8]) {
    match order {
        Order::Rgb => dispatch!(level, _simd => merge_rgba_body::<0>(planes, row)),
        Order::Bgr => dispatch!(level, _simd => merge_rgba_body::<2>(planes, row)),
    }
}

#[inline(always)]
fn merge_rgba_body<const RED: usize>(planes: [&[u8]; 4], row: &mut [u8]) {
    let [a, b, c, d] = planes;
    for ((((pixel, &a), &b), &c), &d) in row.as_chunks_mut::<4>().0.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        let [red, green, blue] = invert(a, b, c);
        pixel[RED] = red;
        pixel[1] = green;
        pixel[2 - RED] = blue;
        pixel[3] = d;
    }
}

/// Splits a row of byte pairs: NV12 chroma into U and V.
pub(crate) fn split_pairs(level: Level, row: &[u8], planes: [&mut [u8]; 2]) {
    dispatch!(level, _simd => split_pairs_body(row, planes));
}

#[inline(always)]
fn split_pairs_body(row: &[u8], planes: [&mut [u8]; 2]) {
    let [a, b] = planes;
    for ((pair, a), b) in row.as_chunks::<2>().0.iter().zip(a).zip(b) {
        [*a, *b] = *pair;
    }
}

/// The inverse of [`split_pairs`].
pub(crate) fn merge_pairs(level: Level, planes: [&[u8]; 2], row: &mut [u8]) {
    dispatch!(level, _simd => merge_pairs_body(planes, row));
}

#[inline(always)]
fn merge_pairs_body(planes: [&[u8]; 2], row: &mut [u8]) {
    let [a, b] = planes;
    for ((pair, &a), &b) in row.as_chunks_mut::<2>().0.iter_mut().zip(a).zip(b) {
        *pair = [a, b];
    }
}

/// Where luma lies in a packed 4:2:2 group of four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Y U Y V.
    Yuyv,
    /// U Y V Y.
    Uyvy,
}

/// Splits a packed 4:2:2 row into Y (two samples a group), U and V.
pub(crate) fn split_422(level: Level, packing: Packing, row: &[u8], planes: [&mut [u8]; 3]) {
    match packing {
        Packing::Yuyv => dispatch!(level, _simd => split_422_body::<0>(row, planes)),
        Packing::Uyvy => dispatch!(level, _simd => split_422_body::<1>(row, planes)),
    }
}

#[inline(always)]
fn split_422_body<const LUMA: usize>(row: &[u8], planes: [&mut [u8]; 3]) {
    let [luma, u, v] = planes;
    let luma = luma.as_chunks_mut::<2>().0;
    for (((group, luma), u), v) in row.as_chunks::<4>().0.iter().zip(luma).zip(u).zip(v) {
        *luma = [group[LUMA], group[LUMA + 2]];
        *u = group[1 - LUMA];
        *v = group[3 - LUMA];
    }
}

/// The inverse of [`split_422`].
pub(crate) fn merge_422(level: Level, packing: Packing, planes: [&[u8]; 3], row: &mut [u8]) {
    match packing {
        Packing::Yuyv => dispatch!(level, _simd => merge_422_body::<0>(planes, row)),
        Packing::Uyvy => dispatch!(level, _simd => merge_422_body::<1>(planes, row)),
    }
}

#[inline(always)]
fn merge_422_body<const LUMA: usize>(planes: [&[u8]; 3], row: &mut [u8]) {
    let [luma, u, v] = planes;
    let luma = luma.as_chunks::<2>().0;
    for (((group, luma), &u), &v) in row.as_chunks_mut::<4>().0.iter_mut().zip(luma).zip(u).zip(v) {
        group[LUMA] = luma[0];
        group[LUMA + 2] = luma[1];
        group[1 - LUMA] = u;
        group[3 - LUMA] = v;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::each_level;

    fn ramp(count: usize) -> Vec<u8> {
        (0..count).map(|i| (i * 89 + i / 7) as u8).collect()
    }

    #[test]
    fn the_transform_is_as_documented_and_inverts() {
        for red in 0..=255_u8 {
            for green in 0..=255_u8 {
                for blue in (0..=255_u8).step_by(15) {
                    let [a, b, c] = transform(red, green, blue);
                    let wide = [red, green, blue].map(i32::from);
                    assert_eq!(a, green);
                    assert_eq!(b, (wide[0] - wide[1] + 128).rem_euclid(256) as u8);
                    assert_eq!(c, (wide[2] - ((wide[0] + wide[1]) >> 1) + 128).rem_euclid(256) as u8);
                    assert_eq!(invert(a, b, c), [red, green, blue]);
                }
            }
        }
    }

    #[test]
    fn rows_of_every_packing_come_back() {
        each_level!(level => {
            for n in [1, 2, 15, 64, 131] {
                let [mut a, mut b, mut c, mut d] = [(); 4].map(|()| vec![0; n]);
                let mut luma = vec![0; 2 * n];
                for order in [Order::Rgb, Order::Bgr] {
                    let (row, mut back) = (ramp(3 * n), vec![0; 3 * n]);
                    split_rgb(level, order, &row, [&mut a, &mut b, &mut c]);
                    assert_eq!(a[0], row[1]);
                    assert_eq!(b[0], row[if order == Order::Rgb { 0 } else { 2 }].wrapping_sub(row[1]).wrapping_add(128));
                    merge_rgb(level, order, [&a, &b, &c], &mut back);
                    assert_eq!(back, row);
                    let (row, mut back) = (ramp(4 * n), vec![0; 4 * n]);
                    split_rgba(level, order, &row, [&mut a, &mut b, &mut c, &mut d]);
                    assert_eq!(d[0], row[3]);
                    merge_rgba(level, order, [&a, &b, &c, &d], &mut back);
                    assert_eq!(back, row);
                }
                for (packing, at) in [(Packing::Yuyv, [0, 1, 3]), (Packing::Uyvy, [1, 0, 2])] {
                    let (row, mut back) = (ramp(4 * n), vec![0; 4 * n]);
                    split_422(level, packing, &row, [&mut luma, &mut a, &mut b]);
                    assert_eq!([luma[0], a[0], b[0]], at.map(|i| row[i]));
                    merge_422(level, packing, [&luma, &a, &b], &mut back);
                    assert_eq!(back, row);
                }
                let (row, mut back) = (ramp(2 * n), vec![0; 2 * n]);
                split_pairs(level, &row, [&mut a, &mut b]);
                assert_eq!([a[0], b[0]], row[..2]);
                merge_pairs(level, [&a, &b], &mut back);
                assert_eq!(back, row);
            }
        });
    }
}
