//! What the markers of a JPEG file say (ITU-T T.81 annex B), without decoding it. The file is a stranger's.

use crate::cli::exit::{Failure, Result};
use crate::cli::yuv::Sampling;

/// Segments that are listed; further ones are only walked over.
const MAX_LISTED: usize = 256;

/// Annex K's luminance table in zigzag order, which libjpeg's qualities scale.
const LUMINANCE: [u16; 64] = [
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61,
    60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77, 113,
    121, 112, 100, 120, 92, 101, 103, 99,
];

/// What a file's markers say.
#[derive(Debug, Default)]
pub(crate) struct Markers {
    pub(super) segments: Vec<Segment>,
    pub(super) frame: Option<FrameHeader>,
    /// Quantiser tables by their number, in zigzag order.
    quantisers: [Option<[u16; 64]>; 4],
    pub(super) huffman_tables: usize,
    pub(super) restart_interval: u16,
    pub(super) restarts: usize,
    pub(super) scans: usize,
    /// Entropy-coded bytes of all scans.
    pub(super) scan_bytes: usize,
    /// Bytes after the end of the picture.
    pub(super) trailing_bytes: usize,
}

/// A marker, with its segment if it has one.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) code: u8,
    pub(super) offset: usize,
    /// Marker, length and contents.
    pub(super) bytes: usize,
}

/// The frame header (B.2.2).
#[derive(Debug)]
pub(super) struct FrameHeader {
    pub(super) code: u8,
    pub(super) precision: u8,
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) components: Vec<Component>,
}

/// A component of the frame.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) id: u8,
    pub(super) horizontal: u8,
    pub(super) vertical: u8,
    pub(super) quantiser: u8,
}

/// How chroma of this file's picture is sampled; at full size where the file doesn't say or has a rarer way.
pub(crate) fn sampling(data: &[u8]) -> Sampling {
    let Ok(markers) = Markers::parse(data) else { return Sampling::S444 };
    match markers.frame.as_ref().and_then(FrameHeader::sampling) {
        Some((2, 2)) => Sampling::S420,
        Some((2, 1)) => Sampling::S422,
        _ => Sampling::S444,
    }
}

impl Markers {
    /// Walks the markers of one picture.
    pub(crate) fn parse(data: &[u8]) -> Result<Self> {
        if !data.starts_with(&[0xFF, 0xD8]) {
            return Err(Failure::data("jpeg: the file doesn't begin with SOI"));
        }
        let mut markers = Self::default();
        markers.note(0xD8, 0, 2);
        let mut at = 2;
        loop {
            let (code, offset) = next_marker(data, at)?;
            let in_scan = markers.scans > 0;
            if in_scan {
                markers.scan_bytes += offset - at;
            }
            at = offset + 2;
            match code {
                0xD9 => {
                    markers.note(code, offset, 2);
                    markers.trailing_bytes = data.len() - at;
                    return Ok(markers);
                }
                0xD0..=0xD7 => markers.restarts += 1,
                0x01 | 0xD8 => markers.note(code, offset, 2),
                _ => {
                    let body = segment(data, at, code)?;
                    markers.take(code, body)?;
                    markers.note(code, offset, body.len() + 4);
                    at += body.len() + 2;
                }
            }
        }
    }

    fn note(&mut self, code: u8, offset: usize, bytes: usize) {
        if self.segments.len() < MAX_LISTED {
            self.segments.push(Segment { code, offset, bytes });
        }
    }

    fn take(&mut self, code: u8, body: &[u8]) -> Result<()> {
        match code {
            0xDB => self.take_quantisers(body),
            0xC4 => self.take_huffman(body),
            0xDD => match *body {
                [high, low] => {
                    self.restart_interval = u16::from_be_bytes([high, low]);
                    Ok(())
                }
                _ => Err(short("DRI")),
            },
            0xDA => {
                self.scans += 1;
                Ok(())
            }
            0xC0..=0xCF if !matches!(code, 0xC8 | 0xCC) => {
                self.frame = Some(FrameHeader::parse(code, body)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take_quantisers(&mut self, mut body: &[u8]) -> Result<()> {
        while let Some((&head, rest)) = body.split_first() {
            let wide = head >> 4 != 0;
            let Some((values, rest)) = rest.split_at_checked(if wide { 128 } else { 64 }) else {
                return Err(short("DQT"));
            };
            let mut table = [0; 64];
            for (index, value) in table.iter_mut().enumerate() {
                *value = match (wide, values.get(2 * index..2 * index + 2)) {
                    (true, Some(&[high, low])) => u16::from_be_bytes([high, low]),
                    _ => values.get(index).copied().unwrap_or_default().into(),
                };
            }
            if let Some(slot) = self.quantisers.get_mut(usize::from(head & 15)) {
                *slot = Some(table);
            }
            body = rest;
        }
        Ok(())
    }

    fn take_huffman(&mut self, mut body: &[u8]) -> Result<()> {
        while !body.is_empty() {
            let Some((head, rest)) = body.split_first_chunk::<17>() else { return Err(short("DHT")) };
            let symbols = head[1..].iter().map(|&count| usize::from(count)).sum();
            body = rest.get(symbols..).ok_or_else(|| short("DHT"))?;
            self.huffman_tables += 1;
        }
        Ok(())
    }

    /// The quality on libjpeg's scale whose table is nearest to that of the first component, and whether it is the same.
    pub(super) fn quality(&self) -> Option<(u8, bool)> {
        let number = self.frame.as_ref()?.components.first()?.quantiser;
        let table = self.quantisers.get(usize::from(number))?.as_ref()?;
        let distance = |quality: u8| -> u64 {
            let scaled = LUMINANCE.iter().map(|&base| scaled(base, quality));
            scaled.zip(table).map(|(wanted, &seen)| u64::from(wanted.abs_diff(seen))).sum()
        };
        let best = (1..=100).min_by_key(|&quality| distance(quality))?;
        Some((best, distance(best) == 0))
    }
}

impl FrameHeader {
    fn parse(code: u8, body: &[u8]) -> Result<Self> {
        let Some((&[precision, h1, h0, w1, w0, count], rest)) = body.split_first_chunk() else {
            return Err(short("SOF"));
        };
        let (specifications, _) = rest.as_chunks::<3>();
        let Some(specifications) = specifications.get(..usize::from(count)) else { return Err(short("SOF")) };
        let component = |&[id, factors, quantiser]: &[u8; 3]| Component {
            id,
            horizontal: factors >> 4,
            vertical: factors & 15,
            quantiser,
        };
        Ok(Self {
            code,
            precision,
            width: u16::from_be_bytes([w1, w0]),
            height: u16::from_be_bytes([h1, h0]),
            components: specifications.iter().map(component).collect(),
        })
    }

    /// By how much chroma is smaller, across and down; none for grey or what can't be said in whole numbers.
    pub(super) fn sampling(&self) -> Option<(u8, u8)> {
        let (luma, chroma) = (self.components.first()?, self.components.get(1)?);
        let across = luma.horizontal.checked_div(chroma.horizontal)?;
        let down = luma.vertical.checked_div(chroma.vertical)?;
        Some((across, down))
    }
}

/// A base value at a quality, as libjpeg scales it.
fn scaled(base: u16, quality: u8) -> u16 {
    let quality = u32::from(quality);
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    ((u32::from(base) * percent + 50) / 100).clamp(1, 255) as u16
}

/// The next marker's code and where it begins, after stuffed and fill bytes.
fn next_marker(data: &[u8], from: usize) -> Result<(u8, usize)> {
    let rest = data.get(from..).unwrap_or_default();
    let found = rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF));
    match found {
        Some(at) => Ok((rest[at + 1], from + at)),
        None => Err(Failure::data(format!("jpeg: the file ends after {} bytes without EOI", data.len()))),
    }
}

/// The contents of a segment whose length lies at `at`.
fn segment(data: &[u8], at: usize, code: u8) -> Result<&[u8]> {
    let length = match data.get(at..at + 2) {
        Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
        _ => return Err(short(&name(code))),
    };
    data.get(at + 2..at + length.max(2)).ok_or_else(|| short(&name(code)))
}

fn short(segment: &str) -> Failure {
    Failure::data(format!("jpeg: {segment} is shorter than it says"))
}

/// A marker's name (table B.1).
pub(super) fn name(code: u8) -> String {
    match code {
        0xC4 => "DHT".to_owned(),
        0xC8 => "JPG".to_owned(),
        0xCC => "DAC".to_owned(),
        0xC0..=0xCF => format!("SOF{}", code - 0xC0),
        0xD8 => "SOI".to_owned(),
        0xD9 => "EOI".to_owned(),
        0xDA => "SOS".to_owned(),
        0xDB => "DQT".to_owned(),
        0xDC => "DNL".to_owned(),
        0xDD => "DRI".to_owned(),
        0xE0..=0xEF => format!("APP{}", code - 0xE0),
        0xFE => "COM".to_owned(),
        _ => format!("{code:#04X}"),
    }
}

/// What a frame header's marker means.
pub(super) fn process(code: u8) -> &'static str {
    match code {
        0xC0 => "baseline",
        0xC1 => "extended sequential",
        0xC2 => "progressive",
        0xC3 => "lossless",
        0xC9 => "extended sequential, arithmetic",
        0xCA => "progressive, arithmetic",
        _ => "differential or lossless",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(quality: u8) -> Vec<u8> {
        let mut data = vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0];
        data.extend(LUMINANCE.iter().map(|&base| scaled(base, quality) as u8));
        data.extend([0xFF, 0xC0, 0, 17, 8, 0, 48, 0, 64, 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0]);
        data.extend([0xFF, 0xDD, 0, 4, 0, 9, 0xFF, 0xDA, 0, 2, 1, 0xFF, 0, 0xFF, 0xD0, 2, 0xFF, 0xD9, 7]);
        data
    }

    #[test]
    fn every_quality_is_recognised_by_its_table() {
        for quality in 1..=100 {
            let (seen, exact) = Markers::parse(&picture(quality)).unwrap().quality().unwrap();
            assert!(exact, "{quality}");
            // The lowest qualities saturate to the same tables.
            assert!(seen == quality || scaled(10, seen) == scaled(10, quality), "{quality} seen as {seen}");
        }
    }

    #[test]
    fn headers_are_read() {
        let data = picture(75);
        let markers = Markers::parse(&data).unwrap();
        let frame = markers.frame.as_ref().unwrap();
        assert_eq!((frame.width, frame.height, frame.sampling()), (64, 48, Some((2, 2))));
        assert_eq!((markers.restart_interval, markers.restarts, markers.scans), (9, 1, 1));
        assert_eq!((markers.scan_bytes, markers.trailing_bytes), (4, 1));
        assert_eq!(sampling(&data), Sampling::S420);
        let names: Vec<_> = markers.segments.iter().map(|segment| name(segment.code)).collect();
        assert_eq!(names, ["SOI", "DQT", "SOF0", "DRI", "SOS", "EOI"]);
    }

    #[test]
    fn truncations_are_errors() {
        let data = picture(50);
        for end in 0..data.len() - 1 {
            assert!(Markers::parse(&data[..end]).is_err(), "{end}");
        }
    }
}
