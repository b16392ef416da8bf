//! `auralink inspect`: what a file is and holds.

mod facts;
pub(crate) mod h264;
pub(crate) mod jpeg;

use std::io::Cursor;
use std::path::PathBuf;

use image::{ImageDecoder, ImageReader};
use serde_json::{Value, json};

use facts::{Facts, Sizes};
use h264::Units;
use jpeg::Markers;

use super::console::Console;
use super::exit::{Failure, Result};
use super::input::mjpeg::Splitter;
use super::input::{Bytes, Frames, Kind, PacketReader, Y4m, is_picture_name, limits};
use super::output::{blank, fps};
use super::stop::Stop;

/// Tell what a file is: y4m, H.264, JPEG, MJPEG, lossless packets, PNG or WebP.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit::HELP)]
pub(crate) struct Args {
    /// File to look at; - is standard input.
    file: PathBuf,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let stop = Stop::on_signals()?;
    let bytes = Bytes::open(&args.file)?;
    let name = bytes.name.clone();
    let facts = match bytes.kind() {
        Kind::Y4m => y4m(bytes, &stop),
        Kind::Jpeg => jpegs(bytes, is_picture_name(&args.file), &stop),
        Kind::H264 => nal_units(bytes, &stop),
        Kind::Lossless => packets(bytes, &stop),
        Kind::Png => picture("png", bytes),
        Kind::WebP => picture("webp", bytes),
        Kind::Unknown => Err(Failure::data("not y4m, H.264, JPEG, MJPEG, lossless packets, PNG or WebP")),
    };
    let facts = facts.map_err(|failure| failure.within(&name))?;
    if args.json { Console::Stdout.json(&facts) } else { Console::Stdout.write(facts.text().as_bytes()) }
}

fn y4m(bytes: Bytes, stop: &Stop) -> Result<Facts> {
    let mut stream = Y4m::open(bytes)?;
    let header = stream.header().clone();
    let (mut frame, mut count) = (blank()?, 0_u64);
    while stream.next(&mut frame)? {
        count += 1;
        go_on(stop)?;
    }
    let mut facts = Facts::default();
    facts
        .add("what", "y4m")
        .add("width", header.width)
        .add("height", header.height)
        .add("format", header.format.name())
        .add("range", format!("{:?}", header.range).to_ascii_lowercase())
        .add("fps", format!("{}:{}", header.rate.num, header.rate.den))
        .add("frame_bytes", header.format.frame_bytes(header.width, header.height))
        .add("frames", count)
        .add("seconds", count as f64 / fps(header.rate));
    Ok(facts)
}

fn jpegs(mut bytes: Bytes, is_one: bool, stop: &Stop) -> Result<Facts> {
    if is_one {
        return Ok(one_jpeg(&Markers::parse(&bytes.read_all(limits().max_encoded_bytes)?)?));
    }
    let mut splitter = Splitter::new(bytes, limits().max_encoded_bytes);
    let (mut data, mut sizes, mut shapes) = (Vec::new(), Sizes::default(), Vec::new());
    let (mut first, mut qualities) = (None, (100, 0));
    while splitter.next(&mut data)? {
        go_on(stop)?;
        let markers = Markers::parse(&data)?;
        sizes.add(data.len());
        if let Some((quality, _)) = markers.quality() {
            qualities = (quality.min(qualities.0), quality.max(qualities.1));
        }
        let shape = markers.frame.as_ref().map(|frame| (frame.width, frame.height));
        // A stream has a handful of sizes at most; a longer list tells nobody anything.
        if shapes.len() < 16 && shape.is_some_and(|shape| !shapes.contains(&shape)) {
            shapes.extend(shape);
        }
        first.get_or_insert(markers);
    }
    let Some(first) = first else { return Err(Failure::data("no picture")) };
    if sizes.count == 1 {
        return Ok(one_jpeg(&first));
    }
    let mut facts = Facts::default();
    facts.add("what", "mjpeg").add("frames", sizes.count).add("bytes", sizes.total).append(sizes.facts());
    if qualities.0 <= qualities.1 {
        facts.add("quality_min", qualities.0).add("quality_max", qualities.1);
    }
    facts.list("sizes", shapes.iter().map(|(width, height)| Value::from(format!("{width}x{height}"))));
    Ok(facts)
}

fn one_jpeg(markers: &Markers) -> Facts {
    let mut facts = Facts::default();
    facts.add("what", "jpeg");
    if let Some(frame) = &markers.frame {
        facts
            .add("process", jpeg::process(frame.code))
            .add("width", frame.width)
            .add("height", frame.height)
            .add("bits", frame.precision);
        if let Some((across, down)) = frame.sampling() {
            facts.add("chroma", format!("1/{across} across, 1/{down} down"));
        }
        let component = |c: &jpeg::Component| {
            json!({
                "id": c.id,
                "quantiser": c.quantiser,
                "sampling": format!("{}x{}", c.horizontal, c.vertical),
            })
        };
        facts.list("components", frame.components.iter().map(component));
    }
    if let Some((quality, exact)) = markers.quality() {
        facts.add("quality", quality).add("quality_exact", exact);
    }
    facts
        .add("huffman_tables", markers.huffman_tables)
        .add("restart_interval", markers.restart_interval)
        .add("restart_markers", markers.restarts)
        .add("scans", markers.scans)
        .add("scan_bytes", markers.scan_bytes)
        .add("trailing_bytes", markers.trailing_bytes);
    let segment = |segment: &jpeg::Segment| json!({ "marker": jpeg::name(segment.code), "offset": segment.offset, "bytes": segment.bytes });
    facts.list("segments", markers.segments.iter().map(segment));
    facts
}

/// NAL units listed one by one; the others are only counted.
const LISTED_UNITS: usize = 32;

fn nal_units(bytes: Bytes, stop: &Stop) -> Result<Facts> {
    let mut units = Units::new(bytes, limits().max_encoded_bytes);
    let (mut sizes, mut pictures, mut keyframes) = (Sizes::default(), 0_u64, 0_u64);
    let (mut sequences, mut listed) = (Vec::new(), Vec::new());
    while let Some(unit) = units.next()? {
        go_on(stop)?;
        sizes.add(unit.bytes.len());
        pictures += u64::from(unit.begins_picture());
        keyframes += u64::from(unit.begins_picture() && unit.is_key());
        let sequence = unit.sequence();
        if listed.len() < LISTED_UNITS {
            listed.push(json!({ "type": unit.kind(), "name": unit.name(), "bytes": unit.bytes.len() }));
        }
        if sequences.len() < LISTED_UNITS && sequence.is_some_and(|sequence| !sequences.contains(&sequence)) {
            sequences.extend(sequence);
        }
    }
    let mut facts = Facts::default();
    facts.add("what", "h264");
    if let Some(first) = sequences.first() {
        facts
            .add("profile", first.profile())
            .add("level", first.level())
            .add("width", first.width)
            .add("height", first.height);
    }
    facts
        .list("sizes", sequences.iter().map(|sequence| format!("{}x{}", sequence.width, sequence.height).into()))
        .add("frames", pictures)
        .add("keyframes", keyframes)
        .add("units", sizes.count)
        .add("bytes", sizes.total)
        .append(sizes.facts())
        .list("first_units", listed.into_iter());
    Ok(facts)
}

fn packets(bytes: Bytes, stop: &Stop) -> Result<Facts> {
    let mut reader = PacketReader::new(bytes);
    let (mut sizes, mut keyframes, mut raw_bytes) = (Sizes::default(), Sizes::default(), 0_u64);
    let mut first = None;
    while let Some(header) = reader.next()? {
        go_on(stop)?;
        sizes.add(reader.packet.len());
        if header.keyframe {
            keyframes.add(reader.packet.len());
        }
        raw_bytes += header.format.frame_bytes(header.width, header.height) as u64;
        first.get_or_insert(header);
    }
    let Some(first) = first else { return Err(Failure::data("no packet")) };
    let mut facts = Facts::default();
    facts
        .add("what", "lossless packets")
        .add("width", first.width)
        .add("height", first.height)
        .add("format", first.format.name())
        .add("band_rows", first.band_rows)
        .add("packets", sizes.count)
        .add("keyframes", keyframes.count)
        .add("keyframe_bytes", keyframes.total)
        .add("raw_bytes", raw_bytes)
        .add("bytes", sizes.total)
        .add("ratio", raw_bytes as f64 / sizes.total.max(1) as f64)
        .append(sizes.facts());
    Ok(facts)
}

fn picture(what: &'static str, mut bytes: Bytes) -> Result<Facts> {
    let data = bytes.read_all(limits().max_encoded_bytes)?;
    let damaged = |error: image::ImageError| Failure::data(what).because(error);
    let reader = ImageReader::new(Cursor::new(&data)).with_guessed_format();
    let decoder = reader.map_err(|error| Failure::io(what, error))?.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let mut facts = Facts::default();
    facts
        .add("what", what)
        .add("width", width)
        .add("height", height)
        .add("color", format!("{:?}", decoder.original_color_type()))
        .add("bytes", data.len());
    Ok(facts)
}

fn go_on(stop: &Stop) -> Result<()> {
    if stop.is_set() { Err(Failure::interrupted()) } else { Ok(()) }
}
