//! Every metric the service tells, with its name and its help.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tonic::Code;

use crate::codec::Codec;
use crate::rate::Scale;
use crate::service::admission::Shed;
use crate::service::traces::Took;
use crate::session::{DropReason, Fallback, PacketInfo};

/// Bounds of the qualities that plans ask for, of 1..=100.
const QUALITIES: [f64; 9] = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0];
/// Bounds of the time histograms, seconds.
const SECONDS: [f64; 12] = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodecLabel {
    codec: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabel {
    decision: &'static str,
    scope: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

/// The service's metrics.
#[derive(Debug)]
pub(crate) struct Telemetry {
    registry: Registry,
    frames_in: Counter,
    packets: Family<CodecLabel, Counter>,
    raw_bytes: Counter,
    packet_bytes: Family<CodecLabel, Counter>,
    dropped: Family<ReasonLabel, Counter>,
    errors: Family<CodeLabel, Counter>,
    denied: Family<ReasonLabel, Counter>,
    fallbacks: Family<ReasonLabel, Counter>,
    encode_seconds: Family<CodecLabel, Histogram>,
    stage_seconds: Family<StageLabel, Histogram>,
    queue_seconds: Histogram,
    latency_seconds: Histogram,
    plan_quality: Histogram,
    plan_scale: Histogram,
    pool_threads: Gauge,
    pool_busy: Gauge,
    bytes_limit: Gauge,
    resident_bytes: Gauge,
    streams: Gauge,
    connections: Gauge,
    bytes_in_flight: Gauge,
    session_bytes: Gauge,
    jobs_waiting: Gauge,
    ready: Gauge,
    streams_opened: Counter<u64, AtomicU64>,
    messages_cut: Family<ReasonLabel, Counter>,
    readers_cut: Counter,
    shedding: Gauge,
    shed: Family<ReasonLabel, Counter>,
    ledger_records: Family<ReasonLabel, Counter>,
    ledger_failures: Counter,
    ledger_up: Gauge,
    ledger_waiting: Gauge,
    limit_decisions: Family<DecisionLabel, Counter>,
    limit_failed_open: Counter,
    limit_keys: Gauge,
    redis_seconds: Histogram,
    breaker_state: Gauge,
    breaker_opened: Counter,
}

impl Default for Telemetry {
    fn default() -> Self {
        let seconds = || Histogram::new(SECONDS);
        let mut this = Self {
            registry: Registry::with_prefix("auralink"),
            frames_in: Counter::default(),
            packets: Family::default(),
            raw_bytes: Counter::default(),
            packet_bytes: Family::default(),
            dropped: Family::default(),
            errors: Family::default(),
            denied: Family::default(),
            fallbacks: Family::default(),
            encode_seconds: Family::new_with_constructor(seconds as fn() -> Histogram),
            stage_seconds: Family::new_with_constructor(seconds as fn() -> Histogram),
            queue_seconds: seconds(),
            latency_seconds: seconds(),
            plan_quality: Histogram::new(QUALITIES),
            plan_scale: Histogram::new(Scale::LADDER.into_iter().rev().map(Scale::factor)),
            pool_threads: Gauge::default(),
            pool_busy: Gauge::default(),
            bytes_limit: Gauge::default(),
            resident_bytes: Gauge::default(),
            streams: Gauge::default(),
            connections: Gauge::default(),
            bytes_in_flight: Gauge::default(),
            session_bytes: Gauge::default(),
            jobs_waiting: Gauge::default(),
            ready: Gauge::default(),
            streams_opened: Counter::default(),
            messages_cut: Family::default(),
            readers_cut: Counter::default(),
            shedding: Gauge::default(),
            shed: Family::default(),
            ledger_records: Family::default(),
            ledger_failures: Counter::default(),
            ledger_up: Gauge::default(),
            ledger_waiting: Gauge::default(),
            limit_decisions: Family::default(),
            limit_failed_open: Counter::default(),
            limit_keys: Gauge::default(),
            redis_seconds: seconds(),
            breaker_state: Gauge::default(),
            breaker_opened: Counter::default(),
        };
        this.register();
        this.begin();
        this.ledger_up.set(1);
        this
    }
}

impl Telemetry {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("frames_in", "Frames taken, by streams, calls and HTTP", self.frames_in.clone());
        r.register("packets", "Packets made", self.packets.clone());
        r.register("raw_bytes", "Raw bytes of the frames that became packets", self.raw_bytes.clone());
        r.register("packet_bytes", "Bytes of the packets", self.packet_bytes.clone());
        r.register("frames_dropped", "Frames dropped, by reason", self.dropped.clone());
        r.register("errors", "Calls, frames and messages refused or failed, by gRPC code", self.errors.clone());
        r.register("auth_denied", "Callers that aren't known or may not, by reason", self.denied.clone());
        r.register("fallbacks", "Packets that broke a promise, by what gave way", self.fallbacks.clone());
        r.register("encode_seconds", "Time of coding a frame", self.encode_seconds.clone());
        let stages = self.stage_seconds.clone();
        r.register("stage_seconds", "Time of the other stages of a frame: decode, resize, measure", stages);
        r.register("queue_seconds", "Time a frame waited for a compute thread", self.queue_seconds.clone());
        r.register("latency_seconds", "Time from a frame's arrival to its packet", self.latency_seconds.clone());
        r.register(
            "plan_quality",
            "Quality that the plan of a packet asked for, of 1 to 100",
            self.plan_quality.clone(),
        );
        let scale = self.plan_scale.clone();
        r.register("plan_scale", "Part of the source's sides that the plan of a packet asked for", scale);
        r.register(
            "pool_threads",
            "Compute threads for small frames, and as many for large ones",
            self.pool_threads.clone(),
        );
        r.register("pool_busy", "Jobs that run on them", self.pool_busy.clone());
        r.register("in_flight_limit_bytes", "Most bytes of frames that may be in flight", self.bytes_limit.clone());
        let resident = self.resident_bytes.clone();
        r.register("resident_bytes", "Memory of the process, 0 where the system doesn't tell", resident);
        r.register("streams_open", "Streams that are running", self.streams.clone());
        r.register("streams_opened", "Streams opened", self.streams_opened.clone());
        r.register("connections", "Connections to the gRPC listeners", self.connections.clone());
        r.register("in_flight_bytes", "Bytes of frames and packets in flight", self.bytes_in_flight.clone());
        r.register("session_bytes", "Bytes that open sessions have taken for themselves", self.session_bytes.clone());
        r.register("jobs_waiting", "Jobs that wait for a compute thread", self.jobs_waiting.clone());
        r.register("ready", "1 while every readiness check passes", self.ready.clone());
        r.register("readers_cut", "Calls ended because nobody read their answers", self.readers_cut.clone());
        let cut = self.messages_cut.clone();
        r.register("messages_cut", "Messages not received to their end, by reason", cut);
        let help = "What is shed for waiting jobs: 0 nothing, 1 stale frames, 2 effort too, 3 new streams too";
        r.register("shedding", help, self.shedding.clone());
        r.register("shed", "What was shed for waiting jobs", self.shed.clone());
        let records = self.ledger_records.clone();
        r.register("ledger_records", "Records of sessions, by what became of them: written, lost", records);
        let failures = self.ledger_failures.clone();
        r.register("ledger_failures", "Times the store took no records, and was tried again", failures);
        r.register("ledger_up", "0 while the store takes no records", self.ledger_up.clone());
        r.register("ledger_waiting", "Records that wait to be written", self.ledger_waiting.clone());
        let decisions = self.limit_decisions.clone();
        r.register("limit_decisions", "Calls counted by rate limits, by decision and tightest scope", decisions);
        let failed_open = self.limit_failed_open.clone();
        r.register("limit_failed_open", "Calls counted in this process alone for want of Redis", failed_open);
        r.register("limit_keys", "Callers, addresses and methods that limits remember", self.limit_keys.clone());
        r.register("redis_seconds", "Time Redis took to count a call, or to fail", self.redis_seconds.clone());
        let state = self.breaker_state.clone();
        r.register("redis_breaker", "Circuit breaker before Redis: 0 closed, 1 half-open, 2 open", state);
        r.register("redis_breaker_opened", "Times the breaker has opened", self.breaker_opened.clone());
    }

    /// Series whose labels are known begin at nothing, so that the first event is an increase.
    fn begin(&self) {
        let reason =
            |family: &Family<ReasonLabel, Counter>, reason| drop(family.get_or_create(&ReasonLabel { reason }));
        DropReason::ALL.iter().for_each(|it| reason(&self.dropped, it.name()));
        Fallback::ALL.iter().for_each(|it| reason(&self.fallbacks, it.name()));
        ["written", "lost"].iter().for_each(|it| reason(&self.ledger_records, it));
        ["stale frame", "effort", "stream"].iter().for_each(|it| reason(&self.shed, it));
        ["given up for another", "no progress", "no room"].iter().for_each(|it| reason(&self.messages_cut, it));
        ["missing", "malformed", "key", "token", "certificate", "role"].iter().for_each(|it| reason(&self.denied, it));
        for codec in Codec::ALL.map(|codec| CodecLabel { codec: codec.name() }) {
            drop(self.packets.get_or_create(&codec));
            drop(self.packet_bytes.get_or_create(&codec));
            drop(self.encode_seconds.get_or_create(&codec));
        }
        for stage in ["decode", "resize", "measure"] {
            drop(self.stage_seconds.get_or_create(&StageLabel { stage }));
        }
        drop(self.errors.get_or_create(&CodeLabel { code: code_name(Code::Internal) }));
    }

    pub(crate) fn frame_taken(&self) {
        self.frames_in.inc();
    }

    pub(crate) fn packet_made(&self, info: &PacketInfo, took: Took) {
        let label = CodecLabel { codec: info.codec.name() };
        if let Some(fallback) = info.fallback {
            self.fallbacks.get_or_create(&ReasonLabel { reason: fallback.name() }).inc();
        }
        self.packets.get_or_create(&label).inc();
        self.raw_bytes.inc_by(info.original_bytes as u64);
        self.packet_bytes.get_or_create(&label).inc_by(info.compressed_bytes as u64);
        self.encode_seconds.get_or_create(&label).observe(info.times.encode_us as f64 / 1e6);
        let stages = [("decode", took.decode_us), ("resize", info.times.resize_us), ("measure", info.times.measure_us)];
        for (stage, us) in stages.into_iter().filter(|(_, us)| *us > 0) {
            self.stage_seconds.get_or_create(&StageLabel { stage }).observe(us as f64 / 1e6);
        }
        self.queue_seconds.observe(took.queued.as_secs_f64());
        self.latency_seconds.observe(took.latency.as_secs_f64());
        self.plan_quality.observe(info.plan.quality.into());
        self.plan_scale.observe(info.plan.scale.factor());
    }

    pub(crate) fn frame_dropped(&self, reason: DropReason) {
        self.dropped.get_or_create(&ReasonLabel { reason: reason.name() }).inc();
    }

    pub(crate) fn refused(&self, code: Code) {
        self.errors.get_or_create(&CodeLabel { code: code_name(code) }).inc();
    }

    pub(crate) fn denied(&self, reason: &'static str) {
        self.denied.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(crate) fn stream_opened(&self) {
        self.streams_opened.inc();
    }

    pub(crate) fn message_cut(&self, reason: &'static str) {
        self.messages_cut.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(crate) fn readers_cut(&self, calls: u64) {
        self.readers_cut.inc_by(calls);
    }

    /// Counts a frame, an encoder's effort or a stream that was shed.
    pub(crate) fn shed(&self, what: &'static str) {
        self.shed.get_or_create(&ReasonLabel { reason: what }).inc();
    }

    pub(crate) fn ledger_written(&self, records: u64) {
        self.ledger_up.set(1);
        self.ledger_records.get_or_create(&ReasonLabel { reason: "written" }).inc_by(records);
    }

    pub(crate) fn ledger_lost(&self, records: u64) {
        self.ledger_records.get_or_create(&ReasonLabel { reason: "lost" }).inc_by(records);
    }

    #[cfg(test)]
    pub(crate) fn ledger_lost_so_far(&self) -> u64 {
        self.ledger_records.get_or_create(&ReasonLabel { reason: "lost" }).get()
    }

    pub(crate) fn ledger_failed(&self) {
        self.ledger_up.set(0);
        self.ledger_failures.inc();
    }

    pub(crate) fn limiter_decided(&self, allowed: bool, scope: &'static str) {
        let decision = if allowed { "allowed" } else { "refused" };
        self.limit_decisions.get_or_create(&DecisionLabel { decision, scope }).inc();
    }

    pub(crate) fn limiter_failed_open(&self) {
        self.limit_failed_open.inc();
    }

    pub(crate) fn redis_asked(&self, took: Duration) {
        self.redis_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn breaker_closed(&self) {
        self.breaker_state.set(0);
    }

    pub(crate) fn breaker_half_opened(&self) {
        self.breaker_state.set(1);
    }

    pub(crate) fn breaker_opened(&self) {
        self.breaker_state.set(2);
        self.breaker_opened.inc();
    }

    pub(crate) fn connections(&self) -> &Gauge {
        &self.connections
    }

    /// All metrics in OpenMetrics text, with the gauges as they are now.
    pub(crate) fn scrape(&self, now: Now) -> Result<String, std::fmt::Error> {
        let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        self.streams.set(gauge(now.streams));
        self.pool_threads.set(gauge(now.pool_threads));
        self.pool_busy.set(gauge(now.pool_busy));
        self.bytes_limit.set(gauge(now.bytes_limit));
        self.resident_bytes.set(gauge(resident_bytes()));
        self.bytes_in_flight.set(gauge(now.bytes_in_flight));
        self.session_bytes.set(gauge(now.session_bytes));
        self.jobs_waiting.set(gauge(now.jobs_waiting));
        self.ledger_waiting.set(gauge(now.ledger_waiting));
        self.shedding.set(now.shed as i64);
        self.limit_keys.set(gauge(now.limiter_keys));
        self.ready.set(i64::from(now.ready));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Memory of this process; 0 where the system doesn't tell.
fn resident_bytes() -> usize {
    // Linux tells it in KiB, whatever the size of a page.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse::<usize>().ok());
    kib.map_or(0, |kib| kib * 1024)
}

/// What gauges are set to before they are told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    pub(crate) pool_threads: usize,
    pub(crate) pool_busy: usize,
    pub(crate) bytes_limit: usize,
    pub(crate) streams: usize,
    pub(crate) bytes_in_flight: usize,
    pub(crate) session_bytes: usize,
    pub(crate) jobs_waiting: usize,
    pub(crate) ledger_waiting: usize,
    pub(crate) shed: Shed,
    pub(crate) limiter_keys: usize,
    pub(crate) ready: bool,
}

/// The code as the gRPC specification spells it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::{Plan, Reason};
    use crate::session::{StageTimes, Stamp};

    fn packet() -> PacketInfo {
        let plan = Plan {
            codec: Codec::Jpeg,
            scale: Scale::FULL,
            frame_divisor: 1,
            quality: 75,
            target_bytes: None,
            budget_bytes: None,
            link_bytes: None,
            keyframe: true,
            reason: Reason::Unlimited,
        };
        PacketInfo {
            stamp: Stamp::default(),
            codec: Codec::Jpeg,
            width: 40,
            height: 25,
            keyframe: true,
            original_bytes: 3_000,
            compressed_bytes: 100,
            quality: 75,
            qp: None,
            preset: None,
            plan,
            psnr_db: None,
            ssim: None,
            times: StageTimes { encode_us: 900, ..StageTimes::default() },
            fallback: None,
        }
    }

    #[test]
    fn a_scrape_names_what_was_counted() {
        let telemetry = Telemetry::default();
        telemetry.frame_taken();
        telemetry.frame_dropped(DropReason::LinkBusy);
        telemetry.refused(Code::InvalidArgument);
        let took = Took { latency: Duration::from_millis(2), queued: Duration::from_micros(50), decode_us: 300 };
        telemetry.packet_made(&packet(), took);
        let now = Now {
            pool_threads: 2,
            pool_busy: 1,
            bytes_limit: 0,
            streams: 3,
            bytes_in_flight: 0,
            session_bytes: 0,
            jobs_waiting: 0,
            ledger_waiting: 0,
            shed: Shed::Stale,
            limiter_keys: 0,
            ready: true,
        };
        let text = telemetry.scrape(now).unwrap();
        for line in [
            "auralink_frames_in_total 1\n",
            "auralink_frames_dropped_total{reason=\"link busy\"} 1\n",
            "auralink_errors_total{code=\"INVALID_ARGUMENT\"} 1\n",
            "auralink_packet_bytes_total{codec=\"jpeg\"} 100\n",
            "auralink_encode_seconds_bucket{le=\"0.001\",codec=\"jpeg\"} 1\n",
            "auralink_stage_seconds_bucket{le=\"0.0005\",stage=\"decode\"} 1\n",
            "auralink_plan_quality_sum 75.0\n",
            "auralink_plan_scale_bucket{le=\"0.75\"} 0\n",
            "auralink_streams_open 3\n",
            "auralink_ready 1\n",
            "# EOF\n",
        ] {
            assert!(text.contains(line), "{line} is missing from\n{text}");
        }
    }
}
