//! How much may be in the house at once, as configured.

use serde::{Deserialize, Serialize};
use validator::Validate;

/// Bounds of memory and patience for what callers send. The bytes of all callers together are bounded by `max_in_flight_mib`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct Admission {
    /// Bytes received over one connection and not answered yet, MiB, 16..=1048576.
    #[validate(range(min = 16, max = 1_048_576, message = "16..=1048576"))]
    pub connection_mib: u32,
    /// As much of one caller, or of one address where callers aren't authenticated, MiB, 16..=1048576. Unauthenticated callers on
    /// this machine are bounded by the whole alone.
    #[validate(range(min = 16, max = 1_048_576, message = "16..=1048576"))]
    pub caller_mib: u32,
    /// What one stream may send before it is read, KiB, 64..=65536. What lies there isn't counted yet: more of it lets large frames
    /// come over long distances without a pause, less leaves less to those who only occupy.
    #[validate(range(min = 64, max = 65_536, message = "64..=65536"))]
    pub stream_window_kib: u32,
    /// As much of one connection's streams together, KiB, 64..=65536.
    #[validate(range(min = 64, max = 65_536, message = "64..=65536"))]
    pub connection_window_kib: u32,
    /// Time within which a message that has begun must become whole or make progress, ms, 100..=600000.
    #[validate(range(min = 100, max = 600_000, message = "100..=600000"))]
    pub progress_ms: u32,
    /// Least progress of a message within that time, KiB a second, 1..=1048576.
    #[validate(range(min = 1, max = 1_048_576, message = "1..=1048576"))]
    pub progress_kib_per_second: u32,
    /// Time a message waits for room before its stream is refused, ms, at most 60000.
    #[validate(range(max = 60_000, message = "at most 60000"))]
    pub room_ms: u32,
    /// Standing wait for a compute thread, ms, 1..=10000, beyond which streams keep only their newest frame waiting.
    #[validate(range(min = 1, max = 10_000, message = "1..=10000"))]
    pub stale_delay_ms: u32,
    /// Standing wait, ms, 1..=10000, beyond which H.264 is coded with the least effort.
    #[validate(range(min = 1, max = 10_000, message = "1..=10000"))]
    pub effort_delay_ms: u32,
    /// Standing wait, ms, 1..=60000, beyond which new streams are refused.
    #[validate(range(min = 1, max = 60_000, message = "1..=60000"))]
    pub refuse_delay_ms: u32,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            connection_mib: 128,
            caller_mib: 256,
            stream_window_kib: 4_096,
            connection_window_kib: 8_192,
            progress_ms: 5_000,
            progress_kib_per_second: 64,
            room_ms: 2_000,
            stale_delay_ms: 5,
            effort_delay_ms: 20,
            refuse_delay_ms: 100,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_within_their_bounds() {
        assert!(Admission::default().validate().is_ok());
        assert!(Admission { progress_ms: 0, ..Admission::default() }.validate().is_err());
    }
}
