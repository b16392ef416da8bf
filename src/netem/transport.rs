//! What carries frames over the link: packets of their own, or a stream.

use std::time::Duration;

use super::datagrams::{Datagrams, Piece};
use super::tcp::{Ack, Segment, Stream, TcpConfig};

/// What crosses the link toward the receiver.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parcel {
    Piece(Piece),
    Segment(Segment),
}

impl Parcel {
    /// Bytes of the packet.
    pub(super) fn packet_bytes(self) -> u32 {
        match self {
            Self::Piece(piece) => piece.bytes,
            Self::Segment(segment) => segment.packet_bytes(),
        }
    }
}

/// What carries frames.
#[derive(Debug)]
pub(super) enum Transport {
    Datagrams(Datagrams),
    Stream(Box<Stream>),
}

impl Transport {
    pub(super) fn new(tcp: Option<TcpConfig>) -> Self {
        match tcp {
            None => Self::Datagrams(Datagrams::default()),
            Some(config) => Self::Stream(Box::new(Stream::new(config))),
        }
    }

    /// Whether another frame is taken now.
    pub(super) fn can_take(&self) -> bool {
        match self {
            Self::Datagrams(_) => true,
            Self::Stream(stream) => stream.can_take(),
        }
    }

    pub(super) fn write(&mut self, frame_number: u64, bytes: u32) {
        match self {
            Self::Datagrams(datagrams) => datagrams.write(frame_number, bytes),
            Self::Stream(stream) => stream.write(frame_number, bytes),
        }
    }

    /// Hands what may go now to `send`, with the bytes of each packet; packets of their own `gap` apart.
    pub(super) fn emit(&mut self, now_ms: u64, gap: Duration, send: &mut dyn FnMut(u32, Parcel)) {
        match self {
            Self::Datagrams(datagrams) => {
                datagrams.emit(now_ms, gap, &mut |piece| send(piece.bytes, Parcel::Piece(piece)));
            }
            Self::Stream(stream) => {
                while let Some(segment) = stream.emit(now_ms) {
                    send(segment.packet_bytes(), Parcel::Segment(segment));
                }
            }
        }
    }

    /// Takes what came out of the link: appends what the application gets by it, and returns what goes back.
    pub(super) fn arrived(&mut self, parcel: Parcel, pieces: &mut Vec<Piece>) -> Option<Ack> {
        match (self, parcel) {
            (Self::Stream(stream), Parcel::Segment(segment)) => Some(stream.arrived(segment, pieces)),
            (_, Parcel::Piece(piece)) => {
                pieces.push(piece);
                None
            }
            (Self::Datagrams(_), Parcel::Segment(_)) => None,
        }
    }

    pub(super) fn acknowledged(&mut self, ack: &Ack, now_ms: u64) {
        if let Self::Stream(stream) = self {
            stream.acknowledge(ack, now_ms);
        }
    }

    /// Bytes that wait before the transport, and in it without being sent.
    pub(super) fn waiting(&self) -> (u64, u64) {
        match self {
            Self::Datagrams(datagrams) => (datagrams.waiting_bytes(), 0),
            Self::Stream(stream) => stream.waiting(),
        }
    }
}
