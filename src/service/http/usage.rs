//! `GET /v1/usage`, and `GET` and `PUT /v1/settings`.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Extension, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tonic::Code;
use utoipa::{IntoParams, ToSchema};

use super::openapi::day;
use super::problem::Problem;
use crate::service::Shared;
use crate::service::caller::Caller;
use crate::service::ledger::{self, Row, Settings, date, day_of, now_ms};
use crate::service::refusal::{Refusal, Violation};

/// Most days that are told at once.
const MAX_DAYS: u32 = 3_660;
const COLUMNS: &str =
    "day,caller,sessions,seconds,frames,packets,dropped,failed,bytes_in,bytes_out,reduction,ssim,psnr_db\n";

/// What usage is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// First day, UTC; the first of the last day's month where none is given.
    #[param(schema_with = day)]
    from: Option<String>,
    /// Last day, UTC, at most 3660 with the first; today where none is given.
    #[param(schema_with = day)]
    to: Option<String>,
    /// Another caller, for administrators; where none is given they see all, and others themselves.
    caller: Option<String>,
    /// `json` or `csv`.
    #[param(schema_with = format_name)]
    format: Option<String>,
}

/// Whose settings are meant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Whose {
    /// Another caller, for administrators.
    caller: Option<String>,
}

/// Usage by day and caller.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Usage {
    #[schema(format = Date)]
    from: String,
    #[schema(format = Date)]
    to: String,
    rows: Vec<UsageRow>,
    /// Records that aren't written yet, and not in the rows.
    waiting: usize,
}

/// What one caller has used on one day.
#[derive(Debug, Serialize, ToSchema)]
struct UsageRow {
    #[schema(format = Date)]
    day: String,
    caller: String,
    sessions: u64,
    /// Time of all sessions together.
    seconds: f64,
    frames: u64,
    packets: u64,
    dropped: u64,
    failed: u64,
    /// Raw bytes of the frames that became packets.
    bytes_in: u64,
    bytes_out: u64,
    /// Fraction of the raw bytes saved.
    reduction: f64,
    /// Mean of what was measured.
    ssim: Option<f64>,
    /// Mean of what was measured.
    psnr_db: Option<f64>,
}

impl From<&Row> for UsageRow {
    fn from(Row { day, caller, sums }: &Row) -> Self {
        Self {
            day: date::show(*day),
            caller: caller.clone(),
            sessions: sums.sessions,
            seconds: sums.seconds,
            frames: sums.frames,
            packets: sums.packets,
            dropped: sums.dropped,
            failed: sums.failed,
            bytes_in: sums.bytes_in,
            bytes_out: sums.bytes_out,
            reduction: sums.reduction(),
            ssim: sums.mean(sums.ssim_sum),
            psnr_db: sums.mean(sums.psnr_db_sum),
        }
    }
}

fn format_name() -> utoipa::openapi::Schema {
    super::openapi::one_of(["json", "csv"].into_iter())
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

/// What callers have used, by day.
#[utoipa::path(
    get, path = "/v1/usage", tag = "usage", params(Asked),
    responses(
        (status = 200, description = "A table", content((Usage = "application/json"), (String = "text/csv"))),
        (status = 400, description = "The query is at fault", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Another caller's usage", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is down", body = Problem, content_type = "application/problem+json"),
    ),
)]
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
    let (from, to) = (date::show(query.from), date::show(query.to));
    let rows = rows.iter().map(UsageRow::from).collect();
    Ok(Json(Usage { from, to, rows, waiting: shared.ledger.waiting() }).into_response())
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

/// A caller's settings.
#[utoipa::path(
    get, path = "/v1/settings", tag = "usage", params(Whose),
    responses(
        (status = 200, body = Settings),
        (status = 400, description = "The query is at fault", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Another caller's settings", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn settings(
    State(shared): State<Arc<Shared>>,
    caller: Option<Extension<Caller>>,
    whose: Result<Query<Whose>, QueryRejection>,
) -> Result<Json<Settings>, Refusal> {
    let Query(whose) = whose.map_err(|rejection| Refusal::field("query", rejection.body_text()))?;
    let name = meant(whose.caller, &who(caller))?;
    Ok(Json(shared.ledger.settings(&name)))
}

/// Sets them; new sessions begin with them. `limits` and `monthly_bytes` are for administrators to set, and stay as they
/// are where anybody else leaves them out.
#[utoipa::path(
    put, path = "/v1/settings", tag = "usage", params(Whose), request_body = Settings,
    responses(
        (status = 200, description = "As they are now", body = Settings),
        (status = 400, description = "The query or a setting is at fault", body = Problem,
            content_type = "application/problem+json"),
        (status = 403, description = "Another caller's settings, or an administrator's to set", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "The store is down", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn put_settings(
    State(shared): State<Arc<Shared>>,
    caller: Option<Extension<Caller>>,
    whose: Result<Query<Whose>, QueryRejection>,
    settings: Result<Json<Value>, JsonRejection>,
) -> Result<Json<Settings>, Refusal> {
    let Query(whose) = whose.map_err(|rejection| Refusal::field("query", rejection.body_text()))?;
    let Json(settings) = settings.map_err(|rejection| Refusal::field("body", rejection.body_text()))?;
    let mut settings = Settings::from_json(settings).map_err(|told| Refusal::field("body", told))?;
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
