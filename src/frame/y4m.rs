//! YUV4MPEG2 as a pure parser and writer over bytes: 8 bits, progressive, 4:2:0, 4:2:2, 4:4:4 and grey.
//!
//! The format is the one of `yuv4mpeg(5)` (mjpegtools), with the `XCOLORRANGE` tag that ffmpeg added to it.

use crate::error::{Error, Result};
use crate::frame::{ColorSpace, Frame, FrameBuf, PixelFormat, Range};
use crate::limits::{self, Limits, MAX_Y4M_LINE_BYTES, Y4M_FPS};

const MAGIC: &[u8] = b"YUV4MPEG2";
const FRAME: &[u8] = b"FRAME";

const CHROMA: &str = "8-bit 420, 420jpeg, 420mpeg2, 420paldv, 422, 444 or mono";

/// Frames a second as y4m writes it: a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    /// Numerator, at least 1.
    pub num: u32,
    /// Denominator, at least 1.
    pub den: u32,
}

impl FrameRate {
    /// What is assumed where a stream has no `F` tag, as ffmpeg does.
    pub const DEFAULT: Self = Self { num: 25, den: 1 };

    /// Frames a second.
    pub fn fps(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    fn check(self) -> Result<()> {
        limits::check("y4m F", self.fps(), &Y4M_FPS)
    }
}

/// The stream header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames a second; 25 where the stream doesn't say.
    pub rate: FrameRate,
    /// I420, I422, I444 or Gray8.
    pub format: PixelFormat,
    /// Range, from `XCOLORRANGE`; limited where absent.
    pub range: Range,
}

impl Header {
    /// Reads the header line, without its newline.
    fn parse(line: &[u8]) -> Result<Self> {
        let mut tags = line.split(|&byte| byte == b' ');
        if tags.next() != Some(MAGIC) {
            return Err(not_y4m());
        }
        let (mut width, mut height) = (None, None);
        let mut header =
            Self { width: 0, height: 0, rate: FrameRate::DEFAULT, format: PixelFormat::I420, range: Range::Limited };
        for tag in tags {
            let Some((&letter, value)) = tag.split_first() else { continue };
            match letter {
                b'W' => width = Some(integer("W", value)?),
                b'H' => height = Some(integer("H", value)?),
                b'F' => header.rate = rate(value)?,
                b'C' => header.format = chroma(value)?,
                b'I' => interlacing(value)?,
                b'X' if value == b"COLORRANGE=FULL" => header.range = Range::Full,
                b'X' if value == b"COLORRANGE=LIMITED" => header.range = Range::Limited,
                // The pixel aspect ratio and other extensions don't change how samples are read.
                b'A' | b'X' => {}
                _ => return Err(malformed(format!("unknown header tag \"{}\"", tag.escape_ascii()))),
            }
        }
        let (Some(width), Some(height)) = (width, height) else {
            return Err(malformed("the header lacks W or H".to_owned()));
        };
        Limits::ENGINE.check_size(width, height)?;
        Ok(Self { width, height, ..header })
    }

    /// How the frames' samples are to be read: the stream's range, and BT.601, since y4m names no matrix.
    pub fn color(&self) -> ColorSpace {
        ColorSpace { range: self.range, ..ColorSpace::default() }
    }
}

/// A parser that is fed bytes as they arrive, in pieces of any size.
///
/// It holds what was fed and not yet taken: one that takes all frames after each [`Parser::feed`] holds less than a frame
/// and a piece, and allocates nothing once it has seen the largest. An error stays: the stream can't be taken up again.
///
/// ```
/// use auralink::frame::y4m::Parser;
/// use auralink::{FrameBuf, PixelFormat};
///
/// let mut parser = Parser::default();
/// let mut frame = FrameBuf::zeroed(PixelFormat::Gray8, 1, 1)?;
/// let mut seen = Vec::new();
/// for piece in [b"YUV4MPEG2 W2 H1 Cmo".as_slice(), b"no\nFRAME\nabFRA", b"ME\ncd"] {
///     parser.feed(piece);
///     while parser.next_frame(&mut frame)? {
///         seen.push(frame.data().to_vec());
///     }
/// }
/// parser.finish()?;
/// assert_eq!(seen, [b"ab", b"cd"]);
/// # Ok::<(), auralink::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Parser {
    header: Option<Header>,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were taken already.
    taken: usize,
}

impl Parser {
    /// Takes over more of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        // Moved to the front only when no more than was taken has to move, so that a byte is moved once on average.
        if self.taken >= self.buffer.len() - self.taken {
            self.buffer.copy_within(self.taken.., 0);
            self.buffer.truncate(self.buffer.len() - self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The header, once its line is complete.
    ///
    /// # Errors
    /// Not y4m, a chroma, depth or interlacing that isn't taken, a frame rate or a size out of limits, or a header longer
    /// than [`MAX_Y4M_LINE_BYTES`].
    pub fn header(&mut self) -> Result<Option<&Header>> {
        if self.header.is_none() {
            let pending = self.pending();
            if !pending.iter().zip(MAGIC).all(|(a, b)| a == b) {
                return Err(not_y4m());
            }
            let Some(line) = line(pending)? else { return Ok(None) };
            let header = Header::parse(line)?;
            self.taken += line.len() + 1;
            self.header = Some(header);
        }
        Ok(self.header.as_ref())
    }

    /// Moves the next whole frame into `out`, whose memory is kept where it suffices; false where more bytes are needed.
    ///
    /// # Errors
    /// As [`Parser::header`], or a frame that doesn't begin with `FRAME`.
    pub fn next_frame(&mut self, out: &mut FrameBuf) -> Result<bool> {
        let Some(header) = self.header()? else { return Ok(false) };
        let (format, width, height, color) = (header.format, header.width, header.height, header.color());
        let pending = self.pending();
        if !pending.iter().zip(FRAME).all(|(a, b)| a == b) {
            let start = &pending[..pending.len().min(FRAME.len())];
            return Err(malformed(format!("\"{}\" where a frame should begin with FRAME", start.escape_ascii())));
        }
        let Some(line) = line(pending)? else { return Ok(false) };
        if !matches!(line.get(FRAME.len()), None | Some(b' ')) {
            return Err(malformed(format!("\"{}\" instead of FRAME and its parameters", line.escape_ascii())));
        }
        let (start, length) = (line.len() + 1, format.frame_bytes(width, height));
        let Some(samples) = pending.get(start..start + length) else { return Ok(false) };
        out.reshape(format, width, height, color)?.copy_from_slice(samples);
        self.taken += start + length;
        Ok(true)
    }

    /// Whether everything that was fed was taken: the stream may be read past the parser up to the end of the next frame.
    pub fn is_drained(&self) -> bool {
        self.taken == self.buffer.len()
    }

    /// Called at the end of input, when [`Parser::next_frame`] has given the last frame.
    ///
    /// # Errors
    /// No complete header, or bytes left over from an unfinished frame.
    pub fn finish(&self) -> Result<()> {
        let left = self.pending().len();
        match (&self.header, left) {
            (Some(_), 0) => Ok(()),
            (Some(_), _) => Err(malformed(format!("the stream ends with {left} bytes of an unfinished frame"))),
            (None, _) => Err(malformed(format!("the stream ends after {left} bytes, inside its header"))),
        }
    }

    fn pending(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }
}

/// Appends the stream header, with the range as `XCOLORRANGE`. Chroma of full-range 4:2:0 is marked as JPEG sites it
/// (between the pixels), of limited range as MPEG-2 does.
///
/// # Errors
/// A format other than I420, I422, I444 and Gray8, or a size or frame rate that a reader would refuse.
pub fn write_header(header: &Header, out: &mut Vec<u8>) -> Result<()> {
    let full = header.range == Range::Full;
    let chroma = match check_format(header.format)? {
        PixelFormat::I422 => "422",
        PixelFormat::I444 => "444",
        PixelFormat::Gray8 => "mono",
        _ if full => "420jpeg",
        _ => "420mpeg2",
    };
    Limits::ENGINE.check_size(header.width, header.height)?;
    header.rate.check()?;
    let Header { width, height, rate: FrameRate { num, den }, .. } = header;
    let range = if full { "FULL" } else { "LIMITED" };
    let line = format!("YUV4MPEG2 W{width} H{height} F{num}:{den} Ip C{chroma} XCOLORRANGE={range}\n");
    out.extend_from_slice(line.as_bytes());
    Ok(())
}

/// Appends one frame, which must be in the header's format and size.
///
/// # Errors
/// A format other than I420, I422, I444 and Gray8.
pub fn write_frame(frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<()> {
    check_format(frame.format())?;
    out.reserve(FRAME.len() + 1 + frame.raw_bytes());
    out.extend_from_slice(FRAME);
    out.push(b'\n');
    for plane in frame.planes() {
        for y in 0..plane.rows() {
            out.extend_from_slice(plane.row(y));
        }
    }
    Ok(())
}

fn check_format(format: PixelFormat) -> Result<PixelFormat> {
    match format {
        PixelFormat::I420 | PixelFormat::I422 | PixelFormat::I444 | PixelFormat::Gray8 => Ok(format),
        _ => Err(Error::Unsupported {
            field: "y4m format",
            value: format.to_string(),
            supported: "i420, i422, i444 or gray8",
        }),
    }
}

/// The first line, without its newline; none where it isn't complete.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>> {
    let head = &bytes[..bytes.len().min(MAX_Y4M_LINE_BYTES)];
    match head.iter().position(|&byte| byte == b'\n') {
        Some(end) => Ok(Some(&head[..end])),
        None if head.len() < MAX_Y4M_LINE_BYTES => Ok(None),
        None => Err(malformed(format!("a line of more than {MAX_Y4M_LINE_BYTES} bytes"))),
    }
}

fn integer(tag: &'static str, value: &[u8]) -> Result<u32> {
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|text| text.parse().ok());
    number.ok_or_else(|| malformed(format!("{tag} is \"{}\", not a number", value.escape_ascii())))
}

fn rate(value: &[u8]) -> Result<FrameRate> {
    let Some(colon) = value.iter().position(|&byte| byte == b':') else {
        return Err(malformed(format!("F is \"{}\", not a fraction such as 30000:1001", value.escape_ascii())));
    };
    let rate = FrameRate { num: integer("F", &value[..colon])?, den: integer("F", &value[colon + 1..])? };
    rate.check()?;
    Ok(rate)
}

fn chroma(value: &[u8]) -> Result<PixelFormat> {
    match value {
        b"420" | b"420jpeg" | b"420mpeg2" | b"420paldv" => Ok(PixelFormat::I420),
        b"422" => Ok(PixelFormat::I422),
        b"444" => Ok(PixelFormat::I444),
        b"mono" => Ok(PixelFormat::Gray8),
        _ => Err(Error::Unsupported { field: "y4m C", value: value.escape_ascii().to_string(), supported: CHROMA }),
    }
}

fn interlacing(value: &[u8]) -> Result<()> {
    match value {
        b"p" | b"?" => Ok(()),
        _ => Err(Error::Unsupported {
            field: "y4m I",
            value: value.escape_ascii().to_string(),
            supported: "progressive: p or ?",
        }),
    }
}

fn not_y4m() -> Error {
    malformed("the stream doesn't begin with YUV4MPEG2".to_owned())
}

fn malformed(detail: String) -> Error {
    Error::Malformed { what: "y4m", detail }
}
