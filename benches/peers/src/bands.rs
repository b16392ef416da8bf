//! One picture's bands on one thread and on two, beside two encoders that share nothing: what the second core can give at most.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use auralink::codec::jpeg::{JpegConfig, JpegEncoder};
use auralink::codec::lossless::{LosslessConfig, LosslessEncoder};
use auralink::frame::ColorSpace;
use auralink::{Frame, FrameBuf, Matrix, PixelFormat, Range, kernel};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::contents::DATA;
use crate::{Result, median};

const QUALITY: u8 = 75;
/// MCU rows between restart markers, as sessions have them.
const RESTART_ROWS: u16 = 4;
const FORMATS: [(PixelFormat, &str); 2] = [(PixelFormat::I420, "yuvj420p"), (PixelFormat::Bgra8, "bgra")];
/// Times that each frame is coded in a round.
const TIMES: u32 = 4;

/// A clip of which one frame is taken, and the size of it.
const CLIPS: [(&str, &str, (u32, u32)); 6] = [
    ("1080p animation", "video/natural/bigbuckbunny_1920x1080_60_vp8.webm", (1920, 1080)),
    ("1080p boat", "video/natural/boat_coast_1920x1080_30_hevc.mp4", (1920, 1080)),
    ("1080p browser", "video/screen/screen_browser_terminal_1920x1080_30.mkv", (1920, 1080)),
    ("4K desk", "video/natural/desk_7680x4320_24_hevc.mp4", (3840, 2160)),
    ("4K pegboard", "video/natural/pegboard_handheld_2160x3840_60.mp4", (2160, 3840)),
    ("4K waterfall", "video/natural/waterfall_2160x3840_30_hevc.mp4", (2160, 3840)),
];

#[derive(Clone, Copy)]
enum Codec {
    Jpeg,
    Lossless,
}

/// An encoder of one codec with threads and output of its own.
struct Worker {
    codec: Codec,
    jpeg: JpegEncoder,
    lossless: LosslessEncoder,
    pool: ThreadPool,
    out: Vec<u8>,
}

impl Worker {
    fn new(codec: Codec, threads: usize) -> Result<Self> {
        let (jpeg, lossless) = (JpegEncoder::new(kernel::detect()), LosslessEncoder::new(kernel::detect()));
        Ok(Self {
            codec,
            jpeg,
            lossless,
            pool: ThreadPoolBuilder::new().num_threads(threads).build()?,
            out: Vec::new(),
        })
    }

    fn encode(&mut self, frame: &Frame<'_>) -> Result<()> {
        self.out.clear();
        match self.codec {
            Codec::Jpeg => {
                let config = JpegConfig { quality: QUALITY, restart_rows: RESTART_ROWS, ..JpegConfig::default() };
                self.jpeg.encode(frame, &config, &self.pool, &mut self.out)?;
            }
            Codec::Lossless => {
                let config = LosslessConfig { temporal: false, keyframe: true };
                self.lossless.encode(frame, &config, &self.pool, &mut self.out)?;
            }
        }
        Ok(())
    }

    /// Milliseconds a frame, with `pause` before each.
    fn ms(&mut self, frame: &Frame<'_>, pause: Duration) -> Result<f64> {
        let mut spent = Duration::ZERO;
        for _ in 0..TIMES {
            std::thread::sleep(pause);
            let began = Instant::now();
            self.encode(frame)?;
            spent += began.elapsed();
        }
        Ok(spent.as_secs_f64() * 1e3 / f64::from(TIMES))
    }
}

/// Milliseconds a frame of two encoders side by side.
fn apart(workers: &mut [Worker; 2], frame: &Frame<'_>) -> Result<f64> {
    let start = std::sync::Barrier::new(2);
    let longest = std::thread::scope(|scope| -> Result<f64> {
        let threads = workers.each_mut().map(|worker| {
            scope.spawn(|| {
                start.wait();
                worker.ms(frame, Duration::ZERO)
            })
        });
        let mut longest = 0.0_f64;
        for thread in threads {
            longest = longest.max(thread.join().map_err(|_| "a thread panicked")??);
        }
        Ok(longest)
    })?;
    Ok(longest / 2.0)
}

/// Measures all and prints the table: milliseconds a frame on one thread, and how many times as fast two are. `pause_ms` before each
/// frame lets threads fall asleep.
pub fn run(rounds: usize, pause_ms: usize) -> Result<()> {
    let pause = Duration::from_millis(pause_ms as u64);
    println!("| content | codec and input | ms, 1 thread | ms, 2 threads | times | two encoders that share nothing |");
    println!("|---|---|---:|---:|---:|---:|");
    for (name, clip, size) in CLIPS {
        for (format, pixels) in FORMATS {
            let Some(picture) = picture(clip, size, format, pixels)? else { continue };
            for (codec, codec_name) in [(Codec::Jpeg, "JPEG"), (Codec::Lossless, "lossless")] {
                let frame = picture.as_frame();
                let (mut one, mut two) = (Worker::new(codec, 1)?, Worker::new(codec, 2)?);
                let mut both = [Worker::new(codec, 1)?, Worker::new(codec, 1)?];
                let mut found: [Vec<f64>; 3] = Default::default();
                // A round before those that count: buffers grow and pages come in.
                for round in 0..=rounds {
                    let ms = [one.ms(&frame, pause)?, two.ms(&frame, pause)?, apart(&mut both, &frame)?];
                    if round > 0 {
                        found.iter_mut().zip(ms).for_each(|(found, ms)| found.push(ms));
                    }
                }
                if one.out != two.out {
                    return Err(format!("{name}: two threads gave other bytes").into());
                }
                let [one, two, apart] = found.each_mut().map(|found| median(found));
                println!(
                    "| {name} | {codec_name} {format} | {one:.2} | {two:.2} | {:.2} | {:.2} |",
                    one / two,
                    one / apart
                );
            }
        }
    }
    Ok(())
}

/// A frame of a clip, by ffmpeg.
fn picture(clip: &str, (width, height): (u32, u32), format: PixelFormat, pixels: &str) -> Result<Option<FrameBuf>> {
    let path = Path::new(DATA).join(clip);
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(&path)
        .args(["-vf", &format!("select=gte(n\\,7),scale={width}:{height}"), "-frames:v", "1"])
        .args(["-f", "rawvideo", "-pix_fmt", pixels, "-"])
        .output();
    match output {
        Ok(output) if output.status.success() && path.is_file() => {
            let color = ColorSpace { matrix: Matrix::Bt601, range: Range::Full };
            Ok(Some(FrameBuf::new(format, width, height, output.stdout)?.with_color(color)))
        }
        _ => {
            eprintln!("SKIPPED: {clip}, which ffmpeg couldn't read");
            Ok(None)
        }
    }
}
