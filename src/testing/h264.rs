//! Streams of H.264: whatever is asked of the encoder, a decoder shows its reconstruction.

use arbitrary::Unstructured;

use super::pool;
use crate::codec::h264::{FrameOrder, Framing, H264Config, H264Encoder, Preset, Profile};
use crate::error::Error;
use crate::frame::{Frame, FrameBuf, PixelFormat};
use crate::kernel;

/// Smallest and largest side of the pictures: a little under what the encoder takes, and a few macroblocks.
const SIDES: std::ops::RangeInclusive<u32> = 15..=90;
/// Frames of a stream.
const MAX_FRAMES: usize = 8;

/// What a decoder shows for an access unit with start codes: planar 4:2:0, odd sides one longer.
pub type Show<'a> = dyn FnMut(&[u8]) -> FrameBuf + 'a;

/// A film of any size, configuration and orders: caps and keyframes are kept, and bytes don't depend on the SIMD level.
pub fn h264_stream(data: &[u8]) {
    let _ = try_stream(&mut Unstructured::new(data), None);
}

/// As [`h264_stream`], and a decoder shows the reconstruction bit for bit.
pub fn h264_shown(data: &[u8], show: &mut Show<'_>) {
    let _ = try_stream(&mut Unstructured::new(data), Some(show));
}

fn try_stream(input: &mut Unstructured<'_>, mut show: Option<&mut Show<'_>>) -> arbitrary::Result<()> {
    let config = arbitrary_config(input)?;
    let levels = kernel::levels();
    let mut encoders = [*input.choose(&levels)?, *input.choose(&levels)?]
        .map(|level| H264Encoder::new(level, config).expect("every choice is a valid one"));
    let mut source = arbitrary_picture(input)?;
    let mut shown_size = None;
    for number in 0..input.int_in_range(1..=MAX_FRAMES)? {
        let order = arbitrary_order(input)?;
        if number > 0 && input.ratio(1, 3)? {
            let (id, is_lost) = (input.int_in_range(0..=number as u64)?, input.arbitrary()?);
            let tell = if is_lost { H264Encoder::lose } else { H264Encoder::acknowledge };
            encoders.iter_mut().for_each(|encoder| tell(encoder, id));
        }
        let frame = source.as_frame();
        let [packet, again] = encoders.each_mut().map(|encoder| encode(encoder, &frame, &order));
        assert_eq!(packet, again, "packets depend on the SIMD level");
        if let Some((packet, is_keyframe)) = packet {
            let size = Some((frame.width(), frame.height()));
            assert!(is_keyframe || !(order.keyframe || shown_size != size), "{order:?} must stand alone");
            shown_size = size;
            let [ours, other] = encoders.each_ref().map(|encoder| encoder.reconstruction().expect("a frame was coded"));
            assert!(planar(&ours) == planar(&other), "reconstructions depend on the SIMD level");
            if let Some(show) = &mut show {
                check_shown(&ours, &show(&start_codes(packet, config.framing)).as_frame());
            }
        }
        change(input, &mut source)?;
    }
    Ok(())
}

/// A packet and whether it is a keyframe; none where the encoder rightly refuses.
fn encode(encoder: &mut H264Encoder, frame: &Frame<'_>, order: &FrameOrder) -> Option<(Vec<u8>, bool)> {
    let mut out = Vec::new();
    let can = frame.width() >= 16 && frame.height() >= 16 && frame.format() != PixelFormat::Gray16;
    match encoder.encode(frame, order, pool(), &mut out) {
        Ok(stats) => {
            assert!(can, "a frame that can't be coded was");
            assert_eq!(stats.bytes, out.len());
            assert!(order.max_bytes.is_none_or(|most| out.len() <= most), "{order:?}: {} bytes", out.len());
            Some((out, stats.keyframe))
        }
        Err(Error::Budget { budget, smallest, .. }) => {
            assert!(order.max_bytes == Some(budget as usize) && smallest > budget && out.is_empty());
            None
        }
        Err(error) => {
            assert!(!can && out.is_empty(), "{error}");
            None
        }
    }
}

fn arbitrary_config(input: &mut Unstructured<'_>) -> arbitrary::Result<H264Config> {
    Ok(H264Config {
        profile: *input.choose(&Profile::ALL)?,
        preset: *input.choose(&Preset::ALL)?,
        slices: input.int_in_range(1..=8)?,
        framing: *input.choose(&[Framing::AnnexB, Framing::LengthPrefixed])?,
        frame_rate: *input.choose(&[None, Some((25, 1)), Some((60_000, 1001))])?,
        recovery: input.arbitrary()?,
        scene_cut: input.arbitrary()?,
        adaptive_quantisation: input.arbitrary()?,
        intra_refresh_frames: if input.arbitrary()? { Some(input.int_in_range(2..=12)?) } else { None },
    })
}

fn arbitrary_order(input: &mut Unstructured<'_>) -> arbitrary::Result<FrameOrder> {
    let mut bytes = || Ok(if input.ratio(1, 4)? { Some(input.int_in_range(0..=3000)?) } else { None });
    let (target_bytes, max_bytes) = (bytes()?, bytes()?);
    Ok(FrameOrder { qp: input.int_in_range(0..=51)?, target_bytes, max_bytes, keyframe: input.ratio(1, 8)? })
}

/// A picture whose bytes are the input's, over and over.
fn arbitrary_picture(input: &mut Unstructured<'_>) -> arbitrary::Result<FrameBuf> {
    let format = if input.arbitrary()? { PixelFormat::I420 } else { *input.choose(&PixelFormat::ALL)? };
    let (width, height) = (input.int_in_range(SIDES)?, input.int_in_range(SIDES)?);
    let length = input.int_in_range(1..=200)?.min(input.len());
    let pattern = if length == 0 { &[0x80] } else { input.bytes(length)? };
    let data = pattern.iter().copied().cycle().take(format.frame_bytes(width, height)).collect();
    Ok(FrameBuf::new(format, width, height, data).expect("as long as format and size need"))
}

/// The next frame of the film: the same, a changed place, all of it moved, or another picture altogether.
fn change(input: &mut Unstructured<'_>, picture: &mut FrameBuf) -> arbitrary::Result<()> {
    let length = picture.data().len();
    match input.int_in_range(0..=5)? {
        0 => {}
        1 | 2 => {
            let (at, count) = (input.choose_index(length)?, input.int_in_range(1..=400)?);
            let by = input.arbitrary::<u8>()?;
            picture.data_mut().iter_mut().skip(at).take(count).for_each(|byte| *byte = byte.wrapping_add(by));
        }
        3 | 4 => picture.data_mut().rotate_right(input.choose_index(length.min(700))?),
        _ => *picture = arbitrary_picture(input)?,
    }
    Ok(())
}

/// Planes of a reconstruction: luma, Cb and Cr.
fn planar(frame: &Frame<'_>) -> [Vec<u8>; 3] {
    assert_eq!(frame.format(), PixelFormat::Nv12);
    let rows =
        |plane: usize| (0..frame.plane(plane).rows()).flat_map(move |y| frame.plane(plane).row(y).iter().copied());
    [rows(0).collect(), rows(1).step_by(2).collect(), rows(1).skip(1).step_by(2).collect()]
}

fn check_shown(ours: &Frame<'_>, shown: &Frame<'_>) {
    assert_eq!(shown.format(), PixelFormat::I420);
    assert_eq!((shown.width(), shown.height()), (ours.width().next_multiple_of(2), ours.height().next_multiple_of(2)));
    for (index, plane) in planar(ours).iter().enumerate() {
        let columns = if index == 0 { ours.width() as usize } else { shown.width() as usize / 2 };
        for (y, row) in plane.chunks(columns).enumerate() {
            assert!(row == &shown.plane(index).row(y)[..columns], "row {y} of plane {index} is shown otherwise");
        }
    }
}

fn start_codes(packet: Vec<u8>, framing: Framing) -> Vec<u8> {
    if framing == Framing::AnnexB {
        return packet;
    }
    let (mut rest, mut out) = (&packet[..], Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (unit, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        out.extend_from_slice(&[0, 0, 0, 1]);
        out.extend_from_slice(unit);
        rest = after;
    }
    out
}
