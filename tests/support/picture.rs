//! Pictures that move.

/// An I420 frame of slopes and blocks that move with `time`.
pub(crate) fn i420(width: u32, height: u32, time: u32) -> bytes::Bytes {
    let mut data = Vec::new();
    for y in 0..height {
        data.extend((0..width).map(|x| {
            let block = if ((x + 4 * time) / 24 + y / 24).is_multiple_of(2) { 70 } else { 0 };
            (30 + (x + y + time) % 120 + block) as u8
        }));
    }
    let chroma = width.div_ceil(2) * height.div_ceil(2);
    data.extend((0..2 * chroma).map(|i| (110 + (i / 7 + time) % 40) as u8));
    data.into()
}
