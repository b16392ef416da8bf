//! The wire contract's messages to the engine's types and back. Beyond this room and the calls themselves nothing sees a
//! generated type.

mod check;
mod enums;
mod h264;
mod picture;
mod request;
mod response;

pub(crate) use check::violations_of;
pub(crate) use enums::{Source, all_sources, codec_to_wire, mode_to_wire};
pub(crate) use picture::{Layout, Picture};
pub(crate) use request::{
    Opening, Still, changes, hint_query, network, open, receipt, samples, session_id, still, stream_frame,
    watch_interval,
};
pub(crate) use response::{analysis, dropped, hints, packet, picture_response, plan, session};
