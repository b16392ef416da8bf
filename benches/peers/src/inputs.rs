//! The encoder beside libjpeg-turbo by what the samples come as: RGB, BGRA and planes of YUV.

use std::process::Command;
use std::time::Instant;

use auralink::codec::jpeg::{JpegConfig, JpegEncoder};
use auralink::frame::ColorSpace;
use auralink::{Frame, FrameBuf, Matrix, PixelFormat, Range, kernel};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::Result;
use crate::contents::{self, Content, DATA};
#[cfg(feature = "turbojpeg")]
use crate::encoders::room;
use crate::pictures::Picture;

const QUALITIES: [u8; 2] = [75, 90];
/// Clips of 4K, and one that is made so; with the place of the frame that is taken.
const LARGE: [(&str, &str); 3] = [
    ("video/natural/desk_7680x4320_24_hevc.mp4", "3840:2160"),
    ("video/natural/pegboard_handheld_2160x3840_60.mp4", "2160:3840"),
    ("video/natural/waterfall_2160x3840_30_hevc.mp4", "2160:3840"),
];

/// What is coded, and by whom.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Ours(PixelFormat),
    #[cfg(feature = "turbojpeg")]
    Turbo(PixelFormat),
}

const FORMATS: [PixelFormat; 3] = [PixelFormat::Rgb8, PixelFormat::Bgra8, PixelFormat::I420];

fn ways() -> Vec<Way> {
    #[cfg_attr(not(feature = "turbojpeg"), expect(unused_mut, reason = "the peer may be left out"))]
    let mut ways = FORMATS.map(Way::Ours).to_vec();
    #[cfg(feature = "turbojpeg")]
    ways.extend(FORMATS.map(Way::Turbo));
    ways
}

impl Way {
    fn name(self) -> String {
        match self {
            Self::Ours(format) => format!("**auralink** {format}"),
            #[cfg(feature = "turbojpeg")]
            Self::Turbo(format) => format!("libjpeg-turbo {format}"),
        }
    }

    const fn format(self) -> PixelFormat {
        match self {
            Self::Ours(format) => format,
            #[cfg(feature = "turbojpeg")]
            Self::Turbo(format) => format,
        }
    }
}

/// A picture in each format.
struct Forms([FrameBuf; 3]);

impl Forms {
    fn of(&self, format: PixelFormat) -> Frame<'_> {
        let [rgb, bgra, i420] = &self.0;
        match format {
            PixelFormat::Rgb8 => rgb,
            PixelFormat::Bgra8 => bgra,
            _ => i420,
        }
        .as_frame()
    }

    fn new(picture: &Picture) -> Result<Self> {
        let Picture { frame, width, height } = picture;
        let bgra = frame.data().chunks_exact(3).flat_map(|rgb| [rgb[2], rgb[1], rgb[0], 255]).collect();
        let bgra = FrameBuf::new(PixelFormat::Bgra8, *width, *height, bgra)?;
        Ok(Self([frame.clone(), bgra, i420(picture)?]))
    }
}

/// JFIF's luma and chroma, chroma of the mean of two by two pixels.
fn i420(picture: &Picture) -> Result<FrameBuf> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let weigh = |rgb: [f32; 3], weights: [f32; 3], zero: f32| -> u8 {
        (zero + rgb.iter().zip(weights).map(|(sample, weight)| sample * weight).sum::<f32>()).round() as u8
    };
    let pixel = |x: usize, y: usize| -> [f32; 3] {
        let at = 3 * (y.min(height - 1) * width + x.min(width - 1));
        std::array::from_fn(|i| f32::from(picture.rgb()[at + i]))
    };
    let mut data = Vec::with_capacity(PixelFormat::I420.frame_bytes(picture.width, picture.height));
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        data.push(weigh(pixel(x, y), [0.299, 0.587, 0.114], 0.0));
    }
    for weights in [[-0.168_736, -0.331_264, 0.5], [0.5, -0.418_688, -0.081_312]] {
        for (x, y) in (0..height).step_by(2).flat_map(|y| (0..width).step_by(2).map(move |x| (x, y))) {
            let four = [pixel(x, y), pixel(x + 1, y), pixel(x, y + 1), pixel(x + 1, y + 1)];
            let mean = std::array::from_fn(|i| four.iter().map(|rgb| rgb[i]).sum::<f32>() / 4.0);
            data.push(weigh(mean, weights, 128.0));
        }
    }
    let color = ColorSpace { matrix: Matrix::Bt601, range: Range::Full };
    Ok(FrameBuf::new(PixelFormat::I420, picture.width, picture.height, data)?.with_color(color))
}

/// An encoder that is kept from picture to picture.
struct Worker {
    way: Way,
    ours: JpegEncoder,
    config: JpegConfig,
    pool: ThreadPool,
    #[cfg(feature = "turbojpeg")]
    turbo: turbojpeg::Compressor,
    out: Vec<u8>,
}

impl Worker {
    fn new(way: Way, quality: u8) -> Result<Self> {
        #[cfg(feature = "turbojpeg")]
        let turbo = {
            let mut turbo = turbojpeg::Compressor::new()?;
            turbo.set_quality(quality.into())?;
            turbo.set_subsamp(turbojpeg::Subsamp::Sub2x2)?;
            turbo
        };
        Ok(Self {
            way,
            ours: JpegEncoder::new(kernel::detect()),
            config: JpegConfig { quality, ..JpegConfig::default() },
            pool: ThreadPoolBuilder::new().num_threads(1).build()?,
            #[cfg(feature = "turbojpeg")]
            turbo,
            out: Vec::new(),
        })
    }

    /// Codes a picture and gives its bytes.
    fn encode(&mut self, frame: &Frame<'_>) -> Result<usize> {
        #[cfg(feature = "turbojpeg")]
        if let Way::Turbo(format) = self.way {
            return turbo(&mut self.turbo, format, frame, &mut self.out);
        }
        self.out.clear();
        Ok(self.ours.encode(frame, &self.config, &self.pool, &mut self.out)?.bytes)
    }
}

#[cfg(feature = "turbojpeg")]
fn turbo(
    turbo: &mut turbojpeg::Compressor,
    format: PixelFormat,
    frame: &Frame<'_>,
    out: &mut Vec<u8>,
) -> Result<usize> {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let out = room(out, turbo.buf_len(width, height)?);
    let first = frame.plane(0);
    if format == PixelFormat::I420 {
        let planes = [0, 1, 2].map(|index| frame.plane(index).data());
        let strides = [0, 1, 2].map(|index| frame.plane(index).stride());
        let subsamp = turbojpeg::Subsamp::Sub2x2;
        let image = turbojpeg::YuvPlanesImage {
            y_plane: planes[0],
            u_plane: planes[1],
            v_plane: planes[2],
            width,
            height,
            y_stride: strides[0],
            u_stride: strides[1],
            v_stride: strides[2],
            subsamp,
        };
        return Ok(turbo.compress_yuv_planes_to_slice(&image, out)?);
    }
    let format = if format == PixelFormat::Bgra8 { turbojpeg::PixelFormat::BGRA } else { turbojpeg::PixelFormat::RGB };
    let image = turbojpeg::Image { pixels: first.data(), width, pitch: first.stride(), height, format };
    Ok(turbo.compress_to_slice(image, out)?)
}

/// Measures all and prints the table: milliseconds for all pictures of a kind, megapixels a second, bytes.
pub fn run(rounds: usize, pick: fn(&mut [f64]) -> f64, only: Option<&str>) -> Result<()> {
    println!("| content | quality | encoder and input | ms | Mpx/s | bytes |");
    println!("|---|---:|---|---:|---:|---:|");
    let mut contents = contents::load()?;
    contents.push(Content { name: "4K frames", pictures: large()? });
    contents.retain(|content| only.is_none_or(|only| content.name == only) && !content.pictures.is_empty());
    for content in &contents {
        let forms = content.pictures.iter().map(Forms::new).collect::<Result<Vec<_>>>()?;
        let pixels: usize = content.pictures.iter().map(Picture::pixels).sum();
        for quality in QUALITIES {
            measure(content.name, &forms, pixels, quality, rounds, pick)?;
        }
    }
    Ok(())
}

fn measure(
    name: &str,
    forms: &[Forms],
    pixels: usize,
    quality: u8,
    rounds: usize,
    pick: fn(&mut [f64]) -> f64,
) -> Result<()> {
    let mut workers = ways().into_iter().map(|way| Worker::new(way, quality)).collect::<Result<Vec<_>>>()?;
    let mut speeds = vec![Vec::new(); workers.len()];
    let mut bytes = vec![0; workers.len()];
    // A round before those that count: buffers grow and pages come in.
    for round in 0..=rounds {
        for (index, worker) in workers.iter_mut().enumerate() {
            let format = worker.way.format();
            let (began, mut total) = (Instant::now(), 0);
            for form in forms {
                total += worker.encode(&form.of(format))?;
            }
            if round > 0 {
                speeds[index].push(pixels as f64 / 1e6 / began.elapsed().as_secs_f64());
            }
            bytes[index] = total;
        }
    }
    for ((worker, speeds), bytes) in workers.iter().zip(&mut speeds).zip(bytes) {
        let speed = pick(speeds);
        let ms = pixels as f64 / 1e3 / speed;
        println!("| {name} | {quality} | {} | {ms:.2} | {speed:.0} | {bytes} |", worker.way.name());
    }
    Ok(())
}

/// One frame of each clip of 4K, by ffmpeg.
fn large() -> Result<Vec<Picture>> {
    let mut all = Vec::new();
    for (clip, size) in LARGE {
        let path = std::path::Path::new(DATA).join(clip);
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-i"])
            .arg(&path)
            .args(["-vf", &format!("scale={size}"), "-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "-"])
            .output();
        match output {
            Ok(output) if output.status.success() && path.is_file() => {
                all.extend(crate::pictures::read_ppms(&output.stdout)?);
            }
            _ => eprintln!("SKIPPED: {clip}, which ffmpeg couldn't read"),
        }
    }
    Ok(all)
}
