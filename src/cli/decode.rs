//! `auralink decode`: JPEG, MJPEG and lossless packets back to frames.

use std::fs;
use std::path::{Path, PathBuf};

use auralink::codec::lossless::LosslessDecoder;
use auralink::resize::Resizer;
use auralink::{Frame, FrameBuf, Limits};
use clap::ValueEnum;
use rayon::ThreadPool;

use super::console::{Console, remark};
use super::exit::{At, Failure, Result};
use super::input::mjpeg::Splitter;
use super::input::{Bytes, H264_IS_CODED, Kind, PacketReader, is_picture_name, limits};
use super::inspect::jpeg;
use super::output::{Sink, Y4mWriter, blank, check_distinct, extension, frame_rate, is_dash};
use super::progress::Progress;
use super::stop::Stop;
use super::yuv::Sampling;
use super::{parse, thread_pool};

/// Decompress JPEG, MJPEG or lossless packets.
///
/// INPUT is told apart by its content. OUTPUT is .y4m, .png (one picture), .raw (samples as they are), or a folder for
/// numbered PNG files. Either may be - for standard input or output; words then go to standard error.
///
/// y4m has no RGB: such pictures become full-range BT.601 luma and chroma, sampled as in the JPEG file or else at full size.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit::HELP)]
pub(crate) struct Args {
    /// File to read; - is standard input.
    input: PathBuf,
    /// File or existing folder to write; - is standard output, in the form of --to.
    #[arg(short, long)]
    output: PathBuf,
    /// Form of the output; by its extension where absent, y4m on standard output.
    #[arg(long, value_enum)]
    to: Option<Form>,
    /// Scale every frame to this size.
    #[arg(long, value_name = "WxH", value_parser = parse::size)]
    size: Option<(u32, u32)>,
    /// Frames a second that y4m states.
    #[arg(long, default_value = "25", value_parser = parse::fps)]
    fps: f64,
    /// Threads that decode lossless packets; one a core by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Stop after this many frames.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,
    /// One line of JSON a frame.
    #[arg(long)]
    json: bool,
}

/// Forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Y4m,
    Png,
    Raw,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut writer = Writer::new(args)?;
    check_distinct(&args.input, &args.output)?;
    let stop = Stop::on_signals()?;
    let bytes = Bytes::open(&args.input)?;
    let mut progress = Progress::new(bytes.extent.clone(), args.frames);
    let mut packets = Packets::open(bytes, args)?;
    let console = Console::beside(is_dash(&args.output));

    let (mut count, mut packed, mut raw) = (0, 0, 0);
    let mut outcome = Ok(());
    while outcome.is_ok() && args.frames.is_none_or(|limit| count < limit) {
        if stop.is_set() {
            outcome = Err(Failure::interrupted());
            break;
        }
        outcome = match packets.next() {
            Ok(None) => break,
            Ok(Some((frame, sampling, packet_bytes))) => writer.write(&frame, sampling, count).and_then(|()| {
                count += 1;
                packed += packet_bytes as u64;
                raw += frame.raw_bytes() as u64;
                progress.update(count, raw, packed);
                if args.json { console.json(&frame_json(count - 1, &frame, packet_bytes)) } else { Ok(()) }
            }),
            Err(failure) => Err(failure.within(format!("frame {count}"))),
        };
    }
    drop(progress);
    if outcome.as_ref().is_err_and(Failure::is_quiet) {
        return outcome;
    }
    if count == 0 {
        return outcome.and(Err(Failure::data(format!("{}: no frames", args.input.display()))));
    }
    let line = format!("{count} frames: {:.2} MB from {:.2} MB", raw as f64 / 1e6, packed as f64 / 1e6);
    if args.json {
        remark(line);
        return outcome;
    }
    outcome.and(console.line(line))
}

fn frame_json(frame: u64, picture: &Frame<'_>, packet_bytes: usize) -> serde_json::Value {
    serde_json::json!({
        "frame": frame,
        "width": picture.width(),
        "height": picture.height(),
        "format": picture.format().name(),
        "raw_bytes": picture.raw_bytes(),
        "bytes": packet_bytes,
    })
}

/// Packets of whichever codec.
enum Packets {
    Jpeg { splitter: Splitter<Bytes>, picture: Vec<u8>, frame: FrameBuf },
    Still { bytes: Option<Bytes>, frame: FrameBuf },
    Lossless(Box<LosslessStream>),
}

impl Packets {
    fn open(bytes: Bytes, args: &Args) -> Result<Self> {
        let frame = blank()?;
        match bytes.kind() {
            Kind::Jpeg if is_picture_name(&args.input) => Ok(Self::Still { bytes: Some(bytes), frame }),
            Kind::Jpeg => {
                let splitter = Splitter::new(bytes, limits().max_encoded_bytes);
                Ok(Self::Jpeg { splitter, picture: Vec::new(), frame })
            }
            Kind::H264 => Err(Failure::data(format!("{}: {H264_IS_CODED}", bytes.name))),
            Kind::Lossless => Ok(Self::Lossless(Box::new(LosslessStream::new(bytes, thread_pool(args.threads)?)))),
            _ => Err(Failure::data(format!("{}: neither JPEG, MJPEG nor lossless packets", bytes.name))),
        }
    }

    /// The next frame, how chroma of RGB is best sampled, and the bytes it came from.
    fn next(&mut self) -> Result<Option<(Frame<'_>, Sampling, usize)>> {
        match self {
            Self::Jpeg { splitter, picture, frame } => {
                if !splitter.next(picture)? {
                    return Ok(None);
                }
                *frame = auralink::images::decode(picture, &limits())?;
                Ok(Some((frame.as_frame(), jpeg::sampling(picture), picture.len())))
            }
            Self::Still { bytes, frame } => {
                let Some(mut bytes) = bytes.take() else { return Ok(None) };
                let data = bytes.read_all(limits().max_encoded_bytes)?;
                *frame = auralink::images::decode(&data, &limits())?;
                Ok(Some((frame.as_frame(), jpeg::sampling(&data), data.len())))
            }
            Self::Lossless(stream) => stream.next(),
        }
    }
}

struct LosslessStream {
    reader: PacketReader,
    decoder: LosslessDecoder,
    pool: ThreadPool,
}

impl LosslessStream {
    fn new(bytes: Bytes, pool: ThreadPool) -> Self {
        let decoder = LosslessDecoder::new(auralink::kernel::detect(), limits());
        Self { reader: PacketReader::new(bytes), decoder, pool }
    }

    fn next(&mut self) -> Result<Option<(Frame<'_>, Sampling, usize)>> {
        if self.reader.next()?.is_none() {
            return Ok(None);
        }
        let frame = self.decoder.decode(&self.reader.packet, &self.pool)?;
        Ok(Some((frame.as_frame(), Sampling::S444, self.reader.packet.len())))
    }
}

/// Writes frames in the form asked for.
struct Writer {
    output: Output,
    size: Option<(u32, u32)>,
    resizer: Resizer,
    scaled: FrameBuf,
    buffer: Vec<u8>,
}

enum Output {
    Y4m(Box<Y4mWriter>),
    Raw(Sink),
    Png(Sink),
    Folder(PathBuf),
}

impl Writer {
    fn new(args: &Args) -> Result<Self> {
        let path = args.output.as_path();
        Ok(Self {
            output: match form(args.to, path)? {
                Form::Png if path.is_dir() => Output::Folder(path.to_owned()),
                Form::Png => Output::Png(Sink::new(path)),
                Form::Raw => Output::Raw(Sink::new(path)),
                Form::Y4m => Output::Y4m(Box::new(Y4mWriter::new(path, frame_rate(args.fps)))),
            },
            size: args.size,
            resizer: Resizer::default(),
            scaled: blank()?,
            buffer: Vec::new(),
        })
    }

    fn write(&mut self, frame: &Frame<'_>, sampling: Sampling, index: u64) -> Result<()> {
        let frame = match self.size {
            Some((width, height)) if (width, height) != (frame.width(), frame.height()) => {
                Limits::ENGINE.check_size(width, height)?;
                self.resizer.resize(frame, width, height, &mut self.scaled)?;
                self.scaled.as_frame()
            }
            _ => *frame,
        };
        self.buffer.clear();
        match &mut self.output {
            Output::Y4m(writer) => writer.write(&frame, sampling),
            Output::Raw(sink) => {
                for plane in frame.planes() {
                    (0..plane.rows()).for_each(|y| self.buffer.extend_from_slice(plane.row(y)));
                }
                sink.write(&self.buffer)
            }
            Output::Png(_) if index > 0 => Err(Failure::usage(
                "a .png holds one picture and the input has more: name a folder, write .y4m, or give --frames 1",
            )),
            Output::Png(sink) => {
                auralink::images::encode_png(&frame, &mut self.buffer)?;
                sink.write(&self.buffer)
            }
            Output::Folder(folder) => {
                auralink::images::encode_png(&frame, &mut self.buffer)?;
                let path = folder.join(format!("{index:06}.png"));
                fs::write(&path, &self.buffer).at(&path)
            }
        }
    }
}

fn form(to: Option<Form>, output: &Path) -> Result<Form> {
    if output.is_dir() {
        return match to {
            None | Some(Form::Png) => Ok(Form::Png),
            Some(_) => Err(Failure::usage(format!("{}: folders hold PNG files", output.display()))),
        };
    }
    let by_name = match extension(output).as_str() {
        "y4m" => Some(Form::Y4m),
        "png" => Some(Form::Png),
        "raw" | "yuv" | "rgb" => Some(Form::Raw),
        _ => None,
    };
    match to.or(by_name) {
        Some(form) => Ok(form),
        None if is_dash(output) => Ok(Form::Y4m),
        None => Err(Failure::usage(format!(
            "{}: the extension names no form of frames; use .y4m, .png, .raw or a folder, or give --to",
            output.display()
        ))),
    }
}
