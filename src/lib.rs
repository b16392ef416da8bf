//! Auralink compresses frames for networks that are never good enough.
//!
//! Frames of a camera, a screen or a renderer go in; packets come out that are as small as the network needs and as good as
//! the session promises, each with the decision it came from. Three codecs make them: H.264, which every browser and player shows;
//! baseline JPEG, which everything opens; and a lossless format. All are safe Rust on SIMD kernels.
//!
//! # A frame to a file
//!
//! Everything starts at an [`Engine`], which holds the caller's threads and the CPU's SIMD level:
//!
//! ```
//! use std::sync::Arc;
//! use auralink::{Codec, Engine, Frame, Order, PixelFormat};
//!
//! let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build()?);
//! let engine = Engine::new(pool);
//!
//! let pixels = vec![90_u8; 320 * 180 * 3];
//! let frame = Frame::new(PixelFormat::Rgb8, 320, 180, &pixels)?;
//! let mut file = Vec::new();
//! let coded = engine.coder().code(&frame, &Order { quality: 85, ..Order::still(Codec::Jpeg) }, &mut file)?;
//! assert_eq!(coded.bytes, file.len());
//! assert!(file.len() < pixels.len() / 20);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Coder`] keeps its working memory: hold on to it and to the output buffer, and frames after the first few take nothing
//! from the allocator.
//!
//! # A stream
//!
//! A [`Session`] is one stream as a value. It does no IO, reads no clock and starts no thread: frames, network reports and the
//! time are arguments, packets are results. So it runs the same under a service, inside a capture loop, and in a test that plays
//! an hour in a second. The [`session`] module shows one at work.
//!
//! What a session does with a frame is decided apart from doing it. [`rate`] turns a [`Mode`] and [`NetworkConditions`] into a
//! [`Plan`]: size, quality, byte budget, and the reason in words. It never sees a pixel; the codecs never see the network.
//!
//! # Rooms
//!
//! Data flows one way: bytes → [`frame`] → [`session`] { [`rate`]: plan → [`codec`] on [`kernel`] } → packet.
//!
//! | room | does |
//! |---|---|
//! | [`frame`] | pixels, validated: a [`Frame`] exists only if format, size, strides and length were checked; y4m |
//! | [`codec`] | frames to bytes: [`codec::h264`], [`codec::jpeg`], [`codec::lossless`] |
//! | [`kernel`] | the only room that knows about CPUs; the same bits at every SIMD level |
//! | [`quality`] | PSNR and SSIM |
//! | [`resize`] | frames to another size |
//! | [`rate`] | network facts to plans |
//! | [`session`] | one stream: push, feed back, poll |
//! | [`netem`] | networks in virtual time: recorded links, and senders to compare |
//! | [`limits`] | every bound, with its unit |
//! | `images` | PNG, JPEG and WebP in, PNG out (feature `images`) |
//! | `service` | the gRPC and HTTP server (feature `server`) |
//! | `client` | streams through a service that outlive connections and servers (feature `client`) |
//!
//! # What holds everywhere
//!
//! - **The same bytes** at every SIMD level and for every number of threads. `AURALINK_SIMD` lowers the level to show it.
//! - **The caller's threads.** Work goes to the [`rayon::ThreadPool`] that was passed in, never to the global one.
//! - **Input is a stranger's.** What is out of bounds is refused with an [`Error`] that names the field, the value and the limit.
//! - **No `unsafe`** in this package.
//!
//! # Features
//!
//! With `default-features = false` the crate is the engine: about thirty dependencies, no async runtime, no sockets, no files.
//! `images` adds PNG, JPEG and WebP, `client` streams through a service, `server` the service itself, `cli` (default) the
//! `auralink` program, `testing` the bodies of the fuzz targets.

#[cfg(feature = "client")]
pub mod client;
pub mod codec;
mod engine;
mod error;
pub mod frame;
#[cfg(feature = "images")]
pub mod images;
pub mod kernel;
pub mod limits;
pub mod netem;
#[cfg(feature = "client")]
pub mod proto;
pub mod quality;
pub mod rate;
pub mod resize;
#[cfg(feature = "server")]
pub mod service;
pub mod session;
#[cfg(any(feature = "testing", all(test, feature = "images")))]
pub mod testing;

pub use codec::{Cancel, Codec};
pub use engine::Engine;
pub use error::{Error, Result};
pub use frame::{ColorSpace, Frame, FrameBuf, Matrix, PixelFormat, Range};
pub use kernel::Level;
pub use limits::Limits;
pub use rate::{Mode, NetworkConditions, Plan, Receipt};
pub use session::{Coded, Coder, Feedback, Order, Output, Packet, PacketInfo, Session, SessionConfig, Stamp};
