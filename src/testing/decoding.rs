//! Bodies for everything that reads a stranger's bytes.

use arbitrary::Unstructured;

use super::{limits, pool};
use crate::codec::lossless::LosslessDecoder;
use crate::frame::y4m::{Parser, write_frame, write_header};
use crate::frame::{Frame, FrameBuf, PixelFormat};
use crate::{images, kernel};

/// Frames over arbitrary formats, sizes, strides and lengths: refused, or every row of every plane is there.
pub fn frame_construction(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let _ = try_frame(&mut input);
}

fn try_frame(input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let format = *input.choose(&PixelFormat::ALL)?;
    let (width, height) = match input.arbitrary::<bool>()? {
        true => (input.int_in_range(0..=40)?, input.int_in_range(0..=40)?),
        false => (input.arbitrary::<u32>()?, input.arbitrary::<u32>()?),
    };
    let mut strides = Vec::new();
    for _ in 0..input.int_in_range(0..=4)? {
        strides.push(match input.arbitrary::<bool>()? {
            true => input.int_in_range(0..=200)?,
            false => input.arbitrary::<usize>()?,
        });
    }
    let data = input.bytes(input.len())?;
    let exact = data.get(..format.frame_bytes(width.min(64), height.min(64))).unwrap_or(data);
    for frame in [
        Frame::new(format, width, height, exact),
        Frame::new(format, width, height, data),
        Frame::with_strides(format, width, height, data, &strides),
    ]
    .into_iter()
    .flatten()
    {
        assert_eq!(frame.planes().len(), format.planes());
        for (index, plane) in frame.planes().iter().enumerate() {
            let size = format.plane_size(index, width, height);
            assert_eq!((plane.row_bytes(), plane.rows()), (size.row_bytes, size.rows));
            assert!((0..plane.rows()).all(|y| plane.row(y).len() == size.row_bytes));
        }
        let copy = FrameBuf::from(&frame);
        assert_eq!(copy.data().len(), frame.raw_bytes());
        assert_eq!(FrameBuf::from(&copy.as_frame()), copy);
    }
    Ok(())
}

/// A y4m stream fed whole and in pieces: the same frames or both refused, and what is written again is read again.
pub fn y4m(data: &[u8]) {
    let piece = 1 + data.first().map_or(0, |&byte| usize::from(byte));
    let whole = read_y4m(data, data.len().max(1));
    assert_eq!(whole, read_y4m(data, piece), "pieces of {piece} bytes");
    let Some((text, frames)) = whole else { return };
    assert_eq!(read_y4m(&text, 1 << 16), Some((text, frames)), "written and read again");
}

/// Frames of a stream, and the stream written from them; `None` where it is refused or has no header.
fn read_y4m(data: &[u8], piece: usize) -> Option<(Vec<u8>, Vec<FrameBuf>)> {
    let mut parser = Parser::default();
    let mut frames = Vec::new();
    let mut frame = FrameBuf::zeroed(PixelFormat::Gray8, 1, 1).ok()?;
    for piece in data.chunks(piece) {
        parser.feed(piece);
        while parser.next_frame(&mut frame).ok()? {
            frames.push(frame.clone());
        }
    }
    parser.finish().ok()?;
    let mut text = Vec::new();
    write_header(parser.header().ok()??, &mut text).expect("what was read as a header can be written");
    for frame in &frames {
        write_frame(&frame.as_frame(), &mut text).expect("what one stream held fits another");
    }
    Some((text, frames))
}

/// Lossless packets, the second of which may build on the first.
pub fn lossless_decode(data: &[u8]) {
    let limits = limits();
    let mut decoder = LosslessDecoder::new(kernel::detect(), limits);
    let (first, second) = data.split_at(data.len() / 2);
    for packet in [data, first, second, data] {
        if let Ok(frame) = decoder.decode(packet, pool()) {
            let frame = frame.as_frame();
            assert!(limits.check_size(frame.width(), frame.height()).is_ok());
            assert!(frame.planes().iter().all(|plane| plane.row(plane.rows() - 1).len() == plane.row_bytes()));
        }
    }
}

/// PNG, JPEG and WebP files.
pub fn image_decode(data: &[u8]) {
    let limits = limits();
    if let Ok(picture) = images::decode(data, &limits) {
        let frame = picture.as_frame();
        assert!(limits.check_size(frame.width(), frame.height()).is_ok());
        assert_eq!(picture.data().len(), frame.raw_bytes());
    }
}
