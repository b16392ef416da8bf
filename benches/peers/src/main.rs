//! Auralink beside other encoders: the same pictures, in one process, round after round in turn, medians in one table.
//!
//! ```sh
//! cargo run --release -- [--rounds 15] [--quality 75] [picture.png | picture.jpg | film.y4m | film.mjpeg ...]
//! ```
//!
//! Without pictures it takes the bundled clip, and the Kodak set where the development data lies beside the repository.
//!
//! ```sh
//! cargo run --release -- --matrix [--rounds 5] [--best] [--charts FOLDER]
//! ```
//!
//! compares the JPEG encoders alone: at four qualities, on photographs, video frames and screens. `--best` takes the best round
//! of each instead of the median, on a machine that others use.
//!
//! ```sh
//! cargo run --release -- --inputs [--rounds 5] [--content photographs]
//! ```
//!
//! compares RGB, BGRA and I420 as input.
//!
//! ```sh
//! cargo run --release -- --bands [--rounds 5] [--pause-ms 20]
//! ```
//!
//! compares one thread with two on a picture's bands, and with two encoders that share nothing.
//!
//! ```sh
//! cargo run --release -- --trained [--rounds 5]
//! ```
//!
//! tells for each clip what trained tables, sent once, save and take.

mod bands;
mod charts;
mod contents;
mod encoders;
mod inputs;
mod matrix;
mod pictures;
mod trained;

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use auralink::{FrameBuf, Limits, images, kernel, quality};
use encoders::{Encoder, Make};
use pictures::Picture;

pub type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// What was measured of one encoder.
struct Row {
    name: String,
    make: Make,
    /// Mpx/s of each round, on one thread and on two.
    speeds: [Vec<f64>; 2],
    bits_per_pixel: f64,
    /// Mean PSNR in dB and SSIM of luma; `None` for exact pixels.
    quality: Option<(f64, f64)>,
}

fn main() -> Result<()> {
    let (mut rounds, mut quality, mut paths) = (15_usize, 75_usize, Vec::new());
    let (mut is_matrix, mut is_best, mut charts) = (false, false, None::<PathBuf>);
    let (mut is_inputs, mut content) = (false, None::<String>);
    let (mut is_bands, mut pause_ms, mut is_trained) = (false, 0, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut text = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        let mut number = || -> Result<usize> {
            let text = text()?;
            text.parse().map_err(|_| format!("{argument}: {text} is not a number").into())
        };
        match argument.as_str() {
            "--rounds" => rounds = number()?.max(1),
            "--matrix" => is_matrix = true,
            "--inputs" => is_inputs = true,
            "--bands" => is_bands = true,
            "--trained" => is_trained = true,
            "--pause-ms" => pause_ms = number()?,
            "--content" => content = Some(text()?),
            "--best" => is_best = true,
            "--charts" => charts = Some(text()?.into()),
            "--quality" => quality = number()?.clamp(1, 100),
            _ => paths.push(argument.into()),
        }
    }
    let pick = if is_best { best } else { median };
    if is_inputs {
        return inputs::run(rounds, pick, content.as_deref());
    }
    if is_bands {
        return bands::run(rounds, pause_ms);
    }
    if is_trained {
        return trained::run(rounds);
    }
    if is_matrix {
        return matrix::run(rounds, pick, charts.as_deref());
    }
    let pictures = pictures::load(&paths)?;
    let mut rows = Vec::new();
    for (name, make) in encoders::all(quality as u8) {
        let (bits_per_pixel, quality) =
            judge(make()?.as_mut(), &pictures).map_err(|error| format!("{name}: {error}"))?;
        rows.push(Row { name, make, speeds: Default::default(), bits_per_pixel, quality });
    }
    for round in 0..rounds {
        eprint!("\rround {} of {rounds}", round + 1);
        for row in &mut rows {
            for threads in [1, 2] {
                row.speeds[threads - 1].push(speed(&row.make, &pictures, threads)?);
            }
        }
    }
    eprintln!();
    print(&mut rows, &pictures, rounds, quality);
    Ok(())
}

/// Bits a pixel, and quality of what a decoder sees.
fn judge(encoder: &mut dyn Encoder, pictures: &[Picture]) -> Result<(f64, Option<(f64, f64)>)> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build()?;
    let level = kernel::detect();
    let (mut bytes, mut pixels, mut psnr_db, mut ssim) = (0, 0, 0.0, 0.0);
    let is_jpeg = encoder.is_jpeg();
    for picture in pictures {
        let coded = encoder.encode(picture)?;
        bytes += coded.len();
        pixels += picture.pixels();
        if is_jpeg {
            let seen: FrameBuf = images::decode(coded, &Limits::ENGINE)?;
            let (mut a, mut b) = (Vec::new(), Vec::new());
            kernel::rows::luma_plane(level, &picture.frame.as_frame(), &mut a)?;
            kernel::rows::luma_plane(level, &seen.as_frame(), &mut b)?;
            let gray = |data| auralink::Frame::new(auralink::PixelFormat::Gray8, picture.width, picture.height, data);
            let found = quality::compare(level, gray(&a)?.plane(0), gray(&b)?.plane(0), &pool)?;
            psnr_db += found.psnr_db / pictures.len() as f64;
            ssim += found.ssim / pictures.len() as f64;
        }
    }
    Ok((bytes as f64 * 8.0 / pixels as f64, is_jpeg.then_some((psnr_db, ssim))))
}

/// Mpx/s of all pictures, coded whole by each of `threads` threads with an encoder of its own.
fn speed(make: &Make, pictures: &[Picture], threads: usize) -> Result<f64> {
    let encoders = (0..threads).map(|_| make()).collect::<Result<Vec<_>>>()?;
    let start = std::sync::Barrier::new(threads);
    let seconds = std::thread::scope(|scope| -> Result<f64> {
        let workers: Vec<_> = encoders
            .into_iter()
            .map(|mut encoder| {
                let start = &start;
                scope.spawn(move || -> Result<f64> {
                    // Buffers grow and pages come in before the clock runs.
                    encoder.encode(&pictures[0])?;
                    start.wait();
                    let began = Instant::now();
                    for picture in pictures {
                        encoder.encode(picture)?;
                    }
                    Ok(began.elapsed().as_secs_f64())
                })
            })
            .collect();
        let mut longest = 0.0_f64;
        for worker in workers {
            longest = longest.max(worker.join().map_err(|_| "a thread panicked")??);
        }
        Ok(longest)
    })?;
    let pixels: usize = pictures.iter().map(Picture::pixels).sum();
    Ok((threads * pixels) as f64 / seconds / 1e6)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn best(values: &mut [f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn print(rows: &mut [Row], pictures: &[Picture], rounds: usize, quality: usize) {
    let megapixels = pictures.iter().map(Picture::pixels).sum::<usize>() as f64 / 1e6;
    println!(
        "{} pictures of {megapixels:.1} Mpx in RGB, JPEG quality {quality}, medians of {rounds} rounds, {}\n",
        pictures.len(),
        kernel::name(kernel::detect()),
    );
    println!("| encoder | Mpx/s, 1 thread | Mpx/s, 2 threads | bits/px | PSNR dB | SSIM |");
    println!("|---|---:|---:|---:|---:|---:|");
    for row in rows {
        let [one, two] = &mut row.speeds;
        let (psnr_db, ssim) = match row.quality {
            Some((psnr_db, ssim)) => (format!("{psnr_db:.2}"), format!("{ssim:.4}")),
            None => ("exact".to_owned(), "1".to_owned()),
        };
        let (one, two) = (median(one), median(two));
        println!("| {} | {one:.0} | {two:.0} | {:.2} | {psnr_db} | {ssim} |", row.name, row.bits_per_pixel);
    }
}
