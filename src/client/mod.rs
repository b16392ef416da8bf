//! A client for the streaming service that outlives connections and servers.
//!
//! A [`Stream`] gives frames to a service and hands answers over in the order of the frames: each frame has exactly one, however
//! often connections break or servers go away in between. Frames are kept until they are answered, at most as many as the server
//! lets be on their way (`window` of [`Open`](crate::proto::Open), 2 by default, 8 at most); that is all the memory it needs.
//!
//! When a stream is lost, another is opened: at the next address at once, then after waits that double and vary at random
//! ([`Retry`]). Frames without an answer are sent again under their numbers, and the first packet is a keyframe, so that what was
//! written before and what is written after make one stream that decodes. A server that shuts down says so; its accepted frames
//! are taken, and the others go to the next server. After half a minute without an answer, or by a refusal that another try
//! wouldn't change, [`Stream::next`] fails.
//!
//! ```no_run
//! use auralink::client::{Answer, Stream, Target};
//! use auralink::proto::{Codec, Open, PixelFormat, StreamFrame};
//!
//! # async fn run(frames: impl Iterator<Item = Vec<u8>>) -> Result<(), Box<dyn std::error::Error>> {
//! let addresses = vec!["http://10.0.0.1:50051".to_owned(), "http://10.0.0.2:50051".to_owned()];
//! let target = Target { addresses, ..Target::default() };
//! let open = Open {
//!     codec: Codec::H264.into(),
//!     format: PixelFormat::I420.into(),
//!     width: 1280,
//!     height: 720,
//!     ..Open::default()
//! };
//! let mut stream = Stream::open(&target, open).await?;
//! let mut frames = (1..).zip(frames);
//! let mut file = Vec::new();
//! loop {
//!     while stream.has_credit() {
//!         match frames.next() {
//!             Some((frame_number, pixels)) => {
//!                 stream.send(StreamFrame { frame_number, data: pixels.into(), ..StreamFrame::default() })?;
//!             }
//!             None => stream.finish(),
//!         }
//!     }
//!     match stream.next().await? {
//!         Some(Answer::Packet(packet, _)) => file.extend_from_slice(&packet.data),
//!         Some(other) => println!("{other:?}"),
//!         None => break,
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod backoff;
mod error;
mod line;
mod seek;
mod stream;
mod unanswered;

pub use backoff::Retry;
pub use error::Error;
pub use line::{Access, Credentials, Line, caller, connect};
pub use stream::{Answer, Stream, Target};
