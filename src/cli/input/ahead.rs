//! A thread that reads and decodes the next frames while this one is coded, unless there is to be one thread only.

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

/// Frames in order.
pub(crate) enum ReadAhead {
    /// From another thread.
    Thread { frames: Receiver<Result<Option<FrameBuf>>>, spare: SyncSender<FrameBuf> },
    /// Read when they are wanted, as many as are left.
    Here { input: Input, left: u64, spare: Option<FrameBuf> },
}

impl ReadAhead {
    /// Reads at most `limit` frames when they are asked for.
    pub(crate) fn here(input: Input, limit: Option<u64>) -> Self {
        Self::Here { input, left: limit.unwrap_or(u64::MAX), spare: None }
    }

    /// Starts reading at most `limit` frames. The thread ends with the input, or when this value is dropped.
    pub(crate) fn start(input: Input, limit: Option<u64>) -> Result<Self> {
        let (sender, frames) = sync_channel(AHEAD_FRAMES);
        let (spare, spares) = sync_channel(AHEAD_FRAMES + 1);
        thread::Builder::new()
            .name("read-ahead".to_owned())
            .spawn(move || read(input.frames, limit.unwrap_or(u64::MAX), &sender, &spares))
            .map_err(|error| Failure::io("starting a thread", error))?;
        Ok(Self::Thread { frames, spare })
    }

    /// The next frame; none at the end. A frame that was used goes back by [`ReadAhead::recycle`].
    pub(crate) fn next(&mut self, stop: &Stop) -> Result<Option<FrameBuf>> {
        let frames = match self {
            Self::Thread { frames, .. } => frames,
            Self::Here { .. } if stop.is_set() => return Err(Failure::interrupted()),
            Self::Here { left: 0, .. } => return Ok(None),
            Self::Here { input, left, spare } => {
                *left -= 1;
                return read_into(input.frames.as_mut(), spare.take());
            }
        };
        loop {
            if stop.is_set() {
                return Err(Failure::interrupted());
            }
            match frames.recv_timeout(PATIENCE) {
                Ok(frame) => return frame,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::new(Exit::Internal, "the reading thread ended early"));
                }
            }
        }
    }

    /// Gives a frame's memory back to the reader.
    pub(crate) fn recycle(&mut self, frame: FrameBuf) {
        match self {
            // With enough spare frames already, this one is freed.
            Self::Thread { spare, .. } => drop(spare.try_send(frame)),
            Self::Here { spare, .. } => *spare = Some(frame),
        }
    }
}

type Sender = SyncSender<Result<Option<FrameBuf>>>;

fn read(mut frames: Box<dyn Frames>, limit: u64, sender: &Sender, spares: &Receiver<FrameBuf>) {
    for _ in 0..limit {
        let result = read_into(frames.as_mut(), spares.try_recv().ok());
        let ended = !matches!(result, Ok(Some(_)));
        if sender.send(result).is_err() || ended {
            return;
        }
    }
    // Nobody to tell where the receiver is gone.
    let _ = sender.send(Ok(None));
}

fn read_into(frames: &mut dyn Frames, spare: Option<FrameBuf>) -> Result<Option<FrameBuf>> {
    let mut frame = match spare {
        Some(spare) => spare,
        None => FrameBuf::zeroed(PixelFormat::Gray8, 1, 1)?,
    };
    Ok(frames.next(&mut frame)?.then_some(frame))
}
