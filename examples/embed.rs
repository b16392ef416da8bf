//! The engine inside a program of one's own: a session over generated frames, on threads the program owns.
//!
//! ```sh
//! cargo run --release --no-default-features --example embed
//! ```

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use auralink::{Codec, Engine, Feedback, Frame, Mode, NetworkConditions, Output, PixelFormat, SessionConfig, Stamp};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 360;
const FPS: u64 = 30;

/// A picture that moves: what a camera would hand over.
fn draw(number: u64, pixels: &mut [u8]) {
    for (at, pixel) in pixels.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let (x, y) = (at as u64 % u64::from(WIDTH) + 2 * number, at as u64 / u64::from(WIDTH));
        *pixel = [(x / 3) as u8, (y / 2) as u8, ((x ^ y) & 0x70) as u8, 255];
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build()?);
    let config = SessionConfig {
        mode: Mode::Adaptive,
        fps: FPS as f64,
        measure_quality: true,
        network: Some(NetworkConditions::new(20_000.0, 40.0, 0.0, 5.0)?),
        ..SessionConfig::new(Codec::Jpeg, PixelFormat::Bgra8, WIDTH, HEIGHT)
    };
    let mut session = Engine::new(pool).session(config)?;
    let mut pixels = vec![0; PixelFormat::Bgra8.frame_bytes(WIDTH, HEIGHT)];
    let mut terminal = std::io::stdout().lock();

    for frame_number in 0..3 * FPS {
        let now = Duration::from_millis(1000 * frame_number / FPS);
        if frame_number == 2 * FPS {
            session.feedback(Feedback::Network(NetworkConditions::new(1_500.0, 120.0, 1.0, 30.0)?), now)?;
        }
        draw(frame_number, &mut pixels);
        let stamp = Stamp { frame_number, timestamp_us: now.as_micros() as u64 };
        session.push(stamp, &Frame::new(PixelFormat::Bgra8, WIDTH, HEIGHT, &pixels)?, now)?;
        loop {
            match session.poll(now) {
                // A real program sends `packet.data`, one whole JPEG file, to its receiver.
                Output::Packet(packet) if frame_number % (FPS / 2) == 0 => {
                    writeln!(terminal, "frame {frame_number}: {} bytes, {}", packet.data.len(), packet.info.plan)?;
                }
                Output::Packet(_) => {}
                Output::Dropped(dropped) => writeln!(terminal, "frame {frame_number}: dropped, {}", dropped.reason)?,
                Output::Failed(failed) => writeln!(terminal, "frame {frame_number}: {}", failed.error)?,
                Output::Wait(_) => break,
            }
        }
    }
    let stats = session.stats();
    writeln!(terminal, "{} packets, {:.1} % saved", stats.packets_out, 100.0 * stats.reduction())?;
    Ok(())
}
