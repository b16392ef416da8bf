//! Streams to encode, and what a decoder must make of them.

#![allow(dead_code, reason = "each user takes its part")]

pub(crate) mod content;
pub(crate) mod ffmpeg;
pub(crate) mod random;

use auralink::codec::h264::{FrameOrder, Framing, H264Config, H264Encoder};
use auralink::{Error, Frame, FrameBuf, kernel};
use content::Content;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// A pool of so many threads.
pub(crate) fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

/// Frames of one film, and what is asked of each.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) content: Content,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) seed: u32,
    pub(crate) orders: Vec<FrameOrder>,
}

impl Scene {
    /// So many frames at a quantiser parameter.
    pub(crate) fn at(content: Content, (width, height): (u32, u32), frames: usize, qp: u8) -> Self {
        let seed = width * 31 + height * 17 + u32::from(qp);
        Self { content, width, height, seed, orders: vec![FrameOrder::at(qp); frames] }
    }

    pub(crate) fn frames(&self) -> impl Iterator<Item = (FrameBuf, FrameOrder)> {
        let frame = |number| self.content.frame(self.width, self.height, self.seed, number);
        self.orders.iter().enumerate().map(move |(number, &order)| (frame(number as u32), order))
    }
}

/// A stream: an encoder's configuration, and scenes one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) config: H264Config,
    pub(crate) scenes: Vec<Scene>,
}

/// A picture that a decoder must show: luma, then Cb and Cr, in rows without gaps.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) planes: [Vec<u8>; 3],
}

impl Picture {
    /// What the encoder says that decoders show. Sides that are odd are shown one longer; what is beyond is anything.
    pub(crate) fn of(frame: &Frame<'_>) -> Self {
        let rows = |plane: usize| (0..frame.plane(plane).rows()).flat_map(move |y| frame.plane(plane).row(y));
        let chroma = |which: usize| rows(1).copied().skip(which).step_by(2).collect();
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        Self { width, height, planes: [rows(0).copied().collect(), chroma(0), chroma(1)] }
    }

    /// Width and height that decoders show.
    pub(crate) fn shown(&self) -> (usize, usize) {
        (self.width.next_multiple_of(2), self.height.next_multiple_of(2))
    }

    /// Bytes of the planar picture that decoders show.
    pub(crate) fn shown_bytes(&self) -> usize {
        let (width, height) = self.shown();
        width * height / 2 * 3
    }

    /// Where this differs from a decoder's planar picture of [`Picture::shown_bytes`] bytes.
    pub(crate) fn difference(&self, seen: &[u8]) -> Option<String> {
        let (shown_width, shown_height) = self.shown();
        let (luma, chroma) = seen.split_at(shown_width * shown_height);
        let (cb, cr) = chroma.split_at(chroma.len() / 2);
        for (index, (plane, seen)) in self.planes.iter().zip([luma, cb, cr]).enumerate() {
            let (width, stride) =
                if index == 0 { (self.width, shown_width) } else { (shown_width / 2, shown_width / 2) };
            for (y, (ours, theirs)) in plane.chunks(width).zip(seen.chunks(stride)).enumerate() {
                if let Some(x) = ours.iter().zip(theirs).position(|(a, b)| a != b) {
                    let size = if index == 0 { 16 } else { 8 };
                    return Some(format!(
                        "{} macroblock ({}, {}), row {} from column {}: {:?}, decoder {:?}",
                        ["luma", "Cb", "Cr"][index],
                        x / size,
                        y / size,
                        y % size,
                        x % size,
                        &ours[x..(x + 4).min(width)],
                        &theirs[x..(x + 4).min(width)]
                    ));
                }
            }
        }
        None
    }
}

/// One access unit, and the picture it must give.
pub(crate) struct Unit {
    pub(crate) bytes: Vec<u8>,
    pub(crate) picture: Picture,
    pub(crate) keyframe: bool,
}

/// Encodes a case at a SIMD level, and checks what needs no decoder: flags, lengths, numbers and caps.
pub(crate) fn encode(case: &Case, level: kernel::Level, pool: &ThreadPool) -> Vec<Unit> {
    let mut encoder = H264Encoder::new(level, case.config).unwrap();
    let (mut units, mut size) = (Vec::new(), None);
    for scene in &case.scenes {
        for (frame, order) in scene.frames() {
            let unit = encode_frame(&mut encoder, &frame.as_frame(), &order, units.len(), pool);
            let Some(unit) = unit else { continue };
            let is_new = size.replace((scene.width, scene.height)) != Some((scene.width, scene.height));
            assert!(unit.keyframe || !(is_new || order.keyframe), "{order:?} must stand alone: {case:?}");
            units.push(unit);
        }
    }
    units
}

/// Encodes a frame; none where its byte cap can't be kept, or it was given up.
pub(crate) fn encode_frame(
    encoder: &mut H264Encoder,
    frame: &Frame<'_>,
    order: &FrameOrder,
    number: usize,
    pool: &ThreadPool,
) -> Option<Unit> {
    let before = [7, 7, 7];
    let mut bytes = before.to_vec();
    let stats = match encoder.encode(frame, order, pool, &mut bytes) {
        Ok(stats) => stats,
        Err(Error::Budget { field: "max_bytes", budget, smallest }) => {
            assert!(budget < smallest && order.max_bytes.is_some() && bytes == before, "{order:?}");
            return None;
        }
        Err(Error::Abandoned) => {
            assert!(bytes == before, "{order:?}");
            return None;
        }
        Err(error) => panic!("{order:?}: {error}"),
    };
    let bytes = bytes.split_off(before.len());
    assert_eq!((stats.bytes, stats.id), (bytes.len(), number as u64), "{order:?}");
    assert!(order.max_bytes.is_none_or(|max_bytes| bytes.len() <= max_bytes), "{} bytes of {order:?}", bytes.len());
    let picture = Picture::of(&encoder.reconstruction().unwrap());
    assert_eq!((picture.width, picture.height), (frame.width() as usize, frame.height() as usize));
    Some(Unit { bytes, picture, keyframe: stats.keyframe })
}

/// NAL units of an access unit, whatever its framing.
pub(crate) fn nal_units(bytes: &[u8], framing: Framing) -> Vec<&[u8]> {
    let mut units = Vec::new();
    match framing {
        Framing::LengthPrefixed => {
            let mut rest = bytes;
            while let Some((length, after)) = rest.split_first_chunk::<4>() {
                let (unit, after) = after.split_at(u32::from_be_bytes(*length) as usize);
                units.push(unit);
                rest = after;
            }
            assert!(rest.is_empty(), "bytes after the last unit");
        }
        Framing::AnnexB => {
            let mut starts: Vec<_> =
                bytes.windows(4).enumerate().filter(|(_, code)| *code == [0, 0, 0, 1]).map(|(at, _)| at).collect();
            assert_eq!(starts.first(), Some(&0));
            starts.push(bytes.len());
            units.extend(starts.windows(2).map(|pair| &bytes[pair[0] + 4..pair[1]]));
        }
    }
    units
}

/// Bytes of an access unit with start codes, whatever its framing.
pub(crate) fn annex_b(bytes: &[u8], framing: Framing) -> Vec<u8> {
    nal_units(bytes, framing).into_iter().flat_map(|unit| [&[0, 0, 0, 1], unit].concat()).collect()
}
