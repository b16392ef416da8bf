//! A band of the picture from samples to symbols, four MCUs at a time.

use std::ops::Range;

use super::group::{GROUP_MCUS, Group};
use super::layout::Layout;
use super::luma_error::LumaError;
use super::picture::Picture;
use super::reconstruct::BandPicture;
use super::stripe::Stripe;
use crate::kernel::Simd;
use crate::kernel::symbols::SymbolList;

/// Groups that give their symbols to the histogram that the next frame's tables are made from, where a picture has as many.
const SAMPLED_GROUPS: usize = 64;
/// One group in so many does at least.
const MOST_SPARSE: usize = 8;

/// One group in this many is in the sample of a picture.
pub(super) fn sampled_every(layout: &Layout) -> usize {
    (layout.groups_wide() * layout.mcus_high / SAMPLED_GROUPS).clamp(1, MOST_SPARSE)
}

/// Whether a group is one of those, which lie scattered over the picture.
const fn is_sampled(mcu_row: usize, group: usize, every: usize) -> bool {
    (group + 3 * mcu_row).is_multiple_of(every)
}

/// Where symbols go: to a code stream, or into a histogram.
pub(super) trait Sink {
    /// Takes the symbols of some blocks in the order of the scan; those of some groups are a sample of the picture.
    fn take<S: Simd>(&mut self, simd: S, symbols: &mut SymbolList, is_sample: bool);

    /// Ends restart interval `interval`; another follows unless it is the last.
    fn end_interval<S: Simd>(&mut self, simd: S, interval: usize, is_last: bool);
}

/// Where the coefficients of a band come from.
pub(super) trait Source {
    /// Makes an MCU row ready.
    fn load_row<S: Simd>(&mut self, simd: S, picture: &Picture<'_>, mcu_row: usize);

    /// Quantises group `index` of the row.
    fn quantise_group<S: Simd>(
        &mut self,
        simd: S,
        picture: &Picture<'_>,
        group: &mut Group,
        mcu_row: usize,
        index: usize,
    );
}

/// Straight from the frame.
impl Source for Stripe {
    #[inline(always)]
    fn load_row<S: Simd>(&mut self, simd: S, picture: &Picture<'_>, mcu_row: usize) {
        self.load(simd, picture.frame, picture.layout, mcu_row);
    }

    #[inline(always)]
    fn quantise_group<S: Simd>(
        &mut self,
        simd: S,
        picture: &Picture<'_>,
        group: &mut Group,
        mcu_row: usize,
        index: usize,
    ) {
        if picture.measure {
            group.forward(simd, picture, self, mcu_row, index);
            group.quantise(simd, picture);
        } else {
            group.transform(simd, picture, self, mcu_row, index);
        }
    }
}

/// A band's coefficients as the transform gave them, group by group: two bytes for each sample of the file.
#[derive(Debug, Default)]
pub(super) struct Kept {
    blocks: Vec<[i16; 64]>,
    /// The next group to be read.
    at: usize,
}

impl Source for Kept {
    #[inline(always)]
    fn load_row<S: Simd>(&mut self, _simd: S, _picture: &Picture<'_>, _mcu_row: usize) {}

    #[inline(always)]
    fn quantise_group<S: Simd>(
        &mut self,
        simd: S,
        picture: &Picture<'_>,
        group: &mut Group,
        _row: usize,
        _index: usize,
    ) {
        let count = group.blocks();
        group.quantise_from(simd, picture, &self.blocks[self.at..self.at + count]);
        self.at += count;
    }
}

/// The working memory of a band's scan.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    stripe: Stripe,
    group: Group,
    symbols: SymbolList,
    pub(super) error: LumaError,
}

impl Scanner {
    /// Transforms the restart intervals of a band, gives their symbols to `sink` and, where asked, what a decoder will make of
    /// them to `seen`.
    #[inline(always)]
    pub(super) fn scan<S: Simd, K: Sink>(
        &mut self,
        simd: S,
        picture: &Picture<'_>,
        intervals: Range<usize>,
        sink: &mut K,
        seen: Option<&mut BandPicture>,
    ) {
        let Self { stripe, group, symbols, error } = self;
        stripe.prepare(picture.layout);
        let mut scan = Scan { picture, group, symbols, error, sink, seen };
        scan.run(simd, stripe, intervals);
    }

    /// The same from coefficients that were kept.
    #[inline(always)]
    pub(super) fn scan_kept<S: Simd, K: Sink>(
        &mut self,
        simd: S,
        picture: &Picture<'_>,
        intervals: Range<usize>,
        kept: &mut Kept,
        sink: &mut K,
        seen: Option<&mut BandPicture>,
    ) {
        let Self { group, symbols, error, .. } = self;
        kept.at = 0;
        let mut scan = Scan { picture, group, symbols, error, sink, seen };
        scan.run(simd, kept, intervals);
    }

    /// Transforms the MCU rows of a band and keeps their coefficients.
    #[inline(always)]
    pub(super) fn keep<S: Simd>(&mut self, simd: S, picture: &Picture<'_>, rows: Range<usize>, kept: &mut Kept) {
        let layout = picture.layout;
        self.stripe.prepare(layout);
        self.group.prepare(layout);
        kept.blocks.clear();
        kept.blocks.reserve(rows.len() * layout.groups_wide() * self.group.blocks());
        for mcu_row in rows {
            if picture.cancel.is_raised() {
                return;
            }
            self.stripe.load(simd, picture.frame, layout, mcu_row);
            for index in 0..layout.groups_wide() {
                self.group.forward(simd, picture, &self.stripe, mcu_row, index);
                kept.blocks.extend_from_slice(self.group.exact());
            }
        }
    }

    /// Gives the symbols of one kept group in `every` to `sink`, those that begin with the picture's first.
    #[inline(always)]
    pub(super) fn sample<S: Simd, K: Sink>(
        &mut self,
        simd: S,
        picture: &Picture<'_>,
        rows: Range<usize>,
        kept: &Kept,
        every: usize,
        sink: &mut K,
    ) {
        let (layout, wide) = (picture.layout, picture.layout.groups_wide());
        self.group.prepare(layout);
        let count = self.group.blocks();
        let first = (rows.start * wide).next_multiple_of(every);
        if picture.cancel.is_raised() {
            return;
        }
        for at in (first..rows.end * wide).step_by(every) {
            let from = (at - rows.start * wide) * count;
            self.group.quantise_from(simd, picture, &kept.blocks[from..from + count]);
            let (mcu_row, index) = (at / wide, at % wide);
            let mcus = self.group.whole_mcus(layout, mcu_row, index);
            // What the group before ended with is not known: its own first blocks say about the same.
            let mut before = self.group.first_dcs(layout);
            self.group.list(simd, mcus, &mut before, &mut self.symbols);
            sink.take(simd, &mut self.symbols, true);
        }
    }
}

/// A scan under way.
struct Scan<'a, K> {
    picture: &'a Picture<'a>,
    group: &'a mut Group,
    symbols: &'a mut SymbolList,
    error: &'a mut LumaError,
    sink: &'a mut K,
    seen: Option<&'a mut BandPicture>,
}

impl<K: Sink> Scan<'_, K> {
    #[inline(always)]
    fn run<S: Simd, B: Source>(&mut self, simd: S, source: &mut B, intervals: Range<usize>) {
        let Self { picture, group, symbols, error, sink, seen } = self;
        let layout = picture.layout;
        let every = sampled_every(layout);
        group.prepare(layout);
        **error = LumaError::default();
        for interval in intervals {
            let mut before = [0; 3];
            for mcu_row in layout.rows_of(interval..interval + 1) {
                if picture.cancel.is_raised() {
                    // No bits are left for the next frame.
                    sink.end_interval(simd, interval, true);
                    return;
                }
                source.load_row(simd, picture, mcu_row);
                for index in 0..layout.groups_wide() {
                    source.quantise_group(simd, picture, group, mcu_row, index);
                    let mcus = group.whole_mcus(layout, mcu_row, index);
                    group.list(simd, mcus, &mut before, symbols);
                    sink.take(simd, symbols, is_sampled(mcu_row, index, every));
                    let first_mcu = index * GROUP_MCUS;
                    if picture.measure {
                        error.add(group.luma_error(simd, picture, mcu_row, first_mcu, mcus));
                    }
                    if let Some(seen) = seen.as_deref_mut() {
                        seen.add(simd, picture.quantisers, group.placed(layout, mcu_row, first_mcu, mcus));
                    }
                }
            }
            sink.end_interval(simd, interval, interval + 1 == layout.intervals());
        }
    }
}
