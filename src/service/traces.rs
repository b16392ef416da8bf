//! Traces over OTLP (feature `otel`): a span for each request and each stream, named by the request id, and for some of their
//! frames one with a child for each stage. A caller's `traceparent` (W3C) is taken over.
//!
//! Spans wait in a bounded queue and are sent in batches by a thread of their own. Where the collector is slow or gone, what
//! doesn't fit is dropped: nothing ever waits for it.

use std::time::Duration;

use axum::http::HeaderMap;
#[cfg(feature = "otel")]
pub use export::Traces;
use tracing::Span;

use crate::session::PacketInfo;

/// How long a frame took, beside what its packet says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    /// From its arrival until now.
    pub(crate) latency: Duration,
    /// The wait for a compute thread.
    pub(crate) queued: Duration,
    pub(crate) decode_us: u64,
}

/// Makes `span` a part of the trace that a request belongs to, where it names one.
pub(crate) fn adopt(span: &Span, headers: &HeaderMap) {
    #[cfg(feature = "otel")]
    export::adopt(span, headers);
    #[cfg(not(feature = "otel"))]
    let _ = (span, headers);
}

/// Which frames of a stream are told.
#[derive(Debug)]
pub(crate) struct FrameTraces {
    every: u32,
    packets: u64,
}

impl FrameTraces {
    /// The first packet, and then each whose number is a multiple of `every`; none where that is 0.
    pub(crate) const fn new(every: u32) -> Self {
        Self { every, packets: 0 }
    }

    /// As [`frame`], where it is this packet's turn.
    pub(crate) fn frame(&mut self, info: &PacketInfo, took: Took) {
        let is_due = self.every > 0 && self.packets.is_multiple_of(self.every.into());
        self.packets += 1;
        if is_due {
            frame(info, took);
        }
    }
}

/// Tells of a frame that has just become a packet, where the span around it is sampled.
pub(crate) fn frame(info: &PacketInfo, took: Took) {
    #[cfg(feature = "otel")]
    export::frame(info, took);
    #[cfg(not(feature = "otel"))]
    let _ = (info, took);
}

#[cfg(feature = "otel")]
mod export {
    use std::time::{Duration, SystemTime};

    use axum::http::HeaderMap;
    use opentelemetry::propagation::{Extractor, TextMapPropagator};
    use opentelemetry::trace::{Span as _, SpanBuilder, TraceContextExt, TracerProvider};
    use opentelemetry::{Context, KeyValue, global};
    use opentelemetry_otlp::{SpanExporter, WithExportConfig};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use opentelemetry_sdk::trace::{
        BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanLimits,
    };
    use tracing::{Level, Span, Subscriber};
    use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::registry::LookupSpan;

    use super::Took;
    use crate::service::config::Telemetry;
    use crate::session::PacketInfo;

    const NAME: &str = "auralink";
    /// Spans sent at once.
    const BATCH: usize = 512;
    /// Time a span waits for others to go with it.
    const PAUSE: Duration = Duration::from_secs(1);
    /// Time a collector may take to answer.
    const PATIENCE: Duration = Duration::from_secs(3);

    /// What sends spans to the collector, until it is told to end.
    #[derive(Debug)]
    pub struct Traces {
        provider: SdkTracerProvider,
    }

    impl Traces {
        /// Begins to send spans as configured, on the runtime around it, and gives the layer that they come from. None where no
        /// collector is configured. It connects when there is something to send.
        ///
        /// # Errors
        /// In words: an endpoint that can't be read.
        pub fn start<S>(config: &Telemetry) -> Result<Option<(Self, impl Layer<S> + use<S>)>, String>
        where
            S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
        {
            let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
            let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(PATIENCE).build();
            let exporter = exporter.map_err(|error| error.to_string())?;
            let queue = config.queue_spans as usize;
            let batches = BatchConfigBuilder::default()
                .with_max_queue_size(queue)
                .with_max_export_batch_size(queue.min(BATCH))
                .with_scheduled_delay(PAUSE)
                .build();
            let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
            let resource = Resource::builder_empty().with_service_name(config.service_name.clone());
            let provider = SdkTracerProvider::builder()
                .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
                // A caller that traces decides for its requests; the others are drawn by chance.
                .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio))))
                .with_span_limits(SpanLimits { max_events_per_span: 0, max_links_per_span: 0, ..SpanLimits::default() })
                .with_resource(resource.with_attribute(version).build())
                .build();
            global::set_tracer_provider(provider.clone());
            let layer: OpenTelemetryLayer<S, SdkTracer> =
                tracing_opentelemetry::layer().with_tracer(provider.tracer(NAME));
            let layer =
                layer.with_location(false).with_threads(false).with_target(false).with_tracked_inactivity(false);
            // Our own spans and nothing else: what is logged within them stays in the log.
            let ours =
                filter_fn(|told| told.is_span() && *told.level() <= Level::INFO && told.target().starts_with(NAME));
            Ok(Some((Self { provider }, layer.with_filter(ours))))
        }

        /// Sends what waits, within `patience`, and ends. It blocks.
        pub fn finish(&self, patience: Duration) {
            if let Err(error) = self.provider.shutdown_with_timeout(patience) {
                tracing::warn!(%error, "the last spans weren't sent");
            }
        }
    }

    struct Headers<'a>(&'a HeaderMap);

    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key)?.to_str().ok()
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(|name| name.as_str()).collect()
        }
    }

    pub(super) fn adopt(span: &Span, headers: &HeaderMap) {
        if !headers.contains_key("traceparent") {
            return;
        }
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        if parent.span().span_context().is_valid() {
            // Where nobody listens to the span there is nothing to set.
            let _ = span.set_parent(parent);
        }
    }

    pub(super) fn frame(info: &PacketInfo, took: Took) {
        let around = Span::current().context();
        if !around.span().span_context().is_sampled() {
            return;
        }
        let tracer = global::tracer(NAME);
        let us = Duration::from_micros;
        let stages = [
            ("queue", took.queued),
            ("decode", us(took.decode_us)),
            ("resize", us(info.times.resize_us)),
            ("encode", us(info.times.encode_us)),
            ("measure", us(info.times.measure_us)),
        ];
        let end = SystemTime::now();
        // The stages are the end of it; before them, the frame waited for those that came earlier.
        let mut at = end - stages.iter().map(|(_, time)| *time).sum::<Duration>();
        let begin = (end - took.latency).min(at);
        let told = SpanBuilder::from_name("frame").with_start_time(begin).with_attributes([
            KeyValue::new("frame_number", i64::try_from(info.stamp.frame_number).unwrap_or(i64::MAX)),
            KeyValue::new("codec", info.codec.name()),
            KeyValue::new("keyframe", info.keyframe),
            KeyValue::new("original_bytes", info.original_bytes as i64),
            KeyValue::new("compressed_bytes", info.compressed_bytes as i64),
            KeyValue::new("fallback", info.fallback.map_or("none", |fallback| fallback.name())),
        ]);
        let span = told.start_with_context(&tracer, &around);
        let within = around.with_span(span);
        for (name, time) in stages {
            if !time.is_zero() {
                let mut stage = SpanBuilder::from_name(name).with_start_time(at).start_with_context(&tracer, &within);
                stage.end_with_timestamp(at + time);
            }
            at += time;
        }
        within.span().end_with_timestamp(end);
    }
}
