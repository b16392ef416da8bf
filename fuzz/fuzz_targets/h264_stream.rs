#![no_main]

use auralink::{FrameBuf, PixelFormat};
use openh264::decoder::{DecodedYUV, Decoder};
use openh264::formats::YUVSource;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::new().expect("openh264 opens");
    auralink::testing::h264_shown(data, &mut |unit| {
        copy(&decoder.decode(unit).expect("openh264 decodes").expect("every access unit is a picture"))
    });
});

/// The picture without gaps between its rows.
fn copy(picture: &DecodedYUV<'_>) -> FrameBuf {
    let (width, height) = picture.dimensions();
    let strides = picture.strides();
    let planes = [
        (picture.y(), strides.0, width, height),
        (picture.u(), strides.1, width / 2, height / 2),
        (picture.v(), strides.2, width / 2, height / 2),
    ];
    let rows = planes.into_iter().flat_map(|(plane, stride, columns, rows)| {
        plane.chunks(stride).take(rows).flat_map(move |row| &row[..columns]).copied()
    });
    FrameBuf::new(PixelFormat::I420, width as u32, height as u32, rows.collect()).expect("three planes of 4:2:0")
}
