//! What a caller says within a stream: frames are taken or refused, everything else reaches the session.

use std::time::Instant;

use crate::service::admission::{Room, Shed};
use crate::service::proto::{self, compress_stream_request::Message as In};
use crate::service::refusal::Refusal;
use crate::service::stream::{Gone, Phase, Stream, changed};
use crate::service::wire::{self, Picture};
use crate::session::{DropReason, Dropped, Feedback, Stamp};

/// A frame that was taken.
pub(crate) struct Frame {
    pub(crate) stamp: Stamp,
    pub(crate) picture: Picture,
    pub(crate) arrived: Instant,
    /// Its share of the bytes in flight, which its packet takes over.
    pub(crate) room: Room,
}

impl Stream {
    /// Does what a message says, or answers what is wrong with it.
    pub(super) async fn hear(&mut self, message: proto::CompressStreamRequest) -> Result<(), Gone> {
        let heard = match message.message {
            Some(In::Frame(frame)) => return self.hear_frame(frame).await,
            Some(In::Network(network)) => {
                wire::network(&network, "network").map(|network| self.give(Feedback::Network(network), None))
            }
            Some(In::Ack(ack)) => self.hear_ack(&ack),
            Some(In::Lost(lost)) => self.hear_lost(&lost),
            Some(In::Reconfigure(changes)) => self.hear_reconfigure(&changes),
            Some(In::Keyframe(_)) => {
                self.give(Feedback::Keyframe, None);
                Ok(())
            }
            Some(In::Open(_)) => Err(Refusal::field("open", "given again, but a stream is opened once")),
            None => {
                Err(Refusal::field("message", "none of open, frame, network, ack, lost, reconfigure, keyframe is set"))
            }
        };
        match heard {
            Ok(()) => Ok(()),
            Err(refusal) => self.refuse(0, refusal).await,
        }
    }

    async fn hear_frame(&mut self, frame: proto::StreamFrame) -> Result<(), Gone> {
        let arrived = Instant::now();
        let stamp = Stamp { frame_number: frame.frame_number, timestamp_us: frame.timestamp_us };
        self.place.entry.live().stats.frames_in += 1;
        self.shared.telemetry.frame_taken();
        match self.accept(frame, stamp, arrived) {
            Ok(frame) => {
                self.last_number = Some(stamp.frame_number);
                let limit = self.waiting_limit();
                let over = (self.waiting.len() + 1).saturating_sub(limit);
                let superseded: Vec<_> = self.waiting.drain(..over.min(self.waiting.len())).collect();
                self.waiting.push_back(frame);
                for older in superseded {
                    if limit < self.window.saturating_sub(1) {
                        self.shared.telemetry.shed("stale frame");
                    }
                    self.drop_frame(Dropped { stamp: older.stamp, reason: DropReason::Superseded }).await?;
                }
                Ok(())
            }
            Err(refusal) => self.refuse_frame(stamp.frame_number, refusal).await,
        }
    }

    /// One frame of the window is with the session; the others wait, and one may always wait.
    fn waiting_limit(&self) -> usize {
        let window = self.window.saturating_sub(1).max(1);
        if window > 1 && self.lane.shed() >= Shed::Stale { 1 } else { window }
    }

    fn accept(&self, frame: proto::StreamFrame, stamp: Stamp, arrived: Instant) -> Result<Frame, Refusal> {
        if self.phase == Phase::Draining {
            return Err(Refusal::draining());
        }
        let picture = wire::stream_frame(frame, self.source, &self.config, &self.shared.config().limits.picture)?;
        if let Some(last) = self.last_number.filter(|&last| stamp.frame_number <= last) {
            let told = format!("{} doesn't ascend: the frame before was {last}", stamp.frame_number);
            return Err(Refusal::field("frame.frame_number", told));
        }
        let room = self.intake.admit(picture.len())?;
        Ok(Frame { stamp, picture, arrived, room })
    }

    fn hear_ack(&mut self, ack: &proto::Ack) -> Result<(), Refusal> {
        self.check_sent(ack.frame_number, "ack.frame_number")?;
        let feedback = match wire::receipt(ack)? {
            Some(receipt) => Feedback::Received(receipt),
            None => Feedback::Ack { frame_number: ack.frame_number },
        };
        if ack.bytes == 0 {
            self.place.entry.live().stats.acked += 1;
        }
        self.give(feedback, None);
        Ok(())
    }

    fn hear_lost(&mut self, lost: &proto::Lost) -> Result<(), Refusal> {
        self.check_sent(lost.frame_number, "lost.frame_number")?;
        self.place.entry.live().stats.lost += 1;
        self.give(Feedback::Lost { frame_number: lost.frame_number }, None);
        Ok(())
    }

    /// Refuses news of a frame that this stream can't have had.
    fn check_sent(&self, frame_number: u64, field: &str) -> Result<(), Refusal> {
        match self.last_number {
            Some(last) if frame_number <= last => Ok(()),
            last => {
                let newest = last.map_or("none was sent yet".to_owned(), |last| format!("the newest is {last}"));
                Err(Refusal::field(field, format!("{frame_number} is no frame of this stream: {newest}")))
            }
        }
    }

    fn hear_reconfigure(&mut self, reconfigure: &proto::Reconfigure) -> Result<(), Refusal> {
        let changes = wire::changes(reconfigure)?;
        changed(&self.config, &changes).map_err(|error| Refusal::engine("reconfigure", &error))?;
        self.give(Feedback::Reconfigure(changes), None);
        Ok(())
    }
}
