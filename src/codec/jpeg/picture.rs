//! A frame that is coded.

use super::layout::Layout;
use crate::codec::Cancel;
use crate::frame::Frame;
use crate::kernel::quantise::Quantiser;

/// What all bands of a frame share.
#[derive(Debug)]
pub(super) struct Picture<'a> {
    pub(super) frame: &'a Frame<'a>,
    pub(super) layout: &'a Layout,
    /// Of luma and of chroma.
    pub(super) quantisers: &'a [Quantiser; 2],
    /// Whether the error of luma is summed up.
    pub(super) measure: bool,
    /// Ends passes in their middle.
    pub(super) cancel: &'a Cancel,
}
