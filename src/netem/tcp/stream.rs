//! HTTP/2 above a connection: frames in DATA frames, a send buffer, flow control.

use std::collections::VecDeque;

use super::{Ack, Inbound, Outbound, Segment, TcpConfig};
use crate::netem::datagrams::Piece;

/// Bytes of data in a DATA frame, and of its header.
const DATA_BYTES: u64 = 16 << 10;
const DATA_HEADER_BYTES: u64 = 9;

/// A frame in the stream.
#[derive(Clone, Copy, Debug)]
struct Entry {
    frame_number: u64,
    bytes: u32,
    /// Offset in the stream.
    begin: u64,
    /// Bytes of it that the application has.
    taken: u32,
}

/// Both ends of a stream.
#[derive(Debug)]
pub(in crate::netem) struct Stream {
    config: TcpConfig,
    outbound: Outbound,
    inbound: Inbound,
    /// Bytes in HTTP/2's send buffer, and bytes of the stream so far.
    buffered: u64,
    length: u64,
    /// Frames that the application hasn't whole.
    entries: VecDeque<Entry>,
}

/// Bytes in the stream of so many bytes of a frame.
fn framed(bytes: u32) -> u64 {
    u64::from(bytes) + DATA_HEADER_BYTES * u64::from(bytes).div_ceil(DATA_BYTES)
}

/// Bytes of a frame in so many bytes of the stream.
fn unframed(bytes: u64) -> u64 {
    let whole = bytes / (DATA_BYTES + DATA_HEADER_BYTES);
    let rest = bytes % (DATA_BYTES + DATA_HEADER_BYTES);
    whole * DATA_BYTES + rest.saturating_sub(DATA_HEADER_BYTES)
}

impl Stream {
    pub(in crate::netem) fn new(config: TcpConfig) -> Self {
        let (outbound, inbound) = (Outbound::new(config.least_timeout_ms), Inbound::default());
        Self { config, outbound, inbound, buffered: 0, length: 0, entries: VecDeque::new() }
    }

    /// Whether another frame is taken.
    pub(in crate::netem) fn can_take(&self) -> bool {
        self.buffered < u64::from(self.config.http2_bytes)
    }

    pub(in crate::netem) fn write(&mut self, frame_number: u64, bytes: u32) {
        self.entries.push_back(Entry { frame_number, bytes, begin: self.length, taken: 0 });
        self.buffered += framed(bytes);
        self.length += framed(bytes);
        self.fill_socket();
    }

    /// The next segment that may go now.
    pub(in crate::netem) fn emit(&mut self, now_ms: u64) -> Option<Segment> {
        self.fill_socket();
        self.outbound.emit(self.config.restarts_after_idle, now_ms)
    }

    /// A segment came: appends what the application gets by it.
    pub(in crate::netem) fn arrived(&mut self, segment: Segment, pieces: &mut Vec<Piece>) -> Ack {
        let ack = self.inbound.take(segment);
        while let Some(entry) = self.entries.front_mut() {
            let received = self.inbound.until().saturating_sub(entry.begin);
            let bytes = unframed(received).min(u64::from(entry.bytes)) as u32;
            let new = bytes - entry.taken;
            if new > 0 {
                entry.taken = bytes;
                pieces.push(Piece { frame_number: entry.frame_number, bytes: new });
            }
            if entry.taken < entry.bytes {
                break;
            }
            self.entries.pop_front();
        }
        ack
    }

    pub(in crate::netem) fn acknowledge(&mut self, ack: &Ack, now_ms: u64) {
        self.outbound.acknowledge(ack, now_ms);
    }

    /// Bytes in HTTP/2's send buffer, and in the socket without being sent.
    pub(in crate::netem) fn waiting(&self) -> (u64, u64) {
        (self.buffered, self.outbound.held().1)
    }

    /// Moves data from HTTP/2 into the socket, as far as buffers and the receiver's window let it.
    fn fill_socket(&mut self) {
        let (unacknowledged, unsent) = self.outbound.held();
        let room = u64::from(self.config.socket_bytes).saturating_sub(unacknowledged);
        let unsent_room = self.config.unsent_bytes.map_or(u64::MAX, |limit| u64::from(limit).saturating_sub(unsent));
        // The application takes what comes, so the window moves with what is acknowledged.
        let moved = self.length - self.buffered;
        let window = self.outbound.acknowledged() + u64::from(self.config.window_bytes);
        let bytes = self.buffered.min(room).min(unsent_room).min(window.saturating_sub(moved));
        self.buffered -= bytes;
        self.outbound.write(bytes);
    }
}

#[cfg(test)]
mod tests;
