//! Bodies that code a picture and open it again.

use arbitrary::Unstructured;

use super::{limits, pool};
use crate::codec::jpeg::{JpegConfig, JpegEncoder, Subsampling};
use crate::codec::lossless::{LosslessConfig, LosslessDecoder, LosslessEncoder};
use crate::frame::{FrameBuf, PixelFormat};
use crate::{images, kernel};

/// Largest side of a picture here.
const MAX_SIDE: u32 = 70;
/// Bytes that stand before a packet in its buffer and must stay.
const BEFORE: &[u8] = b"before";

/// A JPEG of any format, size and setting opens at its size; the bytes are the same at every SIMD level.
pub fn jpeg_round_trip(data: &[u8]) {
    let _ = try_jpeg(&mut Unstructured::new(data));
}

fn try_jpeg(input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let config = JpegConfig {
        quality: input.int_in_range(0..=101)?,
        subsampling: *input.choose(&[Subsampling::S420, Subsampling::S422, Subsampling::S444])?,
        optimise: input.arbitrary()?,
        restart_rows: input.int_in_range(0..=3)?,
        reconstruct: input.arbitrary()?,
        measure: input.arbitrary()?,
        train: input.arbitrary()?,
        abbreviate: false,
    };
    let max_bytes = input.int_in_range(0..=8_000)?;
    let source = arbitrary_picture(input, &PixelFormat::ALL)?;
    let frame = source.as_frame();
    let can = frame.format() != PixelFormat::Gray16 && (1..=100).contains(&config.quality);

    let mut file = BEFORE.to_vec();
    let mut encoder = JpegEncoder::new(kernel::detect());
    match encoder.encode(&frame, &config, pool(), &mut file) {
        Ok(stats) => {
            assert!(can && file.len() == BEFORE.len() + stats.bytes);
            let opened = images::decode(&file[BEFORE.len()..], &limits()).expect("a decoder that isn't ours opens it");
            let opened = opened.as_frame();
            assert_eq!((opened.width(), opened.height()), (frame.width(), frame.height()));
        }
        Err(error) => assert!(!can && file == BEFORE, "{error}"),
    }
    let mut again = BEFORE.to_vec();
    let levels = kernel::levels();
    let _ = JpegEncoder::new(*input.choose(&levels)?).encode(&frame, &config, pool(), &mut again);
    assert_eq!(file, again, "bytes depend on the SIMD level");

    let mut file = BEFORE.to_vec();
    match encoder.encode_within(&frame, &config, max_bytes, pool(), &mut file) {
        Ok(stats) => assert!(stats.bytes <= max_bytes && stats.quality <= config.quality),
        Err(_) => assert_eq!(file, BEFORE),
    }
    Ok(())
}

/// A film of any format and size comes out of the lossless codec as it went in, at every SIMD level.
pub fn lossless_round_trip(data: &[u8]) {
    let _ = try_lossless(&mut Unstructured::new(data));
}

fn try_lossless(input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let levels = kernel::levels();
    let mut encoder = LosslessEncoder::new(*input.choose(&levels)?);
    let mut decoder = LosslessDecoder::new(*input.choose(&levels)?, limits());
    let mut source = arbitrary_picture(input, &PixelFormat::ALL)?;
    for _ in 0..input.int_in_range(1..=4)? {
        let config = LosslessConfig { temporal: input.arbitrary()?, keyframe: input.arbitrary()? };
        let mut packet = BEFORE.to_vec();
        let stats =
            encoder.encode(&source.as_frame(), &config, pool(), &mut packet).expect("every picture can be coded");
        assert_eq!(packet.len(), BEFORE.len() + stats.bytes);
        assert!(stats.keyframe || (config.temporal && !config.keyframe));
        let decoded = decoder.decode(&packet[BEFORE.len()..], pool()).expect("what we coded opens");
        let (seen, sent) = (decoded.as_frame(), source.as_frame());
        assert_eq!((seen.format(), seen.width(), seen.height()), (sent.format(), sent.width(), sent.height()));
        assert_eq!(decoded.data(), source.data());
        change(input, &mut source)?;
    }
    Ok(())
}

/// A picture whose bytes are the input's, over and over.
fn arbitrary_picture(input: &mut Unstructured<'_>, formats: &[PixelFormat]) -> arbitrary::Result<FrameBuf> {
    let format = *input.choose(formats)?;
    let (width, height) = (input.int_in_range(1..=MAX_SIDE)?, input.int_in_range(1..=MAX_SIDE)?);
    let pattern = match input.int_in_range(0..=200)? {
        0 => vec![0],
        length => input.bytes(length.min(input.len()))?.to_vec(),
    };
    let pattern = if pattern.is_empty() { vec![0x80] } else { pattern };
    let data = pattern.iter().copied().cycle().take(format.frame_bytes(width, height)).collect();
    Ok(FrameBuf::new(format, width, height, data).expect("as long as format and size need"))
}

/// The next frame of the film: the same, a changed place, or another picture altogether.
fn change(input: &mut Unstructured<'_>, picture: &mut FrameBuf) -> arbitrary::Result<()> {
    match input.int_in_range(0..=3)? {
        0 => {}
        1 | 2 => {
            let length = picture.data().len();
            let (at, count) = (input.choose_index(length)?, input.int_in_range(1..=64)?);
            picture.data_mut().iter_mut().skip(at).take(count).for_each(|byte| *byte = byte.wrapping_add(77));
        }
        _ => *picture = arbitrary_picture(input, &PixelFormat::ALL)?,
    }
    Ok(())
}
