//! Arguments of `encode`, and what they mean together.

use std::path::PathBuf;

use auralink::Codec;
use auralink::codec::h264::{H264Config, Preset, Profile};
use auralink::codec::jpeg::Subsampling;
use auralink::frame::y4m::FrameRate;
use clap::ValueEnum;

use crate::cli::exit::{Failure, Result};
use crate::cli::input::RawFormat;
use crate::cli::output::{check_distinct, extension, is_dash};
use crate::cli::parse;

/// Compress frames to a file.
///
/// INPUT is y4m, PNG, JPEG, WebP, a folder of pictures in natural order, MJPEG (JPEG files one after another), or raw frames
/// with --raw. OUTPUT is .jpg (one picture), .mjpeg, .h264 or .264, or .alz (lossless packets one after another). Either may be
/// - for standard input or output; words then go to standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = crate::cli::exit::HELP)]
pub(crate) struct Args {
    /// File or folder to read; - is standard input.
    pub(super) input: PathBuf,
    /// File to write: .jpg, .mjpeg, .h264, .264 or .alz; - is standard output, in the form of --codec.
    #[arg(short, long)]
    pub(super) output: PathBuf,
    /// Codec; by the output's extension where absent, jpeg on standard output.
    #[arg(long, value_enum)]
    codec: Option<CodecName>,
    #[command(flatten)]
    pub(super) rate: RateArgs,
    #[command(flatten)]
    pub(super) h264: H264Args,
    /// Scale every frame to this size.
    #[arg(long, value_name = "WxH", value_parser = parse::size)]
    pub(super) size: Option<(u32, u32)>,
    /// Threads that code; one a core by default. The bytes don't depend on it. With 1 the input is read on it too.
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
    /// Write what a decoder will see as y4m; of JPEG that measures quality.
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

/// What decides over the quality; 75 where absent.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(super) struct RateArgs {
    /// Quality on libjpeg's scale, 1..=100; H.264 takes the quantiser parameter that keeps about as much.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(super) quality: Option<u8>,
    /// Quantiser parameter of H.264, 0..=51; keyframes take a little less.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=51))]
    pub(super) qp: Option<u8>,
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

/// How H.264 is coded.
#[derive(Debug, clap::Args)]
pub(super) struct H264Args {
    /// Speed against size: fast, balanced or best.
    #[arg(long, value_name = "NAME")]
    preset: Option<Preset>,
    /// What decoders must know: baseline, main or high.
    #[arg(long, value_name = "NAME")]
    profile: Option<Profile>,
    /// Parts of each frame, which threads share, 1..=16. The bytes depend on it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    slices: Option<u8>,
    /// Make the picture anew column by column over so many frames, 2..=600, instead of by keyframes.
    #[arg(long, value_name = "FRAMES", num_args = 0..=1, require_equals = true, default_missing_value = "60",
        value_parser = clap::value_parser!(u32).range(2..=600))]
    intra_refresh: Option<u32>,
    /// Quantise flat parts finer and busy ones coarser: better to the eye and by SSIM, worse by PSNR.
    #[arg(long)]
    adaptive_quantisation: bool,
    /// Time that coding a frame may take, 1..=10000 ms: frames that come near it make the next ones be coded with a faster
    /// preset. The bytes then depend on the speed of this machine.
    #[arg(long, value_name = "N", value_parser = parse::deadline_ms)]
    pub(super) deadline_ms: Option<u32>,
}

impl H264Args {
    fn is_given(&self) -> bool {
        self.preset.is_some()
            || self.profile.is_some()
            || self.slices.is_some()
            || self.intra_refresh.is_some()
            || self.adaptive_quantisation
            || self.deadline_ms.is_some()
    }

    /// The encoder's configuration, for a film at this rate.
    pub(super) fn config(&self, rate: FrameRate) -> H264Config {
        let usual = H264Config::default();
        H264Config {
            profile: self.profile.unwrap_or(usual.profile),
            preset: self.preset.unwrap_or(usual.preset),
            slices: self.slices.map_or(usual.slices, usize::from),
            frame_rate: Some((rate.num, rate.den)),
            intra_refresh_frames: self.intra_refresh,
            adaptive_quantisation: self.adaptive_quantisation,
            ..usual
        }
    }
}

/// Codecs by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CodecName {
    Jpeg,
    Lossless,
    H264,
}

impl From<CodecName> for Codec {
    fn from(name: CodecName) -> Self {
        match name {
            CodecName::Jpeg => Self::Jpeg,
            CodecName::Lossless => Self::Lossless,
            CodecName::H264 => Self::H264,
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

/// The codec for an output, `usual` on standard output, and whether that holds one picture only.
pub(crate) fn codec_for(codec: Option<CodecName>, output: &std::path::Path, usual: Codec) -> Result<(Codec, bool)> {
    let codec = codec.map(Codec::from);
    let by_name = match extension(output).as_str() {
        "jpg" | "jpeg" | "jpe" => Some((Codec::Jpeg, true)),
        "mjpeg" | "mjpg" => Some((Codec::Jpeg, false)),
        "alz" => Some((Codec::Lossless, false)),
        "h264" | "264" | "avc" => Some((Codec::H264, false)),
        "mp4" | "mov" | "mkv" => {
            let told = "no containers are written; write .h264, and put it in one by `ffmpeg -i FILE.h264 -c copy`";
            return Err(Failure::usage(format!("{}: {told}", output.display())));
        }
        _ => None,
    };
    match (codec, by_name) {
        (Some(codec), Some((named, _))) if codec != named => {
            Err(Failure::usage(format!("--codec {codec} conflicts with {}, which holds {named}", output.display())))
        }
        (_, Some(both)) => Ok(both),
        (Some(codec), None) => Ok((codec, false)),
        (None, None) if is_dash(output) => Ok((usual, false)),
        (None, None) => Err(Failure::usage(format!(
            "{}: the extension names no codec; use .jpg, .mjpeg, .h264 or .alz, or give --codec",
            output.display()
        ))),
    }
}

impl Args {
    /// Checks what clap can't: arguments that exclude each other by their values.
    pub(super) fn codec(&self) -> Result<(Codec, bool)> {
        let (codec, single) = codec_for(self.codec, &self.output, Codec::Jpeg)?;
        let RateArgs { quality, qp, bitrate_kbps, target_reduction, max_bytes } = &self.rate;
        if codec != Codec::H264 && (qp.is_some() || self.h264.is_given()) {
            let told = "--qp, --preset, --profile, --slices, --intra-refresh and --deadline-ms are for h264";
            return Err(Failure::usage(format!("{told}: this output holds {codec}")));
        }
        let asked = quality.is_some() || bitrate_kbps.is_some() || target_reduction.is_some() || max_bytes.is_some();
        if codec == Codec::Lossless && asked {
            return Err(Failure::usage(
                "--quality, --bitrate-kbps, --target-reduction and --max-bytes are for jpeg and h264: lossless keeps every bit",
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
