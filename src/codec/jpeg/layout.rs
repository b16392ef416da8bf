//! The geometry of a file: components, MCUs and restart intervals (ITU-T T.81 A.1, A.2).

use std::ops::Range;

use super::group::GROUP_MCUS;
use super::{JpegConfig, Subsampling};
use crate::frame::{Frame, PixelFormat};

/// One component of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Component {
    /// Sampling factors: blocks of an MCU side by side and above each other.
    pub(super) horizontal: usize,
    pub(super) vertical: usize,
    /// Samples.
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Component {
    /// Blocks in a row that hold samples of the picture; an MCU may reach beyond.
    pub(super) const fn blocks_wide(&self) -> usize {
        self.width.div_ceil(8)
    }

    /// Rows of blocks that hold samples of the picture.
    pub(super) const fn blocks_high(&self) -> usize {
        self.height.div_ceil(8)
    }
}

/// The geometry of a frame's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) width: usize,
    pub(super) height: usize,
    components: [Component; 3],
    count: usize,
    pub(super) mcus_wide: usize,
    pub(super) mcus_high: usize,
    /// MCU rows of a restart interval; all of them where there are no restarts.
    pub(super) interval_rows: usize,
}

impl Layout {
    pub(super) fn new(frame: &Frame<'_>, config: &JpegConfig) -> Self {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let is_grey = frame.format() == PixelFormat::Gray8;
        let (horizontal, vertical) = match config.subsampling {
            _ if is_grey => (1, 1),
            Subsampling::S420 => (2, 2),
            Subsampling::S422 => (2, 1),
            Subsampling::S444 => (1, 1),
        };
        let chroma = Component {
            horizontal: 1,
            vertical: 1,
            width: width.div_ceil(horizontal),
            height: height.div_ceil(vertical),
        };
        let mcus_wide = width.div_ceil(8 * horizontal);
        let mcus_high = height.div_ceil(8 * vertical);
        // DRI counts MCUs in 16 bits.
        let most_rows = usize::from(u16::MAX) / mcus_wide;
        let interval_rows = match usize::from(config.restart_rows).min(most_rows) {
            0 => mcus_high,
            rows => rows.min(mcus_high),
        };
        Self {
            width,
            height,
            components: [Component { horizontal, vertical, width, height }, chroma, chroma],
            count: if is_grey { 1 } else { 3 },
            mcus_wide,
            mcus_high,
            interval_rows,
        }
    }

    /// One component for grey, three otherwise.
    pub(super) fn components(&self) -> &[Component] {
        &self.components[..self.count]
    }

    /// Kinds of components, which have tables of their own: luma, and chroma where there is any.
    pub(super) const fn kinds(&self) -> usize {
        if self.count > 1 { 2 } else { 1 }
    }

    /// Luma blocks of an MCU.
    pub(super) const fn luma_blocks(&self) -> usize {
        self.components[0].horizontal * self.components[0].vertical
    }

    /// Groups of MCUs side by side.
    pub(super) const fn groups_wide(&self) -> usize {
        self.mcus_wide.div_ceil(GROUP_MCUS)
    }

    /// MCU rows of some restart intervals.
    pub(super) fn rows_of(&self, intervals: Range<usize>) -> Range<usize> {
        intervals.start * self.interval_rows..(intervals.end * self.interval_rows).min(self.mcus_high)
    }

    /// MCUs of a restart interval, 0 where the scan is one interval.
    pub(super) fn restart_mcus(&self) -> u16 {
        if self.intervals() > 1 { (self.interval_rows * self.mcus_wide) as u16 } else { 0 }
    }

    /// Restart intervals of the scan.
    pub(super) const fn intervals(&self) -> usize {
        self.mcus_high.div_ceil(self.interval_rows)
    }
}
