//! Frames that come one by one, without a session: summed up by caller and codec, and written down now and then, so that no
//! frame costs a record.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::record::{Record, day_of, now_ms};
use crate::codec::Codec;
use crate::session::PacketInfo;

/// Callers whose frames are summed up at once; where more come, what there is is written down early.
const MAX_SUMS: usize = 4_096;

/// What became of a frame that came without a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome<'a> {
    Packet(&'a PacketInfo),
    Failed(Codec),
}

/// Sums that aren't written down yet.
#[derive(Debug, Default)]
pub(super) struct Calls {
    sums: HashMap<(Arc<str>, &'static str), Record>,
    /// All of them are of this day, since 1970, UTC.
    day: u32,
}

impl Calls {
    /// Counts a frame. Gives what has to be written down first: sums of a day that has ended, or too many.
    pub(super) fn count(&mut self, caller: &Arc<str>, outcome: Outcome<'_>) -> Vec<Record> {
        let now = now_ms();
        let codec = match outcome {
            Outcome::Packet(info) => info.codec,
            Outcome::Failed(codec) => codec,
        };
        let key = (Arc::clone(caller), codec.name());
        let is_full = self.sums.len() >= MAX_SUMS && !self.sums.contains_key(&key);
        let full = if is_full || self.day != day_of(now) { self.take() } else { Vec::new() };
        self.day = day_of(now);
        let sum = self.sums.entry(key).or_insert_with(|| begin(caller, codec, now));
        sum.frames += 1;
        match outcome {
            Outcome::Packet(info) => {
                sum.packets += 1;
                sum.bytes_in += info.original_bytes as u64;
                sum.bytes_out += info.compressed_bytes as u64;
                if let Some(ssim) = info.ssim {
                    sum.measured += 1;
                    sum.ssim_sum += ssim;
                    sum.psnr_db_sum += info.psnr_db.unwrap_or(0.0);
                }
            }
            Outcome::Failed(_) => sum.failed += 1,
        }
        full
    }

    /// All sums so far; they begin anew.
    pub(super) fn take(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.sums).into_values().collect()
    }
}

/// A record of no session: its part 0, by which sessions are counted, doesn't exist, and it takes no time.
fn begin(caller: &Arc<str>, codec: Codec, now: u64) -> Record {
    Record {
        session: Uuid::new_v4().to_string(),
        part: 1,
        caller: caller.to_string(),
        codec: codec.name().to_owned(),
        width: 0,
        height: 0,
        from_ms: now,
        until_ms: now,
        frames: 0,
        packets: 0,
        dropped: 0,
        failed: 0,
        bytes_in: 0,
        bytes_out: 0,
        measured: 0,
        ssim_sum: 0.0,
        psnr_db_sum: 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::ledger::record::Sums;

    #[test]
    fn frames_add_up_and_are_no_session() {
        let mut calls = Calls::default();
        let (ann, bob): (Arc<str>, Arc<str>) = ("ann".into(), "bob".into());
        for _ in 0..3 {
            assert!(calls.count(&ann, Outcome::Failed(Codec::Jpeg)).is_empty());
        }
        assert!(calls.count(&ann, Outcome::Failed(Codec::Lossless)).is_empty());
        assert!(calls.count(&bob, Outcome::Failed(Codec::Jpeg)).is_empty());
        let records = calls.take();
        assert_eq!(records.len(), 3);
        let mut sums = Sums::default();
        records.iter().filter(|record| record.caller == "ann").for_each(|record| sums.add(record));
        assert_eq!((sums.sessions, sums.frames, sums.failed, sums.seconds), (0, 4, 4, 0.0));
        assert!(calls.take().is_empty());
    }

    #[test]
    fn callers_without_end_and_the_end_of_a_day_write_down_what_there_is() {
        let mut calls = Calls::default();
        for index in 0..MAX_SUMS {
            assert!(calls.count(&index.to_string().into(), Outcome::Failed(Codec::Jpeg)).is_empty());
        }
        assert_eq!(calls.count(&"one more".into(), Outcome::Failed(Codec::Jpeg)).len(), MAX_SUMS);
        calls.day -= 1;
        let ended = calls.count(&"one more".into(), Outcome::Failed(Codec::Jpeg));
        assert_eq!((ended.len(), ended[0].frames, calls.take().len()), (1, 1, 1));
    }
}
