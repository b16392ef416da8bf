//! H.264 on the quality scale of JPEG, and what its frames usually cost. Sessions correct the bytes by their own content.

/// Quality of JPEG, and the quantiser parameter of H.264 at which SSIM of luma is the same: means over eight clips of people,
/// sport, traffic, animation and screens. Between them it is linear.
const SCALE: [(f64, f64); 9] = [
    (1.0, 51.0),
    (5.0, 49.0),
    (10.0, 44.0),
    (25.0, 37.0),
    (50.0, 32.0),
    (75.0, 27.0),
    (90.0, 19.0),
    (95.0, 14.0),
    (100.0, 4.0),
];
/// Quantiser parameter of the usual figures below.
const USUAL_QP: f64 = 26.0;
/// Bits a pixel of keyframes and of P frames at [`USUAL_QP`] (geometric means over the same clips), and by how much the quantiser
/// parameter has to rise to halve them.
const KEYFRAME: (f64, f64) = (0.5, 7.5);
const P_FRAME: (f64, f64) = (0.1, 6.5);
/// Pixels of those clips, about, and by which power of the pixels bytes grow where the size of the same picture does: there is less to
/// tell in each.
const USUAL_PIXELS: f64 = 600_000.0;
const BY_PIXELS: f64 = 0.8;
/// Bytes before the first macroblock: parameter sets and headers of keyframes, a header of P frames.
const KEYFRAME_HEADER_BYTES: f64 = 50.0;
const P_FRAME_HEADER_BYTES: f64 = 12.0;
/// How fast a session's own figures are followed: those of keyframes, of P frames, and of P frames over seconds.
const KEYFRAME_SPEED: f64 = 0.5;
const P_FRAME_SPEED: f64 = 0.15;
const USUAL_SPEED: f64 = 0.03;

/// The quantiser parameter for a quality of 1..=100: 51..=4, falling.
pub fn qp_of_quality(quality: u8) -> u8 {
    let quality = f64::from(quality.clamp(1, 100));
    let upper = SCALE.iter().position(|row| row.0 >= quality).unwrap_or(SCALE.len() - 1).max(1);
    let (low, high) = (SCALE[upper - 1], SCALE[upper]);
    let t = (quality - low.0) / (high.0 - low.0);
    (low.1 + t * (high.1 - low.1)).round() as u8
}

/// The quality that a quantiser parameter stands for: the inverse of [`qp_of_quality`], 100 for what is finer than it goes.
pub fn quality_of_qp(qp: f32) -> u8 {
    let qp = f64::from(qp);
    let upper = SCALE.iter().position(|row| row.1 <= qp).unwrap_or(SCALE.len() - 1).max(1);
    let (low, high) = (SCALE[upper - 1], SCALE[upper]);
    let t = ((low.1 - qp) / (low.1 - high.1)).clamp(0.0, 1.0);
    (low.0 + t * (high.0 - low.0)).round() as u8
}

/// Bytes that a frame of `pixels` usually takes at a quality.
pub(crate) fn usual_bytes(pixels: f64, quality: u8, keyframe: bool) -> f64 {
    let ((bits, halving), header) =
        if keyframe { (KEYFRAME, KEYFRAME_HEADER_BYTES) } else { (P_FRAME, P_FRAME_HEADER_BYTES) };
    let pixels = USUAL_PIXELS * (pixels / USUAL_PIXELS).powf(BY_PIXELS);
    header + pixels * bits / 8.0 * 2_f64.powf((USUAL_QP - f64::from(qp_of_quality(quality))) / halving)
}

/// How many times as many bytes as the usual a session's frames take, learned from its packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Complexity {
    /// Of keyframes.
    pub keyframe: f64,
    /// Of P frames of late.
    pub p_frame: f64,
    /// Of P frames over seconds: what sizes go by.
    pub p_frame_usual: f64,
}

impl Default for Complexity {
    fn default() -> Self {
        Self { keyframe: 1.0, p_frame: 1.0, p_frame_usual: 1.0 }
    }
}

impl Complexity {
    /// Follows a packet of `bytes` for a frame of `pixels` at `quality`. P frames are many and moody: they are followed more
    /// slowly.
    pub fn learn(&mut self, pixels: f64, quality: u8, keyframe: bool, bytes: usize) {
        self.follow(keyframe, complexity(pixels, quality, keyframe, bytes));
    }

    /// Follows a frame for which `bytes` were too few at the coarsest quality: it takes more.
    pub(crate) fn learn_lack(&mut self, pixels: f64, keyframe: bool, bytes: u32) {
        let least = complexity(pixels, 1, keyframe, bytes as usize);
        self.follow(keyframe, least.max(self.of(keyframe)));
    }

    fn follow(&mut self, keyframe: bool, seen: f64) {
        if keyframe {
            self.keyframe += KEYFRAME_SPEED * (seen - self.keyframe);
        } else {
            self.p_frame += P_FRAME_SPEED * (seen - self.p_frame);
            self.p_frame_usual += USUAL_SPEED * (seen - self.p_frame_usual);
        }
    }

    /// That of the content whose frame took so many bytes.
    pub(crate) fn with(mut self, pixels: f64, quality: u8, keyframe: bool, bytes: usize) -> Self {
        let of = if keyframe { &mut self.keyframe } else { &mut self.p_frame };
        *of = complexity(pixels, quality, keyframe, bytes);
        self
    }

    /// That of the content over seconds.
    pub(crate) fn usual(self) -> Self {
        Self { p_frame: self.p_frame_usual, ..self }
    }

    pub(crate) fn of(&self, keyframe: bool) -> f64 {
        if keyframe { self.keyframe } else { self.p_frame }
    }
}

fn complexity(pixels: f64, quality: u8, keyframe: bool, bytes: usize) -> f64 {
    (bytes as f64 / usual_bytes(pixels, quality, keyframe)).clamp(0.01, 50.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_quality_is_never_a_coarser_quantiser_and_there_is_a_way_back() {
        assert_eq!((qp_of_quality(1), qp_of_quality(75), qp_of_quality(100)), (51, 27, 4));
        for quality in 1..=100 {
            let qp = qp_of_quality(quality);
            assert!(quality == 1 || qp <= qp_of_quality(quality - 1));
            assert_eq!(qp_of_quality(quality_of_qp(f32::from(qp))), qp, "{quality}");
        }
        assert_eq!((quality_of_qp(0.0), quality_of_qp(51.0), quality_of_qp(27.0)), (100, 1, 75));
        assert!((1..=51).all(|qp| quality_of_qp(qp as f32) <= quality_of_qp(qp as f32 - 1.0)));
    }

    #[test]
    fn bytes_are_learned_for_each_kind_of_frame() {
        let mut complexity = Complexity::default();
        for _ in 0..60 {
            complexity.learn(1e6, 60, false, (3.0 * usual_bytes(1e6, 60, false)) as usize);
            complexity.learn(1e6, 75, true, (usual_bytes(1e6, 75, true) / 2.0) as usize);
        }
        assert!((complexity.p_frame - 3.0).abs() < 0.01 && (complexity.keyframe - 0.5).abs() < 0.01, "{complexity:?}");
        assert!(usual_bytes(1e6, 80, false) > usual_bytes(1e6, 70, false));
    }

    #[test]
    fn what_too_few_bytes_were_for_takes_more_than_them() {
        let mut complexity = Complexity::default();
        complexity.learn_lack(1e6, false, 100);
        assert_eq!(complexity, Complexity::default(), "less than is thought anyway says nothing");
        let bytes = 8.0 * usual_bytes(1e6, 1, false);
        (0..200).for_each(|_| complexity.learn_lack(1e6, false, bytes as u32));
        assert!(complexity.p_frame > 7.5 && complexity.p_frame_usual > 7.0, "{complexity:?}");
    }
}
