//! What is written down of a session, and what it sums up to.

use std::time::{Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::session::{SessionConfig, Stats};

const DAY_MS: u64 = 86_400_000;

/// A part of a session. A long one is written down in parts, so that a crash loses the last of them at most; the key of a
/// part is its session and its number, and writing it twice counts once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The session's UUID.
    pub(crate) session: String,
    pub(crate) part: u32,
    pub(crate) caller: String,
    pub(crate) codec: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// When the part began and ended, milliseconds since 1970, UTC.
    pub(crate) from_ms: u64,
    pub(crate) until_ms: u64,
    pub(crate) frames: u64,
    pub(crate) packets: u64,
    pub(crate) dropped: u64,
    pub(crate) failed: u64,
    /// Raw bytes of the frames that became packets.
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Packets whose quality was measured, and the sums over them.
    pub(crate) measured: u64,
    pub(crate) ssim_sum: f64,
    pub(crate) psnr_db_sum: f64,
}

impl Record {
    /// Days since 1970 on which it began, UTC.
    pub(crate) fn day(&self) -> u32 {
        day_of(self.from_ms)
    }
}

/// Sums of one caller's sessions on one day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums {
    pub(crate) sessions: u64,
    pub(crate) seconds: f64,
    pub(crate) frames: u64,
    pub(crate) packets: u64,
    pub(crate) dropped: u64,
    pub(crate) failed: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) measured: u64,
    pub(crate) ssim_sum: f64,
    pub(crate) psnr_db_sum: f64,
}

impl Sums {
    pub(crate) fn add(&mut self, record: &Record) {
        self.sessions += u64::from(record.part == 0);
        self.seconds += record.until_ms.saturating_sub(record.from_ms) as f64 / 1_000.0;
        self.frames += record.frames;
        self.packets += record.packets;
        self.dropped += record.dropped;
        self.failed += record.failed;
        self.bytes_in += record.bytes_in;
        self.bytes_out += record.bytes_out;
        self.measured += record.measured;
        self.ssim_sum += record.ssim_sum;
        self.psnr_db_sum += record.psnr_db_sum;
    }

    /// Fraction of the raw bytes saved.
    pub(crate) fn reduction(&self) -> f64 {
        if self.bytes_in == 0 { 0.0 } else { 1.0 - self.bytes_out as f64 / self.bytes_in as f64 }
    }

    /// Mean of what was measured.
    pub(crate) fn mean(&self, sum: f64) -> Option<f64> {
        (self.measured > 0).then(|| sum / self.measured as f64)
    }
}

/// A caller's day.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) day: u32,
    pub(crate) caller: String,
    pub(crate) sums: Sums,
}

/// Days and callers that are asked for, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// All where none.
    pub(crate) caller: Option<String>,
}

/// Watches a session, and gives what is to be written down of it.
#[derive(Debug)]
pub(crate) struct Tally {
    session: String,
    caller: String,
    part: u32,
    from_ms: u64,
    /// As long as a part lasts by this clock it has lasted, whatever becomes of the other.
    begun: Instant,
    told: Stats,
}

impl Tally {
    pub(crate) fn new(session: String, caller: String) -> Self {
        Self { session, caller, part: 0, from_ms: now_ms(), begun: Instant::now(), told: Stats::default() }
    }

    /// What has come since the part before.
    pub(crate) fn part(&mut self, config: &SessionConfig, stats: &Stats) -> Record {
        let told = std::mem::replace(&mut self.told, *stats);
        let until_ms = self.from_ms + self.begun.elapsed().as_millis() as u64;
        let record = Record {
            session: self.session.clone(),
            part: self.part,
            caller: self.caller.clone(),
            codec: config.codec.name().to_owned(),
            width: config.width,
            height: config.height,
            from_ms: self.from_ms,
            until_ms,
            frames: stats.frames_in - told.frames_in,
            packets: stats.packets_out - told.packets_out,
            dropped: stats.dropped_total() - told.dropped_total(),
            failed: stats.failed - told.failed,
            bytes_in: stats.bytes_in - told.bytes_in,
            bytes_out: stats.bytes_out - told.bytes_out,
            measured: stats.measured - told.measured,
            ssim_sum: stats.ssim_sum - told.ssim_sum,
            psnr_db_sum: stats.psnr_db_sum - told.psnr_db_sum,
        };
        (self.part, self.from_ms, self.begun) = (self.part + 1, now_ms(), Instant::now());
        record
    }
}

/// Milliseconds since 1970, UTC.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Days since 1970 of a time.
pub(crate) fn day_of(ms: u64) -> u32 {
    u32::try_from(ms / DAY_MS).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::frame::PixelFormat;

    /// A session's only part, of 100 bytes from 1000.
    pub(crate) fn record(session: &str, caller: &str, from_ms: u64) -> Record {
        Record {
            session: session.to_owned(),
            part: 0,
            caller: caller.to_owned(),
            codec: "h264".to_owned(),
            width: 640,
            height: 360,
            from_ms,
            until_ms: from_ms + 1_500,
            frames: 3,
            packets: 2,
            dropped: 1,
            failed: 0,
            bytes_in: 1_000,
            bytes_out: 100,
            measured: 2,
            ssim_sum: 1.9,
            psnr_db_sum: 80.0,
        }
    }

    #[test]
    fn parts_add_up_to_the_session() {
        let config = SessionConfig::new(Codec::Jpeg, PixelFormat::Rgb8, 320, 180);
        let mut tally = Tally::new("s".to_owned(), "ann".to_owned());
        let mut stats = Stats { frames_in: 5, packets_out: 4, bytes_in: 500, bytes_out: 50, ..Stats::default() };
        let mut sums = Sums::default();
        sums.add(&tally.part(&config, &stats));
        stats = Stats { frames_in: 9, packets_out: 9, bytes_in: 900, bytes_out: 95, failed: 1, ..stats };
        let last = tally.part(&config, &stats);
        assert_eq!((last.part, last.frames, last.bytes_out), (1, 4, 45));
        sums.add(&last);
        assert_eq!((sums.sessions, sums.frames, sums.packets, sums.bytes_in), (1, 9, 9, 900));
        assert!((sums.reduction() - (1.0 - 95.0 / 900.0)).abs() < 1e-12);
        assert_eq!(sums.mean(sums.ssim_sum), None);
    }
}
