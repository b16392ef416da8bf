//! The encoders, each behind one trait; what they are set to stands in their names.

use auralink::codec::jpeg::{JpegConfig, JpegEncoder};
use auralink::codec::lossless::{LosslessConfig, LosslessEncoder};
use auralink::kernel;
use image::ImageEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::Result;
use crate::pictures::Picture;

pub trait Encoder: Send {
    /// Codes a picture into a buffer that is kept from call to call.
    fn encode(&mut self, picture: &Picture) -> Result<&[u8]>;

    /// Whether it makes JPEG files; the others keep the exact pixels.
    fn is_jpeg(&self) -> bool {
        true
    }
}

/// Makes an encoder for one thread to own.
pub type Make = Box<dyn Fn() -> Result<Box<dyn Encoder>>>;

/// The JPEG encoders at 4:2:0, with their names.
pub fn jpegs(quality: u8) -> Vec<(String, Make)> {
    let mut all: Vec<(String, Make)> = Vec::new();
    let mut add = |name: &str, make: Make| all.push((name.to_owned(), make));
    let ours = JpegConfig { quality, ..JpegConfig::default() };
    add("**auralink**", Box::new(move || Ok(Box::new(OurJpeg::new(ours)?))));
    #[cfg(feature = "turbojpeg")]
    add("libjpeg-turbo", Box::new(move || Ok(Box::new(Turbo::new(quality)?))));
    add("jpeg-encoder (SIMD)", Box::new(move || Ok(Box::new(JpegEncoderCrate { quality, out: Vec::new() }))));
    add("mozjpeg-rs (trellis)", Box::new(move || Ok(Box::new(Mozjpeg(quality, Vec::new())))));
    let optimised = JpegConfig { optimise: true, ..ours };
    add("**auralink**, optimised", Box::new(move || Ok(Box::new(OurJpeg::new(optimised)?))));
    #[cfg(feature = "turbojpeg")]
    add("libjpeg-turbo, optimised", Box::new(move || Ok(Box::new(Turbo::new(quality)?.optimised()?))));
    let trained = JpegConfig { train: true, ..ours };
    add("**auralink**, trained", Box::new(move || Ok(Box::new(OurJpeg::new(trained)?))));
    all
}

/// All encoders, with their names.
pub fn all(quality: u8) -> Vec<(String, Make)> {
    let mut all = jpegs(quality);
    let mut add = |name: &str, make: Make| all.push((name.to_owned(), make));
    add("image JPEG", Box::new(move || Ok(Box::new(ImageJpeg(quality, Vec::new())))));
    add("**auralink lossless**", Box::new(|| Ok(Box::new(OurLossless::new()?))));
    add("PNG (image, fast)", Box::new(|| Ok(Box::new(Png(Vec::new())))));
    add("QOI (qoi)", Box::new(|| Ok(Box::new(Qoi(Vec::new())))));
    add("QOI (rapid-qoi)", Box::new(|| Ok(Box::new(RapidQoi(Vec::new())))));
    add("zstd 1 on raw pixels", Box::new(|| Ok(Box::new(Zstd(zstd::bulk::Compressor::new(1)?, Vec::new())))));
    all
}

/// At least `length` bytes to write to.
pub fn room(out: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if out.len() < length {
        out.resize(length, 0);
    }
    out
}

struct OurJpeg {
    encoder: JpegEncoder,
    config: JpegConfig,
    pool: ThreadPool,
    out: Vec<u8>,
}

impl OurJpeg {
    fn new(config: JpegConfig) -> Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(1).build()?;
        Ok(Self { encoder: JpegEncoder::new(kernel::detect()), config, pool, out: Vec::new() })
    }
}

impl Encoder for OurJpeg {
    fn encode(&mut self, picture: &Picture) -> Result<&[u8]> {
        self.out.clear();
        self.encoder.encode(&picture.frame.as_frame(), &self.config, &self.pool, &mut self.out)?;
        Ok(&self.out)
    }
}

struct OurLossless {
    encoder: LosslessEncoder,
    pool: ThreadPool,
    out: Vec<u8>,
}

impl OurLossless {
    fn new() -> Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(1).build()?;
        Ok(Self { encoder: LosslessEncoder::new(kernel::detect()), pool, out: Vec::new() })
    }
}

impl Encoder for OurLossless {
    fn encode(&mut self, picture: &Picture) -> Result<&[u8]> {
        self.out.clear();
        let config = LosslessConfig { temporal: false, keyframe: true };
        self.encoder.encode(&picture.frame.as_frame(), &config, &self.pool, &mut self.out)?;
        Ok(&self.out)
    }

    fn is_jpeg(&self) -> bool {
        false
    }
}

#[cfg(feature = "turbojpeg")]
struct Turbo(turbojpeg::Compressor, Vec<u8>);

#[cfg(feature = "turbojpeg")]
impl Turbo {
    fn new(quality: u8) -> Result<Self> {
        let mut compressor = turbojpeg::Compressor::new()?;
        compressor.set_quality(quality.into())?;
        compressor.set_subsamp(turbojpeg::Subsamp::Sub2x2)?;
        Ok(Self(compressor, Vec::new()))
    }

    fn optimised(mut self) -> Result<Self> {
        self.0.set_optimize(true)?;
        Ok(self)
    }
}

#[cfg(feature = "turbojpeg")]
impl Encoder for Turbo {
    fn encode(&mut self, picture: &Picture) -> Result<&[u8]> {
        let (width, height) = (picture.width as usize, picture.height as usize);
        let format = turbojpeg::PixelFormat::RGB;
        let image = turbojpeg::Image { pixels: picture.rgb(), width, pitch: 3 * width, height, format };
        let length = self.0.buf_len(width, height)?;
        let bytes = self.0.compress_to_slice(image, room(&mut self.1, length))?;
        Ok(&self.1[..bytes])
    }
}

struct JpegEncoderCrate {
    quality: u8,
    out: Vec<u8>,
}

impl Encoder for JpegEncoderCrate {
    fn encode(&mut self, picture: &Picture) -> Result<&[u8]> {
        self.out.clear();
        let mut encoder = jpeg_encoder::Encoder::new(&mut self.out, self.quality);
        encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2);
        let (width, height) = (u16::try_from(picture.width)?, u16::try_from(picture.height)?);
        encoder.encode(picture.rgb(), width, height, jpeg_encoder::ColorType::Rgb)?;
        Ok(&self.out)
    }
}

/// Baseline with its usual trellis, for smaller files at other pixels.
struct Mozjpeg(u8, Vec<u8>);

impl Encoder for Mozjpeg {
    fn encode(&mut self, picture: &Picture) -> Result<&[u8]> {
        let encoder = mozjpeg_rs::Encoder::new(mozjpeg_rs::Preset::BaselineBalanced);
        let encoder = encoder.subsampling(mozjpeg_rs::Subsampling::S420).quality(self.0);
        self.1 = encoder.encode_rgb(picture.rgb(), picture.width, picture.height)?;
        Ok(&self.1)
    }
}

struct ImageJpeg(u8, Vec<u8>);

impl Encoder for ImageJpeg {
    fn encode(&mut self, picture: &Picture) -> Result<&[u8]> {
        self.1.clear();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut self.1, self.0);
        encoder.encode(picture.rgb(), picture.width, picture.height, image::ExtendedColorType::Rgb8)?;
        Ok(&self.1)
    }
}

struct Png(Vec<u8>);

impl Encoder for Png {
    fn encode(&mut self, picture: &Picture) -> Result<&[u8]> {
        self.0.clear();
        let encoder = PngEncoder::new_with_quality(&mut self.0, CompressionType::Fast, FilterType::Adaptive);
        encoder.write_image(picture.rgb(), picture.width, picture.height, image::ExtendedColorType::Rgb8)?;
        Ok(&self.0)
    }

    fn is_jpeg(&self) -> bool {
        false
    }
}

struct Qoi(Vec<u8>);

impl Encoder for Qoi {
    fn encode(&mut self, picture: &Picture) -> Result<&[u8]> {
        let length = qoi::encode_max_len(picture.width, picture.height, qoi::Channels::Rgb);
        let bytes = qoi::encode_to_buf(room(&mut self.0, length), picture.rgb(), picture.width, picture.height)?;
        Ok(&self.0[..bytes])
    }

    fn is_jpeg(&self) -> bool {
        false
    }
}

struct RapidQoi(Vec<u8>);

impl Encoder for RapidQoi {
    fn encode(&mut self, picture: &Picture) -> Result<&[u8]> {
        let (width, height) = (picture.width, picture.height);
        let header = rapid_qoi::Qoi { width, height, colors: rapid_qoi::Colors::Rgb };
        let bytes = header.encode(picture.rgb(), room(&mut self.0, header.encoded_size_limit()))?;
        Ok(&self.0[..bytes])
    }

    fn is_jpeg(&self) -> bool {
        false
    }
}

struct Zstd(zstd::bulk::Compressor<'static>, Vec<u8>);

impl Encoder for Zstd {
    fn encode(&mut self, picture: &Picture) -> Result<&[u8]> {
        let length = zstd::zstd_safe::compress_bound(picture.rgb().len());
        let bytes = self.0.compress_to_buffer(picture.rgb(), room(&mut self.1, length))?;
        Ok(&self.1[..bytes])
    }

    fn is_jpeg(&self) -> bool {
        false
    }
}
