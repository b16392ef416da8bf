//! What a caller has set for its sessions, and what is set for it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use validator::Validate;

use crate::codec::Codec;
use crate::rate::Mode;
use crate::service::http::{maybe_codec, maybe_mode};
use crate::service::limits::Windows;
use crate::service::proto;
use crate::service::refusal::{Refusal, Violation};
use crate::service::wire::{self, violations_of};

/// A caller's settings; new sessions begin with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Mode of sessions that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = maybe_mode)]
    pub(crate) mode: Option<String>,
    /// Codec of sessions that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = maybe_codec)]
    pub(crate) codec: Option<String>,
    /// Rate limits instead of those of callers in general; an administrator's to set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(nested)]
    pub(crate) limits: Option<Windows>,
    /// Bytes of packets in a calendar month (UTC) after which no session is opened and no single frame taken; an administrator's to set.
    /// At most 2^53 - 1, beyond which not every reader of JSON is exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(range(max = 9_007_199_254_740_991_u64, message = "at most 9007199254740991"))]
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    pub(crate) monthly_bytes: Option<u64>,
}

impl Settings {
    /// Reads settings that a stranger wrote: as objects, not as the lists of values that a reader of ours would take for them
    /// too, and 7.0 for 7, as JSON Schema has it.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn from_json(mut value: Value) -> Result<Self, String> {
        let limits = value.get("limits").filter(|limits| !limits.is_null());
        if !value.is_object() || limits.is_some_and(|limits| !limits.is_object()) {
            return Err("settings, and their limits, are objects".to_owned());
        }
        let (own, limits) = value
            .as_object_mut()
            .into_iter()
            .flat_map(Map::values_mut)
            .partition::<Vec<_>, _>(|value| !value.is_object());
        let limits = limits.into_iter().filter_map(Value::as_object_mut).flat_map(Map::values_mut);
        for number in own.into_iter().chain(limits) {
            // Beyond 2^53 they aren't exact any more.
            let whole = number.as_f64().filter(|it| it.fract() == 0.0 && (0.0..9e15).contains(it));
            if let Some(whole) = whole.filter(|_| number.is_f64()) {
                *number = Value::from(whole as u64);
            }
        }
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// All at fault, with value and limit.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let mut faults = violations_of(self, "");
        let mode = self.mode.as_deref().map(Mode::from_str).and_then(Result::err).map(|error| ("mode", error));
        let codec = self.codec.as_deref().map(Codec::from_str).and_then(Result::err).map(|error| ("codec", error));
        for (field, error) in mode.into_iter().chain(codec) {
            faults.push(Violation { field: field.to_owned(), ..Violation::engine("", &error) });
        }
        if faults.is_empty() { Ok(()) } else { Err(Refusal::invalid(faults)) }
    }

    /// Completes a session's opening by what it leaves open.
    pub(crate) fn complete(&self, open: &mut proto::Open) {
        let mode = self.mode.as_deref().and_then(|mode| Mode::from_str(mode).ok());
        if let Some(mode) = mode.filter(|_| open.mode == 0) {
            open.mode = wire::mode_to_wire(mode) as i32;
        }
        // Settings of H.264 say that it is wanted.
        let codec = self.codec.as_deref().and_then(|codec| Codec::from_str(codec).ok());
        if let Some(codec) = codec.filter(|_| open.codec == 0 && open.h264.is_none()) {
            open.codec = wire::codec_to_wire(codec) as i32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_objects_and_whole_numbers_are_numbers() {
        let read = |text: &str| Settings::from_json(serde_json::from_str(text).unwrap());
        let settings = read(r#"{"limits":{"per_minute":7.0},"monthly_bytes":9e6,"mode":null}"#).unwrap();
        assert_eq!((settings.limits.unwrap().per_minute, settings.monthly_bytes), (7, Some(9_000_000)));
        for bad in ["[null]", "7", r#"{"limits":[1,2,3]}"#, r#"{"monthly_bytes":1.5}"#, r#"{"monthly_bytes":-1.0}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
        // As precise as it was given.
        let largest = read(r#"{"monthly_bytes":9007199254740991}"#).unwrap();
        assert_eq!((largest.monthly_bytes, largest.check().is_ok()), (Some((1 << 53) - 1), true));
        assert!(read(r#"{"monthly_bytes":9007199254740992}"#).unwrap().check().is_err());
    }

    #[test]
    fn an_opening_is_completed_and_never_overruled() {
        let settings =
            Settings { mode: Some("aggressive".to_owned()), codec: Some("jpeg".to_owned()), ..Settings::default() };
        assert!(settings.check().is_ok());
        let mut open = proto::Open::default();
        settings.complete(&mut open);
        assert_eq!((open.mode(), open.codec()), (proto::Mode::Aggressive, proto::Codec::Jpeg));
        let mut open = proto::Open { mode: 1, h264: Some(proto::H264Settings::default()), ..Default::default() };
        settings.complete(&mut open);
        assert_eq!((open.mode(), open.codec()), (proto::Mode::Conservative, proto::Codec::Unspecified));
    }

    #[test]
    fn every_fault_is_told() {
        let limits = Windows { per_minute: 2_000_000, ..Windows::NONE };
        let settings = Settings {
            mode: Some("wild".to_owned()),
            codec: Some("h265".to_owned()),
            limits: Some(limits),
            ..Settings::default()
        };
        let fields: Vec<_> = settings.check().unwrap_err().violations.into_iter().map(|v| v.field).collect();
        assert_eq!(fields, ["limits.per_minute", "mode", "codec"]);
        assert!(serde_json::from_str::<Settings>(r#"{"colour":"red"}"#).is_err());
    }
}
