//! Abbreviated streams made whole again (ITU-T T.81 B.4, B.5).

use super::marker::{DHT, DQT, SOI, SOS};
use crate::error::{Error, Result};

/// Kinds of table segment and tables of each that are remembered: four of DQT, and of DHT four of DC and four of AC.
const SLOTS: usize = 12;
/// Longest table: a class, sixteen counts and 256 symbols.
const MAX_TABLE_BYTES: usize = 1 + 16 + 256;
/// Bytes of a quantisation table of bytes, and of one of words.
const STEP_BYTES: [usize; 2] = [64, 128];

/// Gives the files of an abbreviated stream the tables they leave out, from the files before: what comes out any viewer opens.
///
/// ```
/// # use auralink::{Frame, PixelFormat, kernel, codec::jpeg::{Completer, JpegConfig, JpegEncoder}};
/// # let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
/// # let (pixels, mut encoder, mut completer) = ([77; 64 * 64], JpegEncoder::new(kernel::detect()), Completer::default());
/// # let frame = Frame::new(PixelFormat::Gray8, 64, 64, &pixels)?;
/// let abbreviated = JpegConfig { abbreviate: true, ..JpegConfig::default() };
/// let (mut first, mut second, mut whole) = (Vec::new(), Vec::new(), Vec::new());
/// encoder.encode(&frame, &abbreviated, &pool, &mut first)?;
/// encoder.encode(&frame, &abbreviated, &pool, &mut second)?;
/// assert!(second.len() < first.len());
/// completer.complete(&first, &mut whole)?;
/// assert_eq!(whole, first);
/// completer.complete(&second, &mut whole)?;
/// assert_eq!(whole.len(), first.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Completer {
    /// Tables by slot, each with the byte that names it.
    tables: [Vec<u8>; SLOTS],
}

impl Completer {
    /// Writes `file` with all tables known that it doesn't have itself to `out`, and remembers those that it has.
    ///
    /// # Errors
    /// A file whose segments before the first scan can't be followed; what was known then stays known.
    pub fn complete(&mut self, file: &[u8], out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        let mut found = [false; SLOTS];
        let mut rest = file.strip_prefix(&[0xFF, SOI]).ok_or_else(|| malformed("it doesn't begin with SOI"))?;
        loop {
            let [0xFF, marker, high, low, ..] = *rest else { return Err(malformed("a segment was expected")) };
            let length = 2 + usize::from(u16::from_be_bytes([high, low]));
            let body = rest.get(4..length).ok_or_else(|| malformed("a segment is cut off"))?;
            match marker {
                SOS => break,
                DQT | DHT => self.remember(marker, body, &mut found)?,
                _ => {}
            }
            rest = &rest[length..];
        }
        out.extend([0xFF, SOI]);
        for (slot, table) in self.tables.iter().enumerate().filter(|&(slot, table)| !found[slot] && !table.is_empty()) {
            out.extend([0xFF, if slot < 4 { DQT } else { DHT }]);
            out.extend((2 + table.len() as u16).to_be_bytes());
            out.extend_from_slice(table);
        }
        out.extend_from_slice(&file[2..]);
        Ok(())
    }

    /// Takes the tables of a segment, which may have several.
    fn remember(&mut self, marker: u8, body: &[u8], found: &mut [bool; SLOTS]) -> Result<()> {
        let mut rest = body;
        while let Some(&name) = rest.first() {
            let (high, id) = (usize::from(name >> 4), usize::from(name & 15));
            if high > 1 || id > 3 {
                return Err(malformed("a table has a number that isn't one"));
            }
            let length = if marker == DQT {
                1 + STEP_BYTES[high]
            } else {
                17 + rest.iter().take(17).skip(1).map(|&count| usize::from(count)).sum::<usize>()
            };
            let slot = if marker == DQT { id } else { 4 + 4 * high + id };
            let table = rest.get(..length.min(MAX_TABLE_BYTES + 1)).ok_or_else(|| malformed("a table is cut off"))?;
            if length > MAX_TABLE_BYTES {
                return Err(malformed("a Huffman table has more than 256 symbols"));
            }
            self.tables[slot].clear();
            self.tables[slot].extend_from_slice(table);
            found[slot] = true;
            rest = &rest[length..];
        }
        Ok(())
    }
}

fn malformed(detail: &str) -> Error {
    Error::Malformed { what: "jpeg", detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_followed_is_an_error() {
        let mut out = Vec::new();
        let file = [&[0xFF, SOI, 0xFF, DQT, 0, 67, 0][..], &[1; 64], &[0xFF, SOS, 0, 2]].concat();
        let mut completer = Completer::default();
        completer.complete(&file, &mut out).unwrap();
        assert_eq!(out, file);
        completer.complete(&[0xFF, SOI, 0xFF, SOS, 0, 2, 7], &mut out).unwrap();
        assert_eq!(out, [&file[..], &[7]].concat());
        for length in 0..file.len() {
            assert!(completer.complete(&file[..length], &mut out).is_err(), "{length}");
        }
        for bad in
            [&[0xFF, SOI, 0xFF, DHT, 0, 3, 0x20][..], &[0xFF, SOI, 0xFF, DHT, 0, 3, 0], &[0xFF, SOI, 0xFF, 0xE0, 0, 0]]
        {
            assert!(completer.complete(bad, &mut out).is_err());
        }
        let endless = [&[0xFF, SOI, 0xFF, DHT, 0xFF, 0xFF, 0][..], &[255; 70_000]].concat();
        assert!(completer.complete(&endless, &mut out).is_err());
    }
}
