//! What luma and chroma mean: the matrix and the range.

/// The weights of red, green and blue in luma.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// ITU-R BT.601: standard definition, JPEG, and what is assumed where nobody says.
    #[default]
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
}

/// The codes between black and white.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Range {
    /// Luma 16..=235, chroma 16..=240: broadcast, y4m, cameras, and what is assumed where nobody says.
    #[default]
    Limited,
    /// 0..=255: JPEG.
    Full,
}

/// How the samples of a YUV (or grey) frame are to be read. It has no meaning for RGB formats.
///
/// The default is BT.601 in limited range, which is what ffmpeg and y4m tools assume where a stream doesn't say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ColorSpace {
    /// The matrix.
    pub matrix: Matrix,
    /// The range.
    pub range: Range,
}

impl ColorSpace {
    /// BT.601 at full range: what a JFIF file holds.
    pub const JFIF: Self = Self { matrix: Matrix::Bt601, range: Range::Full };
}
