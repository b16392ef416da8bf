//! What a stream answers: packets with their room, drops and refusals, as the reader takes them.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use tonic::Status;

use crate::service::proto::{self, compress_stream_response::Message as Out};
use crate::service::refusal::Refusal;
use crate::service::stream::job::{Answer, Times};
use crate::service::stream::{Gone, Stream};
use crate::service::traces::Took;
use crate::service::wire;
use crate::session::{Dropped, Stamp};

impl Stream {
    /// Answers a frame that the session is done with.
    pub(super) async fn tell(&mut self, answer: Answer) -> Result<(), Gone> {
        match answer {
            Answer::Packet { info, data, room, times: Times { decode_us, queued } } => {
                let arrived = self.settle(info.stamp);
                let latency = arrived.map_or(Duration::ZERO, |arrived| arrived.elapsed());
                self.place.entry.count_packet(&info, latency);
                let took = Took { latency, queued, decode_us };
                self.shared.telemetry.packet_made(&info, took);
                self.traced.frame(&info, took);
                self.intake.owe(room);
                let waited = [decode_us, queued.as_micros() as u64];
                self.answer(Out::Packet(wire::packet(&info, data, waited))).await
            }
            Answer::Dropped(dropped) => {
                self.settle(dropped.stamp);
                self.drop_frame(dropped).await
            }
            Answer::Refused { stamp, refusal } => {
                self.settle(stamp);
                self.refuse_frame(stamp.frame_number, refusal).await
            }
        }
    }

    /// When the frame arrived that is answered now.
    fn settle(&mut self, stamp: Stamp) -> Option<Instant> {
        let index = self.owed.iter().position(|owed| owed.stamp == stamp)?;
        Some(self.owed.remove(index).arrived)
    }

    pub(super) async fn drop_frame(&mut self, dropped: Dropped) -> Result<(), Gone> {
        self.place.entry.live().stats.count_drop(dropped.reason);
        self.shared.telemetry.frame_dropped(dropped.reason);
        self.answer(Out::Dropped(wire::dropped(&dropped))).await
    }

    /// Answers a frame with an error; the stream goes on.
    pub(super) async fn refuse_frame(&mut self, frame_number: u64, refusal: Refusal) -> Result<(), Gone> {
        self.place.entry.live().stats.failed += 1;
        self.refuse(frame_number, refusal).await
    }

    pub(super) async fn refuse(&mut self, frame_number: u64, refusal: Refusal) -> Result<(), Gone> {
        self.shared.telemetry.refused(refusal.code);
        self.answer(Out::Error(refusal.into_frame_error(frame_number))).await
    }

    pub(super) async fn answer(&mut self, message: Out) -> Result<(), Gone> {
        self.say(Ok(proto::CompressStreamResponse { message: Some(message) })).await
    }

    pub(super) async fn say(&mut self, answer: Result<proto::CompressStreamResponse, Status>) -> Result<(), Gone> {
        let stall = Duration::from_millis(self.shared.config().limits.stall_timeout_ms.into());
        match timeout(stall, self.answers.send(answer)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Gone),
            Err(_) => {
                tracing::warn!(session = %self.place.entry.id(), "the reader has stalled, the stream is cut");
                Err(Gone)
            }
        }
    }
}
