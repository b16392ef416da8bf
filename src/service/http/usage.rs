//! `GET /v1/usage`, and `GET` and `PUT /v1/settings`.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Extension, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::Code;

use crate::service::Shared;
use crate::service::caller::Caller;
use crate::service::ledger::{self, Row, Settings, date, day_of, now_ms};
use crate::service::refusal::{Refusal, Violation};

/// Most days that are told at once.
const MAX_DAYS: u32 = 3_660;
const COLUMNS: &str =
    "day,caller,sessions,seconds,frames,packets,dropped,failed,bytes_in,bytes_out,reduction,ssim,psnr_db\n";

/// What usage is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// First day, `YYYY-MM-DD`; the first of this month where none is given.
    from: Option<String>,
    /// Last day; today where none is given.
    to: Option<String>,
    caller: Option<String>,
    /// `json` or `csv`.
    format: Option<String>,
}

/// Whose settings are meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    caller: Option<String>,
}

/// The caller that is meant: oneself, or anybody for an administrator.
fn meant(asked: Option<String>, caller: &Caller) -> Result<String, Refusal> {
    match asked {
        Some(name) if name != *caller.id && !caller.roles.admin => {
            Err(Refusal::new(Code::PermissionDenied, "only an administrator may ask about other callers"))
        }
        Some(name) => Ok(name),
        None => Ok(caller.id.to_string()),
    }
}

fn who(caller: Option<Extension<Caller>>) -> Caller {
    caller.map_or_else(Caller::anonymous, |Extension(caller)| caller)
}

impl Asked {
    fn parse(self, caller: &Caller) -> Result<(ledger::Query, bool), Refusal> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, description: String| {
            faults.push(Violation { field: field.to_owned(), description });
        };
        let today = day_of(now_ms());
        let mut day = |field: &str, text: Option<String>, default: u32| {
            let Some(text) = text else { return default };
            date::parse(&text).unwrap_or_else(|| {
                fault(
                    field,
                    format!("{:?} is not a day such as 2026-01-31", text.chars().take(32).collect::<String>()),
                );
                default
            })
        };
        let to = day("to", self.to, today);
        let from = day("from", self.from, date::month_start(to));
        if from > to || to - from >= MAX_DAYS {
            fault("from", format!("{} to {} is outside 1..={MAX_DAYS} days", date::show(from), date::show(to)));
        }
        let is_csv = match self.format.as_deref() {
            None | Some("json") => false,
            Some("csv") => true,
            Some(_) => {
                fault("format", "neither json nor csv".to_owned());
                false
            }
        };
        if !faults.is_empty() {
            return Err(Refusal::invalid(faults));
        }
        // An administrator who names nobody means all.
        let caller = if self.caller.is_none() && caller.roles.admin { None } else { Some(meant(self.caller, caller)?) };
        Ok((ledger::Query { from, to, caller }, is_csv))
    }
}

pub(super) async fn usage(
    State(shared): State<Arc<Shared>>,
    caller: Option<Extension<Caller>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refusal> {
    let asked = asked.map_err(|rejection| Refusal::field("query", rejection.body_text()))?;
    let (query, is_csv) = asked.0.parse(&who(caller))?;
    let rows = shared.ledger.usage(&query).await?;
    if is_csv {
        return Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], csv(&rows)).into_response());
    }
    let rows: Vec<_> = rows.iter().map(row_json).collect();
    let (from, to) = (date::show(query.from), date::show(query.to));
    Ok(Json(json!({ "from": from, "to": to, "rows": rows, "waiting": shared.ledger.waiting() })).into_response())
}

fn row_json(row: &Row) -> Value {
    let sums = &row.sums;
    json!({
        "day": date::show(row.day),
        "caller": row.caller,
        "sessions": sums.sessions,
        "seconds": sums.seconds,
        "frames": sums.frames,
        "packets": sums.packets,
        "dropped": sums.dropped,
        "failed": sums.failed,
        "bytes_in": sums.bytes_in,
        "bytes_out": sums.bytes_out,
        "reduction": sums.reduction(),
        "ssim": sums.mean(sums.ssim_sum),
        "psnr_db": sums.mean(sums.psnr_db_sum),
    })
}

/// RFC 4180.
fn csv(rows: &[Row]) -> String {
    let mut text = COLUMNS.to_owned();
    for Row { day, caller, sums } in rows {
        let caller = caller.replace('"', "\"\"");
        let mean = |sum| sums.mean(sum).map(|mean| format!("{mean:.4}")).unwrap_or_default();
        // Writing to a string doesn't fail.
        let _ = writeln!(
            text,
            "{},\"{caller}\",{},{:.3},{},{},{},{},{},{},{:.4},{},{}",
            date::show(*day),
            sums.sessions,
            sums.seconds,
            sums.frames,
            sums.packets,
            sums.dropped,
            sums.failed,
            sums.bytes_in,
            sums.bytes_out,
            sums.reduction(),
            mean(sums.ssim_sum),
            mean(sums.psnr_db_sum),
        );
    }
    text
}

pub(super) async fn settings(
    State(shared): State<Arc<Shared>>,
    caller: Option<Extension<Caller>>,
    whose: Result<Query<Whose>, QueryRejection>,
) -> Result<Json<Settings>, Refusal> {
    let Query(whose) = whose.map_err(|rejection| Refusal::field("query", rejection.body_text()))?;
    let name = meant(whose.caller, &who(caller))?;
    Ok(Json(shared.ledger.settings(&name)))
}

pub(super) async fn put_settings(
    State(shared): State<Arc<Shared>>,
    caller: Option<Extension<Caller>>,
    whose: Result<Query<Whose>, QueryRejection>,
    settings: Result<Json<Settings>, JsonRejection>,
) -> Result<Json<Settings>, Refusal> {
    let Query(whose) = whose.map_err(|rejection| Refusal::field("query", rejection.body_text()))?;
    let Json(mut settings) = settings.map_err(|rejection| Refusal::field("body", rejection.body_text()))?;
    let caller = who(caller);
    let name = meant(whose.caller, &caller)?;
    settings.check()?;
    if !caller.roles.admin {
        let before = shared.ledger.settings(&name);
        if settings.limits.is_some() || settings.monthly_bytes.is_some() {
            let told = "limits and monthly_bytes are set by an administrator";
            return Err(Refusal::new(Code::PermissionDenied, told));
        }
        (settings.limits, settings.monthly_bytes) = (before.limits, before.monthly_bytes);
    }
    shared.ledger.put_settings(&name, settings.clone()).await?;
    Ok(Json(settings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::caller::Roles;

    fn asked(from: &str, caller: Option<&str>) -> Asked {
        Asked { from: Some(from.to_owned()), to: None, caller: caller.map(str::to_owned), format: None }
    }

    #[test]
    fn callers_see_their_own_and_administrators_all() {
        let ann = Caller { id: "ann".into(), roles: Roles { compress: true, ..Roles::default() }, expires: None };
        let day = date::show(day_of(now_ms()));
        let query = |asked: Asked, caller: &Caller| asked.parse(caller).map(|(query, _)| query.caller);
        assert_eq!(query(asked(&day, None), &ann).unwrap().as_deref(), Some("ann"));
        assert_eq!(query(asked(&day, Some("ann")), &ann).unwrap().as_deref(), Some("ann"));
        assert_eq!(query(asked(&day, Some("bob")), &ann).unwrap_err().code, Code::PermissionDenied);
        let admin = Caller { roles: Roles { admin: true, ..Roles::default() }, ..ann };
        assert_eq!(query(asked(&day, None), &admin).unwrap(), None);
        assert_eq!(query(asked(&day, Some("bob")), &admin).unwrap().as_deref(), Some("bob"));
    }

    #[test]
    fn bad_questions_are_told_field_by_field() {
        let bad = Asked {
            from: Some("2026-02-30".to_owned()),
            to: Some("yesterday".to_owned()),
            caller: None,
            format: Some("xml".to_owned()),
        };
        let fields: Vec<_> =
            bad.parse(&Caller::anonymous()).unwrap_err().violations.into_iter().map(|v| v.field).collect();
        assert_eq!(fields, ["to", "from", "format"]);
        let refusal = asked("9999-01-01", None).parse(&Caller::anonymous()).unwrap_err();
        assert!(refusal.message.contains("9999-01-01"), "{refusal:?}");
        assert!(asked("1970-01-01", None).parse(&Caller::anonymous()).is_err(), "too many days");
    }

    #[test]
    fn names_are_quoted_in_csv() {
        let row = Row { day: 0, caller: "a\"b,c".to_owned(), sums: ledger::Sums::default() };
        assert!(csv(&[row]).ends_with("\n1970-01-01,\"a\"\"b,c\",0,0.000,0,0,0,0,0,0,0.0000,,\n"));
    }
}
