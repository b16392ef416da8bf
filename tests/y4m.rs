//! y4m: pieces of any size, hostile bytes, and ffmpeg on both sides.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod skip;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use auralink::frame::y4m::{FrameRate, Header, Parser, write_frame, write_header};
use auralink::{Error, Frame, FrameBuf, PixelFormat, Range, Result};
use proptest::prelude::*;

const FORMATS: [PixelFormat; 4] = [PixelFormat::I420, PixelFormat::I422, PixelFormat::I444, PixelFormat::Gray8];

fn header(format: PixelFormat, width: u32, height: u32, range: Range) -> Header {
    Header { width, height, rate: FrameRate { num: 30_000, den: 1_001 }, format, range }
}

fn picture(format: PixelFormat, width: u32, height: u32, seed: usize) -> FrameBuf {
    let data = (0..format.frame_bytes(width, height)).map(|i| (i * 31 + i / 7 + seed * 97) as u8).collect();
    FrameBuf::new(format, width, height, data).unwrap()
}

fn empty() -> FrameBuf {
    FrameBuf::zeroed(PixelFormat::Gray8, 1, 1).unwrap()
}

/// Parses a whole stream that arrives in the given pieces.
fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Header, Vec<FrameBuf>)> {
    let (mut parser, mut frame, mut frames) = (Parser::default(), empty(), Vec::new());
    for piece in pieces {
        parser.feed(piece);
        while parser.next_frame(&mut frame)? {
            frames.push(frame.clone());
        }
    }
    parser.finish()?;
    Ok((parser.header()?.unwrap().clone(), frames))
}

fn error(stream: &[u8]) -> Error {
    parse([stream]).unwrap_err()
}

/// The installed ffmpeg, or none, which is said.
fn ffmpeg(test: &str) -> bool {
    let found = Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        skip::say(format_args!("{test}: ffmpeg is not installed"));
    }
    found
}

/// Runs a command with bytes on its standard input and gives its standard output.
fn pipe(program: &str, arguments: &[&str], input: Vec<u8>) -> Vec<u8> {
    let mut command = Command::new(program);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    output.stdout
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pieces_give_the_same_frames(
        format in 0..4_usize, width in 1..40_u32, height in 1..40_u32, full in any::<bool>(),
        count in 0..4_usize, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let header = header(FORMATS[format], width, height, if full { Range::Full } else { Range::Limited });
        let frames: Vec<_> =
            (0..count).map(|seed| picture(header.format, width, height, seed).with_color(header.color())).collect();
        let mut stream = Vec::new();
        write_header(&header, &mut stream).unwrap();
        for frame in &frames {
            write_frame(&frame.as_frame(), &mut stream).unwrap();
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        prop_assert_eq!(parse(pieces).unwrap(), (header.clone(), frames.clone()));
        prop_assert_eq!(parse(stream.chunks(1)).unwrap(), (header, frames));
    }

    #[test]
    fn any_bytes_give_an_error_or_frames(
        start in prop::sample::select(vec![
            "", "YUV4", "YUV4MPEG2 ", "YUV4MPEG2 W3 H2 F25:1 C420\n", "YUV4MPEG2 W3 H2 Cmono\nFRAME", "YUV4MPEG2 W1 H1 Cmono\nFRAME\n",
        ]),
        tail in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b" \nWHFCIAX0129:FRAMEp".to_vec())], 0..200),
    ) {
        let mut stream = start.as_bytes().to_vec();
        stream.extend(tail);
        let whole = parse([stream.as_slice()]);
        let bytes = parse(stream.chunks(1));
        match (whole, bytes) {
            (Ok(whole), Ok(bytes)) => prop_assert_eq!(whole, bytes),
            (Err(whole), Err(bytes)) => prop_assert_eq!(whole.field(), bytes.field()),
            (whole, bytes) => prop_assert!(false, "{:?} at once, {:?} by bytes", whole, bytes),
        }
    }
}

#[test]
fn tags_are_read() {
    let (header, frames) =
        parse([b"YUV4MPEG2 W3 H1 F60000:1001 I? A128:117 C420paldv XYSCSS=420PALDV XCOLORRANGE=FULL\n\
        FRAME Ip Xhello\nabcdefg"
            .as_slice()])
        .unwrap();
    assert_eq!((header.width, header.height, header.rate), (3, 1, FrameRate { num: 60_000, den: 1_001 }));
    assert_eq!((header.format, header.range), (PixelFormat::I420, Range::Full));
    assert_eq!(frames[0].data(), b"abcdefg");
    assert_eq!(frames[0].as_frame().color(), header.color());

    let (header, frames) = parse([b"YUV4MPEG2 H2 W2\n".as_slice()]).unwrap();
    assert_eq!((header.rate, header.format, header.range), (FrameRate::DEFAULT, PixelFormat::I420, Range::Limited));
    assert!(frames.is_empty());
    for (tag, format) in [("422", PixelFormat::I422), ("444", PixelFormat::I444), ("420mpeg2", PixelFormat::I420)] {
        assert_eq!(parse([format!("YUV4MPEG2 W2 H2 C{tag}\n").as_bytes()]).unwrap().0.format, format);
    }
}

#[test]
fn what_is_not_taken_is_named() {
    for (tags, said) in [
        ("W2 H2 C420p10", "y4m C: 420p10 is not supported (8-bit 420, 420jpeg, 420mpeg2, 420paldv, 422, 444 or mono)"),
        (
            "W2 H2 C444alpha",
            "y4m C: 444alpha is not supported (8-bit 420, 420jpeg, 420mpeg2, 420paldv, 422, 444 or mono)",
        ),
        ("W2 H2 C411", "y4m C: 411 is not supported (8-bit 420, 420jpeg, 420mpeg2, 420paldv, 422, 444 or mono)"),
        ("W2 H2 It", "y4m I: t is not supported (progressive: p or ?)"),
        ("W2 H2 Im", "y4m I: m is not supported (progressive: p or ?)"),
        ("W2 H2 F0:1", "y4m F: 0 is outside 1..=1000"),
        ("W2 H2 F30:0", "y4m F: inf is outside 1..=1000"),
        ("W2 H2 F0:0", "y4m F: NaN is outside 1..=1000"),
        ("W2 H2 F90000:1", "y4m F: 90000 is outside 1..=1000"),
        ("W2 H2 F30", "y4m: F is \"30\", not a fraction such as 30000:1001"),
        ("W2 H2 F30:-1", "y4m: F is \"-1\", not a number"),
        ("W20000 H2", "width: 20000 is outside 1..=16384"),
        ("W2 H0", "height: 0 is outside 1..=16384"),
        ("W99999999999 H2", "y4m: W is \"99999999999\", not a number"),
        ("W+2 H2", "y4m: W is \"+2\", not a number"),
        ("W2 C420", "y4m: the header lacks W or H"),
        ("W2 H2 Q\u{7}", "y4m: unknown header tag \"Q\\x07\""),
    ] {
        assert_eq!(error(format!("YUV4MPEG2 {tags}\n").as_bytes()).to_string(), said);
    }
}

#[test]
fn damaged_streams_are_named() {
    assert_eq!(error(b"RIFF").to_string(), "y4m: the stream doesn't begin with YUV4MPEG2");
    assert_eq!(error(b"YUV4MPEG22 W2 H2\n").to_string(), "y4m: the stream doesn't begin with YUV4MPEG2");
    assert_eq!(error(b"").to_string(), "y4m: the stream ends after 0 bytes, inside its header");
    let endless = [b"YUV4MPEG2 X".as_slice(), &[b'x'; 5_000]].concat();
    assert_eq!(error(&endless).to_string(), "y4m: a line of more than 1024 bytes");
    let start = b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nab";
    for (tail, said) in [
        ("FRAME\na", "the stream ends with 7 bytes of an unfinished frame"),
        ("FRAM", "the stream ends with 4 bytes of an unfinished frame"),
        ("frame\nab", "\"frame\" where a frame should begin with FRAME"),
        ("FRAMES\nab", "\"FRAMES\" instead of FRAME and its parameters"),
    ] {
        assert_eq!(error(&[start, tail.as_bytes()].concat()).to_string(), format!("y4m: {said}"));
    }
    let mut parser = Parser::default();
    parser.feed(b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nabFRAME X");
    parser.feed(&[b'x'; 2_000]);
    assert!(parser.next_frame(&mut empty()).unwrap());
    assert!(parser.next_frame(&mut empty()).is_err(), "a FRAME line has a bound");
    assert!(parser.next_frame(&mut empty()).is_err(), "an error stays");
}

#[test]
fn what_a_reader_would_refuse_is_not_written() {
    let mut out = Vec::new();
    let good = header(PixelFormat::I420, 4, 4, Range::Full);
    assert!(write_header(&Header { format: PixelFormat::Nv12, ..good.clone() }, &mut out).is_err());
    assert!(write_header(&Header { width: 0, ..good.clone() }, &mut out).is_err());
    assert!(write_header(&Header { rate: FrameRate { num: 1, den: 0 }, ..good }, &mut out).is_err());
    let rgb = picture(PixelFormat::Rgb8, 4, 4, 0);
    let said = write_frame(&rgb.as_frame(), &mut out).unwrap_err().to_string();
    assert_eq!(said, "y4m format: rgb8 is not supported (i420, i422, i444 or gray8)");
    assert!(out.is_empty());
}

#[test]
fn memory_is_kept_from_frame_to_frame() {
    let header = header(PixelFormat::I420, 64, 48, Range::Limited);
    let (mut parser, mut frame, mut bytes) = (Parser::default(), empty(), Vec::new());
    write_header(&header, &mut bytes).unwrap();
    parser.feed(&bytes);
    let mut memory = None;
    for seed in 0..50 {
        bytes.clear();
        write_frame(&picture(PixelFormat::I420, 64, 48, seed).as_frame(), &mut bytes).unwrap();
        for piece in bytes.chunks(1_000) {
            assert!(!parser.next_frame(&mut frame).unwrap());
            parser.feed(piece);
        }
        assert!(parser.next_frame(&mut frame).unwrap());
        assert_eq!(frame.data(), picture(PixelFormat::I420, 64, 48, seed).data());
        assert_eq!(*memory.get_or_insert(frame.data().as_ptr()), frame.data().as_ptr());
    }
    parser.finish().unwrap();
}

#[test]
fn a_stream_fed_at_once_is_taken_in_linear_time() {
    // 200 000 frames of one pixel: shifting the rest at every frame would copy 160 GB.
    let mut stream = b"YUV4MPEG2 W1 H1 Cmono\n".to_vec();
    stream.extend(b"FRAME\nx".repeat(200_000));
    let (mut parser, mut frame, mut count) = (Parser::default(), empty(), 0);
    parser.feed(&stream);
    while parser.next_frame(&mut frame).unwrap() {
        parser.feed(b"");
        count += 1;
    }
    assert_eq!(count, 200_000);
    parser.finish().unwrap();
}

#[test]
fn ffmpeg_reads_what_is_written() {
    if !ffmpeg("ffmpeg_reads_what_is_written") {
        return;
    }
    for (format, name) in FORMATS.into_iter().zip(["yuv420p", "yuv422p", "yuv444p", "gray"]) {
        for (width, height, range) in [(64, 48, Range::Full), (35, 17, Range::Limited), (1, 1, Range::Full)] {
            let header = header(format, width, height, range);
            let (mut stream, mut raw) = (Vec::new(), Vec::new());
            write_header(&header, &mut stream).unwrap();
            for seed in 0..3 {
                let frame = picture(format, width, height, seed);
                // Written from a frame with padding.
                let mut padded = Vec::new();
                let mut strides = Vec::new();
                for plane in frame.as_frame().planes() {
                    strides.push(plane.row_bytes() + 3);
                    (0..plane.rows()).for_each(|y| padded.extend([plane.row(y), &[0; 3]].concat()));
                }
                write_frame(&Frame::with_strides(format, width, height, &padded, &strides).unwrap(), &mut stream)
                    .unwrap();
                raw.extend_from_slice(frame.data());
            }
            // No pixel format is asked for: what comes out is in the format that was read.
            let decoded = pipe(
                "ffmpeg",
                &["-v", "error", "-f", "yuv4mpegpipe", "-i", "-", "-f", "rawvideo", "-"],
                stream.clone(),
            );
            assert_eq!(decoded, raw, "{name} {width}x{height}");
            let asked = "stream=width,height,pix_fmt,color_range,r_frame_rate";
            let probe = ["-v", "error", "-f", "yuv4mpegpipe", "-show_entries", asked, "-of", "csv=p=0", "-"];
            let told = String::from_utf8(pipe("ffprobe", &probe, stream)).unwrap();
            let range = if range == Range::Full { "pc" } else { "tv" };
            assert_eq!(told.trim(), format!("{width},{height},{name},{range},30000/1001"));
        }
    }
}

#[test]
fn what_ffmpeg_writes_is_read() {
    if !ffmpeg("what_ffmpeg_writes_is_read") {
        return;
    }
    for (format, name) in FORMATS.into_iter().zip(["yuv420p", "yuv422p", "yuv444p", "gray"]) {
        let source = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=r=24:d=0.25,scale=67:33", "-pix_fmt", name];
        let stream = pipe("ffmpeg", &[&source[..], &["-f", "yuv4mpegpipe", "-"]].concat(), Vec::new());
        let raw = pipe("ffmpeg", &[&source[..], &["-f", "rawvideo", "-"]].concat(), Vec::new());
        let (header, frames) = parse(stream.chunks(4_096)).unwrap();
        assert_eq!((header.format, header.rate), (format, FrameRate { num: 24, den: 1 }));
        assert_eq!((header.width, header.height, frames.len()), (67, 33, 6));
        assert_eq!(frames.iter().flat_map(FrameBuf::data).copied().collect::<Vec<_>>(), raw, "{name}");
    }
    let source =
        ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=32x32:d=0.1", "-pix_fmt", "yuv420p10", "-strict", "-1"];
    let stream = pipe("ffmpeg", &[&source[..], &["-f", "yuv4mpegpipe", "-"]].concat(), Vec::new());
    assert!(error(&stream).to_string().starts_with("y4m C: 420p10 is not supported"));
}

#[test]
fn every_clip_of_the_data_folder_is_read() {
    let data = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data"));
    let script = data.join("to-y4m.sh");
    if !script.exists() {
        skip::say(format_args!("every_clip_of_the_data_folder_is_read: {} is absent", data.display()));
        return;
    }
    if !ffmpeg("every_clip_of_the_data_folder_is_read") {
        return;
    }
    let mut clips: Vec<PathBuf> = ["video/natural", "video/screen"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(data.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    clips.sort();
    assert!(clips.len() > 10);
    for clip in clips {
        let arguments = [script.to_str().unwrap(), clip.to_str().unwrap(), "-", "-", "2"];
        let stream = pipe("sh", &arguments, Vec::new());
        let (header, frames) = parse(stream.chunks(1 << 16)).unwrap_or_else(|e| panic!("{}: {e}", clip.display()));
        assert_eq!(header.format, PixelFormat::I420);
        assert_eq!(frames.len(), 2, "{}", clip.display());
    }
}
