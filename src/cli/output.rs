//! Where packets and frames go: a file, or standard output as `-`.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use auralink::frame::y4m::{self, FrameRate, Header};
use auralink::{Frame, FrameBuf, PixelFormat};

use super::console::stdout_result;
use super::exit::{At, Failure, Result};
use super::yuv::{Planar, Sampling};

/// Whether a path means standard input or output.
pub(crate) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The extension in lower case, empty where there is none.
pub(crate) fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// Refuses to write over what is being read.
pub(crate) fn check_distinct(input: &Path, output: &Path) -> Result<()> {
    let same = !is_dash(input)
        && !is_dash(output)
        && matches!((input.canonicalize(), output.canonicalize()), (Ok(a), Ok(b)) if a == b && a.is_file());
    if same {
        return Err(Failure::usage(format!("{}: input and output are the same file", output.display())));
    }
    Ok(())
}

/// An output that is created when the first bytes are there, so that a bad input leaves an old file alone. Each write is a
/// whole packet or frame and goes out at once: whatever ends the program, nothing is torn.
pub(crate) struct Sink {
    path: PathBuf,
    writer: Option<Box<dyn Write>>,
}

impl Sink {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), writer: None }
    }

    pub(crate) fn write(&mut self, data: &[u8]) -> Result<()> {
        let mut writer: Box<dyn Write> = match self.writer.take() {
            Some(writer) => writer,
            None if is_dash(&self.path) => Box::new(io::stdout()),
            None => Box::new(File::create(&self.path).at(&self.path)?),
        };
        let result = writer.write_all(data).and_then(|()| writer.flush());
        self.writer = Some(writer);
        if is_dash(&self.path) { stdout_result(result) } else { result.at(&self.path) }
    }
}

/// Frames as y4m, converted where y4m hasn't their format.
pub(crate) struct Y4mWriter {
    sink: Sink,
    rate: FrameRate,
    header: Option<Header>,
    planar: Planar,
    buffer: Vec<u8>,
}

impl Y4mWriter {
    pub(crate) fn new(path: &Path, rate: FrameRate) -> Self {
        Self { sink: Sink::new(path), rate, header: None, planar: Planar::default(), buffer: Vec::new() }
    }

    /// Writes one frame; RGB becomes full-range luma and chroma, sampled as stated.
    pub(crate) fn write(&mut self, frame: &Frame<'_>, sampling: Sampling) -> Result<()> {
        let frame = self.planar.convert(frame, sampling)?;
        let header = Header {
            width: frame.width(),
            height: frame.height(),
            rate: self.rate,
            format: frame.format(),
            range: frame.color().range,
        };
        self.buffer.clear();
        match &self.header {
            None => {
                y4m::write_header(&header, &mut self.buffer)?;
                self.header = Some(header);
            }
            Some(first) if *first != header => {
                let say = |h: &Header| format!("{}x{} {} {:?} range", h.width, h.height, h.format, h.range);
                return Err(Failure::data(format!(
                    "y4m: a frame of {}, but the stream began with {} (--size makes sizes equal)",
                    say(&header),
                    say(first)
                )));
            }
            Some(_) => {}
        }
        y4m::write_frame(&frame, &mut self.buffer)?;
        self.sink.write(&self.buffer)
    }
}

/// An empty frame to be filled.
pub(crate) fn blank() -> Result<FrameBuf> {
    Ok(FrameBuf::zeroed(PixelFormat::Gray8, 1, 1)?)
}

/// A frame rate as a fraction: whole, or in thousandths.
pub(crate) fn frame_rate(fps: f64) -> FrameRate {
    let thousandths = (fps * 1000.0).round() as u32;
    if thousandths.is_multiple_of(1000) {
        FrameRate { num: thousandths / 1000, den: 1 }
    } else {
        FrameRate { num: thousandths, den: 1000 }
    }
}

/// Frames a second of a fraction.
pub(crate) fn fps(rate: FrameRate) -> f64 {
    f64::from(rate.num) / f64::from(rate.den.max(1))
}
