//! Frames over HTTP/2 over TCP: what a service on gRPC rides on.
//!
//! Data goes through HTTP/2's send buffer and the socket's, and leaves in segments as the congestion window lets it; what the
//! queue drops is sent again at its end; the application sees nothing out of order. Segments are acknowledged one by one, with
//! selective acknowledgements and timestamps. Not modelled: pacing, tail loss probes, delayed acknowledgements, and loss of what the
//! application says on the way back (the next receipt says it again).

mod cubic;
mod inbound;
mod outbound;
mod round_trip;
mod stream;

pub(super) use inbound::{Ack, Inbound};
pub(super) use outbound::{Outbound, Segment};
pub(super) use stream::Stream;

use crate::error::Result;
use crate::limits;

/// Bytes of data in a full segment, and of the headers around it.
const SEGMENT_BYTES: u32 = 1448;
const HEADER_BYTES: u32 = 52;
/// Bytes of a bare acknowledgement on its way back.
pub(super) const ACK_BYTES: u32 = 52;

/// Buffers and habits of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpConfig {
    /// Bytes of the socket's send buffer: those not sent and those not acknowledged.
    pub socket_bytes: u32,
    /// Bytes in the socket that weren't sent at most, as TCP_NOTSENT_LOWAT has it; none for the whole buffer.
    pub unsent_bytes: Option<u32>,
    /// Bytes in HTTP/2's send buffer from which it takes no further frame.
    pub http2_bytes: u32,
    /// HTTP/2's flow control window that the receiver grants, bytes.
    pub window_bytes: u32,
    /// Whether the congestion window shrinks to its first size after idling.
    pub restarts_after_idle: bool,
    /// What a retransmission timeout is at least beyond a round trip, ms: Linux's `tcp_rto_min_us`, or `rto_min` of a route.
    pub least_timeout_ms: u32,
}

impl Default for TcpConfig {
    /// As a careful service has it: 256 KiB socket, 16 KiB unsent, 64 KiB of HTTP/2, a window of 2 MiB.
    fn default() -> Self {
        Self {
            socket_bytes: 256 << 10,
            unsent_bytes: Some(16 << 10),
            http2_bytes: 64 << 10,
            window_bytes: 2 << 20,
            restarts_after_idle: false,
            least_timeout_ms: 200,
        }
    }
}

impl TcpConfig {
    /// As it comes: a socket buffer grown to 4 MiB, and HTTP/2's 400 KiB.
    pub const UNTUNED: Self = Self {
        socket_bytes: 4 << 20,
        unsent_bytes: None,
        http2_bytes: 400 << 10,
        window_bytes: 2 << 20,
        restarts_after_idle: true,
        least_timeout_ms: 200,
    };

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) with the field and its bounds.
    pub fn validate(&self) -> Result<()> {
        let check = |field, bytes: u32| limits::check(field, f64::from(bytes), &(4096.0..=f64::from(1 << 30)));
        check("socket_bytes", self.socket_bytes)?;
        check("unsent_bytes", self.unsent_bytes.unwrap_or(self.socket_bytes))?;
        check("http2_bytes", self.http2_bytes)?;
        check("window_bytes", self.window_bytes)?;
        limits::check("least_timeout_ms", f64::from(self.least_timeout_ms), &(1.0..=60_000.0))
    }
}
