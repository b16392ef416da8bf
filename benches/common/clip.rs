//! Large frames of real content: a mosaic of the bundled clip, tile beside tile at its own size.

use auralink::codec::jpeg::{JpegConfig, JpegEncoder};
use auralink::{FrameBuf, Limits, PixelFormat, images, kernel};

const CLIP: &[u8] = include_bytes!("../../tests/data/bigbuckbunny_640x360_25.mjpeg");
/// Frames of the clip between one tile and the next.
const TILE_OFFSET: usize = 10;

/// `count` frames of any size, in RGB, BGRA, I420 or grey.
pub(crate) fn film(format: PixelFormat, width: u32, height: u32, count: usize) -> Vec<FrameBuf> {
    let files = split(CLIP);
    (0..count).map(|number| convert(mosaic(&files, number, width as usize, height as usize), format)).collect()
}

/// The JPEG files of an MJPEG stream: an end of image and a start of image never follow each other within a file.
fn split(stream: &[u8]) -> Vec<&[u8]> {
    let mut files = Vec::new();
    let mut start = 0;
    for at in 1..stream.len() {
        if stream[at..].starts_with(&[0xFF, 0xD9, 0xFF, 0xD8]) || at + 2 == stream.len() {
            files.push(&stream[start..at + 2]);
            start = at + 2;
        }
    }
    files
}

fn mosaic(files: &[&[u8]], number: usize, width: usize, height: usize) -> FrameBuf {
    let mut pixels = vec![0; 3 * width * height];
    let (mut top, mut tile_number) = (0, 0);
    while top < height {
        let (mut left, mut tile_height) = (0, 0);
        while left < width {
            let file = files[(number + TILE_OFFSET * tile_number) % files.len()];
            let tile = images::decode(file, &Limits::ENGINE).unwrap();
            let tile = tile.as_frame();
            let row_bytes = tile.plane(0).row_bytes().min(3 * (width - left));
            tile_height = (tile.height() as usize).min(height - top);
            for y in 0..tile_height {
                let at = 3 * ((top + y) * width + left);
                pixels[at..at + row_bytes].copy_from_slice(&tile.plane(0).row(y)[..row_bytes]);
            }
            left += row_bytes / 3;
            tile_number += 1;
        }
        top += tile_height;
    }
    FrameBuf::new(PixelFormat::Rgb8, width as u32, height as u32, pixels).unwrap()
}

fn convert(rgb: FrameBuf, format: PixelFormat) -> FrameBuf {
    let (width, height) = (rgb.as_frame().width(), rgb.as_frame().height());
    let data = match format {
        PixelFormat::Rgb8 => return rgb,
        PixelFormat::Bgra8 => rgb.data().as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [b, g, r, 255]).collect(),
        PixelFormat::Gray8 => {
            let mut luma = Vec::new();
            kernel::rows::luma_plane(kernel::detect(), &rgb.as_frame(), &mut luma).unwrap();
            luma
        }
        PixelFormat::I420 => {
            let mut encoder = JpegEncoder::new(kernel::detect());
            let config = JpegConfig { quality: 98, reconstruct: true, ..JpegConfig::default() };
            encoder.encode(&rgb.as_frame(), &config, &super::pool(2), &mut Vec::new()).unwrap();
            return FrameBuf::from(&encoder.reconstruction().unwrap());
        }
        other => panic!("benches have no frames of {other}"),
    };
    FrameBuf::new(format, width, height, data).unwrap()
}
