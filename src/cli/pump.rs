//! Frames from an input into a stream, paced or as fast as they are answered, and the answers back.

use std::thread;
use std::time::Duration;

use auralink::client::{Answer, Stream};
use auralink::service::proto::{NetworkConditions, StreamFrame};
use auralink::{ColorSpace, FrameBuf, PixelFormat};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::client::failure;
use super::exit::{Failure, Result};
use super::input::Input;
use super::output::blank;
use super::stop::Stop;

/// Frames read ahead.
const AHEAD_FRAMES: usize = 3;
/// How often a wait looks whether the user wants to stop.
const PATIENCE: Duration = Duration::from_millis(50);
/// Time for answers to the last frames, before and after the server is told that there are no more.
const DRAIN: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(10)];

/// A frame ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) format: PixelFormat,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) color: ColorSpace,
    pub(crate) data: Bytes,
}

impl Picture {
    fn new(frame: FrameBuf) -> Self {
        let view = frame.as_frame();
        let (format, width, height, color) = (view.format(), view.width(), view.height(), view.color());
        Self { format, width, height, color, data: Bytes::from(frame.into_data()) }
    }

    pub(crate) fn shape(&self) -> (PixelFormat, u32, u32) {
        (self.format, self.width, self.height)
    }
}

/// Frames from a thread of their own.
pub(crate) struct Feed {
    pictures: mpsc::Receiver<Result<Picture>>,
}

impl Feed {
    /// Reads at most `limit` frames of the input that `open` gives; at its end it is opened again where `looped`.
    pub(crate) fn start(mut input: Input, reopen: Option<fn() -> Result<Input>>, limit: Option<u64>) -> Result<Self> {
        let (sender, pictures) = mpsc::channel(AHEAD_FRAMES);
        let read = move || {
            let mut left = limit.unwrap_or(u64::MAX);
            while left > 0 {
                let result = match (read_one(&mut input), reopen) {
                    (Ok(None), None) => return,
                    (Ok(None), Some(reopen)) => match reopen() {
                        Ok(again) => {
                            input = again;
                            continue;
                        }
                        Err(failure) => Err(failure),
                    },
                    (Ok(Some(picture)), _) => Ok(picture),
                    (Err(failure), _) => Err(failure),
                };
                let ended = result.is_err();
                if sender.blocking_send(result).is_err() || ended {
                    return;
                }
                left -= 1;
            }
        };
        thread::Builder::new()
            .name("read-ahead".to_owned())
            .spawn(read)
            .map_err(|error| Failure::io("starting a thread", error))?;
        Ok(Self { pictures })
    }

    /// The next frame; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Picture>> {
        self.pictures.recv().await.transpose()
    }
}

fn read_one(input: &mut Input) -> Result<Option<Picture>> {
    let mut frame = blank()?;
    Ok(input.frames.next(&mut frame)?.then(|| Picture::new(frame)))
}

/// Who listens to the answers, and decides over the network declared.
pub(crate) trait Driver {
    /// Conditions to be declared at this time of the stream, where they change.
    fn network(&mut self, _elapsed: Duration) -> Option<NetworkConditions> {
        None
    }

    /// Whether it's enough.
    fn is_over(&self, _elapsed: Duration) -> bool {
        false
    }

    fn answer(&mut self, answer: Answer) -> Result<()>;

    /// Called many times a second.
    fn tick(&mut self, _elapsed: Duration) -> Result<()> {
        Ok(())
    }

    /// A frame was sent, or left out because no credit was there at its time.
    fn sent(&mut self, in_time: bool);
}

/// Sends `first` and all that follows it: at `fps`, where a frame without credit at its time is left out, or as fast as frames
/// are answered. Then waits for the last answers.
pub(crate) async fn pump(
    stream: &mut Stream,
    first: Picture,
    feed: &mut Feed,
    fps: Option<f64>,
    stop: &Stop,
    driver: &mut impl Driver,
) -> Result<()> {
    let start = Instant::now();
    let interval = fps.map_or(Duration::ZERO, |fps| Duration::from_secs_f64(1.0 / fps));
    let shape = first.shape();
    let (mut due, mut frame_number) = (start, 0);
    let mut waiting = Some(first);
    let mut more = true;
    while more || waiting.is_some() {
        if stop.is_set() || driver.is_over(start.elapsed()) {
            break;
        }
        driver.tick(start.elapsed())?;
        let may_send = waiting.is_some() && (fps.is_some() || stream.has_credit());
        tokio::select! {
            answer = stream.next() => driver.answer(answer.map_err(failure)?.ok_or_else(ended)?)?,
            picture = feed.next(), if more && waiting.is_none() => {
                waiting = picture?;
                more = waiting.is_some();
            }
            () = sleep_until(due), if may_send => {
                let Some(picture) = waiting.take() else { continue };
                frame_number += 1;
                check_shape(frame_number, &picture, shape)?;
                if let Some(network) = driver.network(start.elapsed()) {
                    stream.declare(network);
                }
                let in_time = stream.has_credit();
                if in_time {
                    let timestamp_us = start.elapsed().as_micros() as u64;
                    let frame = StreamFrame { frame_number, timestamp_us, data: picture.data, strides: Vec::new() };
                    stream.send(frame).map_err(failure)?;
                }
                driver.sent(in_time);
                // A late frame doesn't make the following ones late.
                due = (due + interval).max(Instant::now() - interval);
            }
            () = tokio::time::sleep(PATIENCE) => {}
        }
    }
    drain(stream, driver).await?;
    if stop.is_set() { Err(Failure::interrupted()) } else { Ok(()) }
}

/// Takes the answers that are still on their way, then ends the stream.
pub(crate) async fn drain(stream: &mut Stream, driver: &mut impl Driver) -> Result<()> {
    let patience = Instant::now() + DRAIN[0];
    while !stream.is_idle() {
        match timeout_at(patience, stream.next()).await {
            Ok(answer) => driver.answer(answer.map_err(failure)?.ok_or_else(ended)?)?,
            Err(_) => break,
        }
    }
    stream.finish();
    // Where it is lost meanwhile, looking for another server takes its time.
    let patience = DRAIN[1] + stream.retry().give_up_after;
    loop {
        match timeout(patience, stream.next()).await {
            Ok(Ok(Some(answer))) => driver.answer(answer)?,
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(failure(error)),
            Err(_) => return Err(Failure::unavailable("server: it didn't end the stream in time")),
        }
    }
}

/// The stream was over while frames were still to come.
pub(crate) fn ended() -> Failure {
    Failure::unavailable("server: the stream ended early")
}

pub(crate) fn check_shape(frame_number: u64, picture: &Picture, first: (PixelFormat, u32, u32)) -> Result<()> {
    if picture.shape() == first {
        return Ok(());
    }
    let say = |(format, width, height): (PixelFormat, u32, u32)| format!("{width}x{height} {format}");
    Err(Failure::data(format!(
        "frame {frame_number}: {}, but the stream began with {}",
        say(picture.shape()),
        say(first)
    )))
}
