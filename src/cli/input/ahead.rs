//! A thread that reads and decodes the next frames while this one is coded.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use auralink::{FrameBuf, PixelFormat};

use super::{Frames, Input};
use crate::cli::exit::{Exit, Failure, Result};
use crate::cli::stop::Stop;

/// Frames read ahead.
const AHEAD_FRAMES: usize = 3;
/// How often a wait for a frame looks whether the user wants to stop.
const PATIENCE: Duration = Duration::from_millis(50);

/// Frames from another thread, in order.
pub(crate) struct ReadAhead {
    frames: Receiver<Result<Option<FrameBuf>>>,
    spare: SyncSender<FrameBuf>,
}

impl ReadAhead {
    /// Starts reading at most `limit` frames. The thread ends with the input, or when this value is dropped.
    pub(crate) fn start(input: Input, limit: Option<u64>) -> Result<Self> {
        let (sender, frames) = sync_channel(AHEAD_FRAMES);
        let (spare, spares) = sync_channel(AHEAD_FRAMES + 1);
        thread::Builder::new()
            .name("read-ahead".to_owned())
            .spawn(move || read(input.frames, limit.unwrap_or(u64::MAX), &sender, &spares))
            .map_err(|error| Failure::io("starting a thread", error))?;
        Ok(Self { frames, spare })
    }

    /// The next frame; none at the end. A frame that was used goes back by [`ReadAhead::recycle`].
    pub(crate) fn next(&self, stop: &Stop) -> Result<Option<FrameBuf>> {
        loop {
            if stop.is_set() {
                return Err(Failure::interrupted());
            }
            match self.frames.recv_timeout(PATIENCE) {
                Ok(frame) => return frame,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::new(Exit::Internal, "the reading thread ended early"));
                }
            }
        }
    }

    /// Gives a frame's memory back to the reader.
    pub(crate) fn recycle(&self, frame: FrameBuf) {
        // With enough spare frames already, this one is freed.
        let _ = self.spare.try_send(frame);
    }
}

type Sender = SyncSender<Result<Option<FrameBuf>>>;

fn read(mut frames: Box<dyn Frames>, limit: u64, sender: &Sender, spares: &Receiver<FrameBuf>) {
    for _ in 0..limit {
        let result = read_one(frames.as_mut(), spares);
        let ended = !matches!(result, Ok(Some(_)));
        if sender.send(result).is_err() || ended {
            return;
        }
    }
    // Nobody to tell where the receiver is gone.
    let _ = sender.send(Ok(None));
}

fn read_one(frames: &mut dyn Frames, spares: &Receiver<FrameBuf>) -> Result<Option<FrameBuf>> {
    let mut frame = match spares.try_recv() {
        Ok(spare) => spare,
        Err(_) => FrameBuf::zeroed(PixelFormat::Gray8, 1, 1)?,
    };
    Ok(frames.next(&mut frame)?.then_some(frame))
}
