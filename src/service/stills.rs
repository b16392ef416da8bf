//! Single pictures: compressed and decompressed without a session.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::codec::lossless::LosslessDecoder;
use crate::frame::{Frame, FrameBuf};
use crate::images;
use crate::limits::Limits;
use crate::rate::{Plan, Reason, Scale};
use crate::resize::Resizer;
use crate::service::Shared;
use crate::service::admission::Intake;
use crate::service::caller::Caller;
use crate::service::lane::Running;
use crate::service::ledger::Outcome;
use crate::service::refusal::Refusal;
use crate::service::traces::{self, Took};
use crate::service::turns::Share;
use crate::service::wire::Still;
use crate::session::{Coder, Order, PacketInfo, StageTimes, Stamp};

/// A compressed picture, and how long it was decoded and waited for a thread.
#[derive(Debug)]
pub(crate) struct Compressed {
    pub(crate) info: PacketInfo,
    pub(crate) data: Bytes,
    pub(crate) decode_us: u64,
    pub(crate) queued: Duration,
}

/// Who sends a picture, and what its bytes have arrived in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) intake: &'a Intake,
}

/// Compresses a picture, scaled to `size` first where one is given. The work is queued at once; awaiting collects it, and
/// dropping the future before it has begun cancels it. Its room is
/// taken from the intake, and it counts as its caller's usage. Faults of the picture are told as fields of `part`.
pub(crate) fn compress(
    shared: &Shared,
    who: Who<'_>,
    still: Still,
    size: Option<(u32, u32)>,
    deadline: Instant,
    part: &'static str,
) -> impl Future<Output = Result<Compressed, Refusal>> + Send + 'static {
    let arrived = Instant::now();
    shared.telemetry.frame_taken();
    let caller = Arc::clone(&who.caller.id);
    let within = shared.ledger.check_budget(&caller, &shared.ledger.settings(&caller));
    let room = within.and_then(|()| who.intake.admit(still.picture.len()));
    let codec = still.order.codec;
    let limits = shared.config().limits.picture;
    let job = room.map(|room| {
        shared.compute.lane(still.picture.pixels()).run_with_coder(deadline, move |coder, running| {
            let _room = room;
            work(coder, &still, size, &limits, running, part)
        })
    });
    let (telemetry, ledger) = (Arc::clone(&shared.telemetry), Arc::clone(&shared.ledger));
    async move {
        let done = match job {
            Ok(job) => job.await,
            Err(refusal) => Err(refusal),
        };
        match &done {
            Ok(Compressed { info, decode_us, queued, .. }) => {
                let took = Took { latency: arrived.elapsed(), queued: *queued, decode_us: *decode_us };
                telemetry.packet_made(info, took);
                traces::frame(info, took);
                ledger.count(&caller, Outcome::Packet(info));
            }
            Err(refusal) => {
                telemetry.refused(refusal.code);
                ledger.count(&caller, Outcome::Failed(codec));
            }
        }
        done
    }
}

fn work(
    coder: &mut Coder,
    still: &Still,
    size: Option<(u32, u32)>,
    limits: &Limits,
    running: &Running,
    part: &'static str,
) -> Result<Compressed, Refusal> {
    let begun = Instant::now();
    let mut decoded = None;
    let frame = still.picture.open(limits, &mut decoded).map_err(|error| Refusal::engine(part, &error))?;
    let decode_us = if still.picture.is_encoded() { micros(begun) } else { 0 };
    running.check()?;
    let resizing = Instant::now();
    let mut scaled = None;
    let (frame, resize_us) = match size {
        Some((width, height)) => {
            let scaled = scaled.insert(FrameBuf::zeroed(frame.format(), 1, 1).map_err(own)?);
            Resizer::default().resize(&frame, width, height, scaled).map_err(own)?;
            (scaled.as_frame().with_color(frame.color()), micros(resizing))
        }
        None => (frame, 0),
    };
    running.check()?;
    let (info, data) = code(coder, &still.order, still.stamp, &frame, resize_us)?;
    Ok(Compressed { info, data, decode_us, queued: running.queued })
}

fn code(
    coder: &mut Coder,
    order: &Order,
    stamp: Stamp,
    frame: &Frame<'_>,
    resize_us: u64,
) -> Result<(PacketInfo, Bytes), Refusal> {
    let mut data = Vec::new();
    let coded = coder.code(frame, order, &mut data).map_err(own)?;
    let plan = Plan {
        codec: order.codec,
        scale: Scale::FULL,
        frame_divisor: 1,
        quality: order.quality,
        target_bytes: None,
        budget_bytes: order.max_bytes.and_then(|bytes| u32::try_from(bytes).ok()),
        link_bytes: None,
        keyframe: true,
        reason: Reason::Unlimited,
    };
    let [encode, measure] = coded.times.map(|time| time.as_micros() as u64);
    let info = PacketInfo {
        stamp,
        codec: order.codec,
        width: frame.width(),
        height: frame.height(),
        keyframe: coded.keyframe,
        original_bytes: frame.raw_bytes(),
        compressed_bytes: coded.bytes,
        quality: coded.quality,
        qp: coded.h264.map(|stats| stats.qp),
        preset: coded.h264.map(|stats| stats.preset),
        plan,
        psnr_db: coded.measured.map(|m| m.psnr_db).filter(|psnr| psnr.is_finite()),
        ssim: coded.measured.map(|m| m.ssim),
        times: StageTimes { resize_us, encode_us: encode, measure_us: measure },
        fallback: None,
    };
    Ok((info, Bytes::from(data)))
}

/// The engine's errors at this point are about the request's own fields.
fn own(error: crate::Error) -> Refusal {
    Refusal::engine("", &error)
}

fn micros(since: Instant) -> u64 {
    since.elapsed().as_micros() as u64
}

/// Decodes a JPEG file, or a lossless packet that stands alone.
pub(crate) async fn decompress(
    shared: &Shared,
    intake: &Intake,
    data: Bytes,
    deadline: Instant,
) -> Result<FrameBuf, Refusal> {
    shared.config().limits.picture.check_encoded(data.len()).map_err(own)?;
    let room = intake.admit(data.len())?;
    // Packets may have been scaled down from the smallest frames that are taken.
    let limits = Limits { min_width: 1, min_height: 1, ..shared.config().limits.picture };
    let lane = shared.compute.lane(None);
    let engine = lane.engine().clone();
    let job = lane.run(Share::default(), move |_| {
        let _room = room;
        if data.starts_with(&[0xFF, 0xD8]) {
            return images::decode(&data, &limits);
        }
        LosslessDecoder::new(engine.level(), limits).decode(&data, engine.pool()).cloned()
    });
    let decoded = tokio::time::timeout_at(deadline.into(), job).await.map_err(|_| Refusal::late())?;
    let frame = decoded?.map_err(own)?;
    intake.keep(frame.data().len())?;
    Ok(frame)
}
