//! What a session promises.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// How hard a session compresses: the reduction it promises and the picture it keeps, as a screen of the source's size shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// At least 50 % smaller than raw at an SSIM of 0.95 or better.
    Conservative,
    /// At least 80 % smaller at 0.85.
    #[default]
    Adaptive,
    /// At least 90 % smaller at 0.70.
    Aggressive,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Conservative, Self::Adaptive, Self::Aggressive];

    /// Fraction of the raw frame's bytes that is saved at least.
    pub const fn reduction(self) -> f64 {
        match self {
            Self::Conservative => 0.5,
            Self::Adaptive => 0.8,
            Self::Aggressive => 0.9,
        }
    }

    /// SSIM of luma that is kept at least.
    pub const fn min_ssim(self) -> f64 {
        match self {
            Self::Conservative => 0.95,
            Self::Adaptive => 0.85,
            Self::Aggressive => 0.70,
        }
    }

    /// The JPEG quality of a network that sets no limit.
    pub const fn quality(self) -> u8 {
        match self {
            Self::Conservative => 88,
            Self::Adaptive => 75,
            Self::Aggressive => 50,
        }
    }

    /// Fraction of the declared bandwidth that frames may use.
    pub const fn utilisation(self) -> f64 {
        match self {
            Self::Conservative => 0.6,
            Self::Adaptive => 0.8,
            Self::Aggressive => 0.9,
        }
    }

    /// The name used on the command line and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conservative => "conservative",
            Self::Adaptive => "adaptive",
            Self::Aggressive => "aggressive",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|mode| mode.name().eq_ignore_ascii_case(text)).ok_or(Error::Unsupported {
            field: "mode",
            value: text.to_owned(),
            supported: "conservative, adaptive, aggressive",
        })
    }
}
