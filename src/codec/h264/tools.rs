//! What an encoder may use: the profile's tools, and the effort of a preset.

use std::fmt;
use std::str::FromStr;

use super::params::Profile;
use crate::error::Error;

/// A named point between speed and size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Preset {
    /// For many streams or large pictures: one partition, short searches.
    Fast,
    /// The default.
    #[default]
    Balanced,
    /// For pictures that must be small.
    Best,
}

impl Preset {
    /// All presets, fastest first.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Balanced, Self::Best];

    /// The name used on the command line and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Balanced => "balanced",
            Self::Best => "best",
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|preset| preset.name() == text).ok_or_else(|| Error::Unsupported {
            field: "preset",
            value: text.to_owned(),
            supported: "fast, balanced, best",
        })
    }
}

/// What the encoder tries for each macroblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tools {
    /// 8x8 transforms, and Intra_8x8.
    pub(super) transform_8x8: bool,
    /// Intra_4x4 in P slices.
    pub(super) small_intra_in_p: bool,
    /// Partitions smaller than a macroblock.
    pub(super) partitions: bool,
    /// Steps of the search for whole samples.
    pub(super) search_steps: usize,
    /// Half samples tried around the best whole one, and quarter samples around the best of these: 4 or 8.
    pub(super) fractions: [usize; 2],
    /// Skip only what would be coded as nothing, not what isn't worth its bits.
    pub(super) strict_skip: bool,
    /// What a whole sample's vector may cost, in bits' worth, for fractions not to be tried.
    pub(super) enough_bits: u32,
}

impl Tools {
    /// The tools of a preset in a profile.
    pub(super) const fn of(preset: Preset, profile: Profile) -> Self {
        let balanced = Self {
            transform_8x8: matches!(profile, Profile::High),
            small_intra_in_p: true,
            partitions: true,
            search_steps: 16,
            fractions: [8, 8],
            strict_skip: false,
            enough_bits: 60,
        };
        match preset {
            Preset::Fast => Self {
                small_intra_in_p: false,
                partitions: false,
                search_steps: 8,
                fractions: [4, 4],
                enough_bits: 120,
                ..balanced
            },
            Preset::Balanced => balanced,
            Preset::Best => Self { search_steps: 32, strict_skip: true, enough_bits: 0, ..balanced },
        }
    }
}
