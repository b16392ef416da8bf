//! Arguments of `encode`, and what they mean together.

use std::path::PathBuf;

use auralink::Codec;
use auralink::codec::jpeg::Subsampling;
use clap::ValueEnum;

use crate::cli::exit::{Failure, Result};
use crate::cli::input::RawFormat;
use crate::cli::output::{check_distinct, extension, is_dash};
use crate::cli::parse;

/// Compress frames to a file.
///
/// INPUT is y4m, PNG, JPEG, WebP, a folder of pictures in natural order, MJPEG (JPEG files one after another), or raw frames
/// with --raw. OUTPUT is .jpg (one picture), .mjpeg, or .alz (lossless packets one after another). Either may be - for
/// standard input or output; words then go to standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = crate::cli::exit::HELP)]
pub(crate) struct Args {
    /// File or folder to read; - is standard input.
    pub(super) input: PathBuf,
    /// File to write: .jpg, .mjpeg, .mjpg or .alz; - is standard output, in the form of --codec.
    #[arg(short, long)]
    pub(super) output: PathBuf,
    /// Codec; by the output's extension where absent, jpeg on standard output.
    #[arg(long, value_enum)]
    codec: Option<CodecName>,
    #[command(flatten)]
    pub(super) rate: RateArgs,
    /// Scale every frame to this size.
    #[arg(long, value_name = "WxH", value_parser = parse::size)]
    pub(super) size: Option<(u32, u32)>,
    /// Threads that code; one a core by default. The bytes don't depend on it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// Stop after this many frames.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) frames: Option<u64>,
    /// The input is raw frames, such as i420:1280x720 (rgb8, bgr8, rgba8, bgra8, gray8, gray16, i420, i422, i444, nv12, yuyv,
    /// uyvy).
    #[arg(long, value_name = "FORMAT:WxH")]
    pub(super) raw: Option<RawFormat>,
    /// Frames a second of inputs that don't say, for --bitrate-kbps and --recon.
    #[arg(long, default_value = "25", value_parser = parse::fps)]
    pub(super) fps: f64,
    /// Write figures of every frame and of the whole as JSON; measures quality.
    #[arg(long, value_name = "FILE.json")]
    pub(super) stats: Option<PathBuf>,
    /// Write what a decoder will see as y4m; measures quality.
    #[arg(long, value_name = "FILE.y4m")]
    pub(super) recon: Option<PathBuf>,
    /// Chroma sampling of JPEG.
    #[arg(long, value_enum, default_value = "420")]
    subsampling: Sampling,
    /// JPEG Huffman tables made for each frame: smaller, slower.
    #[arg(long)]
    pub(super) optimise: bool,
    /// Measure PSNR and SSIM of luma.
    #[arg(long)]
    pub(super) measure: bool,
    /// One line of JSON a frame.
    #[arg(long)]
    pub(super) json: bool,
}

/// What decides over the quality; JPEG at quality 75 where absent.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(super) struct RateArgs {
    /// JPEG quality on libjpeg's scale, 1..=100.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(super) quality: Option<u8>,
    /// Quantiser parameter of H.264, which isn't in this version.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=51))]
    qp: Option<u8>,
    /// Best quality whose frames fit this rate, with half a second to even out.
    #[arg(long, value_name = "N", value_parser = parse::bitrate_kbps)]
    pub(super) bitrate_kbps: Option<f64>,
    /// Best quality that makes each frame smaller by this fraction of its raw bytes, 0.1..=0.95.
    #[arg(long, value_name = "R", value_parser = parse::reduction)]
    pub(super) target_reduction: Option<f64>,
    /// Best quality whose frames are at most so long.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_bytes: Option<u32>,
}

/// Codecs by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CodecName {
    Jpeg,
    Lossless,
    /// Not in this version.
    H264,
}

impl CodecName {
    /// The codec, where this version has it.
    pub(crate) fn codec(self) -> Result<Codec> {
        match self {
            Self::Jpeg => Ok(Codec::Jpeg),
            Self::Lossless => Ok(Codec::Lossless),
            Self::H264 => Err(no_h264("--codec h264")),
        }
    }
}

/// Chroma samplings by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sampling {
    #[value(name = "420")]
    S420,
    #[value(name = "422")]
    S422,
    #[value(name = "444")]
    S444,
}

fn no_h264(asked: &str) -> Failure {
    Failure::usage(format!("{asked}: H.264 is not in this version; it has jpeg (.jpg, .mjpeg) and lossless (.alz)"))
}

/// The codec for an output, and whether that holds one picture only.
pub(crate) fn codec_for(codec: Option<CodecName>, output: &std::path::Path) -> Result<(Codec, bool)> {
    let codec = codec.map(CodecName::codec).transpose()?;
    let by_name = match extension(output).as_str() {
        "jpg" | "jpeg" | "jpe" => Some((Codec::Jpeg, true)),
        "mjpeg" | "mjpg" => Some((Codec::Jpeg, false)),
        "alz" => Some((Codec::Lossless, false)),
        "h264" | "264" | "avc" => return Err(no_h264(&output.display().to_string())),
        _ => None,
    };
    match (codec, by_name) {
        (Some(codec), Some((named, _))) if codec != named => {
            Err(Failure::usage(format!("--codec {codec} conflicts with {}, which holds {named}", output.display())))
        }
        (_, Some(both)) => Ok(both),
        (Some(codec), None) => Ok((codec, false)),
        (None, None) if is_dash(output) => Ok((Codec::Jpeg, false)),
        (None, None) => Err(Failure::usage(format!(
            "{}: the extension names no codec; use .jpg, .mjpeg or .alz, or give --codec",
            output.display()
        ))),
    }
}

impl Args {
    /// Checks what clap can't: arguments that exclude each other by their values.
    pub(super) fn codec(&self) -> Result<(Codec, bool)> {
        let (codec, single) = codec_for(self.codec, &self.output)?;
        let RateArgs { quality, qp, bitrate_kbps, target_reduction, max_bytes } = &self.rate;
        if qp.is_some() {
            return Err(no_h264("--qp"));
        }
        let asked = quality.is_some() || bitrate_kbps.is_some() || target_reduction.is_some() || max_bytes.is_some();
        if codec == Codec::Lossless && asked {
            return Err(Failure::usage(
                "--quality, --bitrate-kbps, --target-reduction and --max-bytes are for jpeg: lossless keeps every bit",
            ));
        }
        for output in [Some(&self.output), self.stats.as_ref(), self.recon.as_ref()].into_iter().flatten() {
            check_distinct(&self.input, output)?;
        }
        let on_stdout = [Some(&self.output), self.stats.as_ref(), self.recon.as_ref()];
        if on_stdout.into_iter().flatten().filter(|path| is_dash(path)).count() > 1 {
            return Err(Failure::usage("only one of --output, --stats and --recon can be - (standard output)"));
        }
        Ok((codec, single))
    }

    pub(super) fn data_on_stdout(&self) -> bool {
        [Some(&self.output), self.stats.as_ref(), self.recon.as_ref()].into_iter().flatten().any(|path| is_dash(path))
    }

    pub(super) fn subsampling(&self) -> Subsampling {
        match self.subsampling {
            Sampling::S420 => Subsampling::S420,
            Sampling::S422 => Subsampling::S422,
            Sampling::S444 => Subsampling::S444,
        }
    }
}
