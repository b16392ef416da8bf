//! Luma and chroma to red, green and blue, for pictures that are looked at.

const BITS: u32 = 16;
const HALF: i32 = 1 << (BITS - 1);

/// One matrix and range as fixed-point factors: what ITU-T H.273 8.3 states for full and limited range, inverted.
#[derive(Clone, Copy, Debug)]
pub struct YuvToRgb {
    black: i32,
    luma: i32,
    red_of_cr: i32,
    green_of_cb: i32,
    green_of_cr: i32,
    blue_of_cb: i32,
}

impl YuvToRgb {
    /// The conversion for the weights of red and blue in luma (such as 0.299 and 0.114), in full or limited range.
    pub fn new(red: f64, blue: f64, full: bool) -> Self {
        let green = 1.0 - red - blue;
        let (black, luma, chroma) = if full { (0, 1.0, 1.0) } else { (16, 255.0 / 219.0, 255.0 / 224.0) };
        let fixed = |factor: f64| (factor * f64::from(1 << BITS)).round() as i32;
        Self {
            black,
            luma: fixed(luma),
            red_of_cr: fixed(2.0 * (1.0 - red) * chroma),
            green_of_cb: fixed(2.0 * (1.0 - blue) * blue / green * chroma),
            green_of_cr: fixed(2.0 * (1.0 - red) * red / green * chroma),
            blue_of_cb: fixed(2.0 * (1.0 - blue) * chroma),
        }
    }

    /// Red, green and blue in full range, rounded and clamped.
    #[inline]
    pub fn rgb(&self, y: u8, cb: u8, cr: u8) -> [u8; 3] {
        let luma = (i32::from(y) - self.black) * self.luma + HALF;
        let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
        let clamp = |value: i32| (value >> BITS).clamp(0, 255) as u8;
        [
            clamp(luma + cr * self.red_of_cr),
            clamp(luma - cb * self.green_of_cb - cr * self.green_of_cr),
            clamp(luma + cb * self.blue_of_cb),
        ]
    }

    /// A grey sample in full range.
    #[inline]
    pub fn gray(&self, y: u8) -> u8 {
        self.rgb(y, 128, 128)[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The equations of H.273 in floating point.
    fn exact(red: f64, blue: f64, full: bool, [y, cb, cr]: [u8; 3]) -> [u8; 3] {
        let [y, cb, cr] = [y, cb, cr].map(f64::from);
        let (y, cb, cr) = if full {
            (y / 255.0, (cb - 128.0) / 255.0, (cr - 128.0) / 255.0)
        } else {
            ((y - 16.0) / 219.0, (cb - 128.0) / 224.0, (cr - 128.0) / 224.0)
        };
        let r = y + 2.0 * (1.0 - red) * cr;
        let b = y + 2.0 * (1.0 - blue) * cb;
        let g = (y - red * r - blue * b) / (1.0 - red - blue);
        [r, g, b].map(|value| (value * 255.0).round().clamp(0.0, 255.0) as u8)
    }

    #[test]
    fn every_code_is_within_one_of_the_exact_conversion() {
        for (red, blue) in [(0.299, 0.114), (0.2126, 0.0722)] {
            for full in [true, false] {
                let converter = YuvToRgb::new(red, blue, full);
                for y in 0..=255 {
                    for cb in (0..=255).step_by(5) {
                        for cr in (0..=255).step_by(5) {
                            let (ours, exact) = (converter.rgb(y, cb, cr), exact(red, blue, full, [y, cb, cr]));
                            let near = ours.iter().zip(exact).all(|(&ours, exact)| ours.abs_diff(exact) <= 1);
                            assert!(near, "{y} {cb} {cr}: {ours:?}, exactly {exact:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn black_and_white_are_exact_and_full_range_grey_is_kept() {
        let limited = YuvToRgb::new(0.299, 0.114, false);
        assert_eq!(limited.rgb(16, 128, 128), [0; 3]);
        assert_eq!(limited.rgb(235, 128, 128), [255; 3]);
        let full = YuvToRgb::new(0.2126, 0.0722, true);
        assert!((0..=255).all(|y| full.gray(y) == y));
    }
}
