//! Levels: what a decoder must be able to do (ITU-T H.264 Table A-1).

use crate::error::Error;

/// One row of Table A-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// level_idc: ten times the level's number.
    pub(super) idc: u8,
    /// MaxMBPS: macroblocks per second.
    pub(super) macroblocks_per_s: u64,
    /// MaxFS: macroblocks of a frame.
    pub(super) frame_macroblocks: u64,
    /// MaxDpbMbs: macroblocks of the decoded picture buffer.
    pub(super) buffer_macroblocks: u64,
    /// MaxBR of Baseline and Main, in 1000 bits per second.
    pub(super) bitrate_kbps: u64,
    /// Vertical motion vectors reach this far up, and a quarter sample less down, in luma samples.
    pub(super) vertical_reach: u16,
}

const fn level(idc: u8, per_s: u64, frame: u64, buffer: u64, kbps: u64, vertical_reach: u16) -> Level {
    Level {
        idc,
        macroblocks_per_s: per_s,
        frame_macroblocks: frame,
        buffer_macroblocks: buffer,
        bitrate_kbps: kbps,
        vertical_reach,
    }
}

/// Lowest first. Level 1b is left out: it differs from 1 in its rate only, and 1.1 takes its streams.
pub(super) const LEVELS: [Level; 19] = [
    level(10, 1_485, 99, 396, 64, 64),
    level(11, 3_000, 396, 900, 192, 128),
    level(12, 6_000, 396, 2_376, 384, 128),
    level(13, 11_880, 396, 2_376, 768, 128),
    level(20, 11_880, 396, 2_376, 2_000, 128),
    level(21, 19_800, 792, 4_752, 4_000, 256),
    level(22, 20_250, 1_620, 8_100, 4_000, 256),
    level(30, 40_500, 1_620, 8_100, 10_000, 256),
    level(31, 108_000, 3_600, 18_000, 14_000, 512),
    level(32, 216_000, 5_120, 20_480, 20_000, 512),
    level(40, 245_760, 8_192, 32_768, 20_000, 512),
    level(41, 245_760, 8_192, 32_768, 50_000, 512),
    level(42, 522_240, 8_704, 34_816, 50_000, 512),
    level(50, 589_824, 22_080, 110_400, 135_000, 512),
    level(51, 983_040, 36_864, 184_320, 240_000, 512),
    level(52, 2_073_600, 36_864, 184_320, 240_000, 512),
    level(60, 4_177_920, 139_264, 696_320, 240_000, 8192),
    level(61, 8_355_840, 139_264, 696_320, 480_000, 8192),
    level(62, 16_711_680, 139_264, 696_320, 800_000, 8192),
];

/// What a stream asks of its decoder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    pub(super) width_macroblocks: u64,
    pub(super) height_macroblocks: u64,
    /// Frames per second as a fraction, where known.
    pub(super) frame_rate: Option<(u32, u32)>,
    /// Frames in the decoded picture buffer.
    pub(super) references: u8,
    /// In 1000 bits per second as Baseline and Main count them, where known.
    pub(super) bitrate_kbps: Option<u64>,
}

impl Level {
    /// The lowest level that a stream fits.
    pub(super) fn lowest(demand: &Demand) -> Result<&'static Self, Error> {
        let frame = demand.width_macroblocks * demand.height_macroblocks;
        LEVELS.iter().find(|level| level.fits(demand)).ok_or(Error::TooLarge {
            field: "h264 macroblocks of a frame, per second or buffered, or bitrate",
            actual: frame,
            limit: LEVELS[LEVELS.len() - 1].frame_macroblocks,
        })
    }

    fn fits(&self, demand: &Demand) -> bool {
        let Demand { width_macroblocks: width, height_macroblocks: height, references, .. } = *demand;
        let frame = width * height;
        let rate = demand.frame_rate.is_none_or(|(frames, seconds)| {
            frame * u64::from(frames) <= self.macroblocks_per_s * u64::from(seconds.max(1))
        });
        let side = width.max(height);
        frame <= self.frame_macroblocks
            && side * side <= 8 * self.frame_macroblocks
            && frame * u64::from(references) <= self.buffer_macroblocks
            && rate
            && demand.bitrate_kbps.is_none_or(|kbps| kbps <= self.bitrate_kbps)
    }
}
