//! Google congestion control (draft-ietf-rmcat-gcc, with the trendline of libwebrtc), without probing clusters.

use std::collections::VecDeque;
use std::time::Duration;

use super::flight::Flight;
use crate::netem::Sender;
use crate::rate::Receipt;

/// Points that the trend goes through, and the smoothing of what they are made of.
const POINTS: usize = 20;
const SMOOTHING: f64 = 0.9;
/// The trend times so many points and this is compared with the threshold.
const GAIN: f64 = 4.0;
const MOST_POINTS: f64 = 60.0;
/// The threshold follows the trend, faster down than up.
const THRESHOLD: (f64, f64) = (6.0, 600.0);
const FIRST_THRESHOLD: f64 = 12.5;
const FOLLOW_UP: f64 = 0.0087;
const FOLLOW_DOWN: f64 = 0.039;
const IGNORED_BEYOND: f64 = 15.0;
/// Over-use has to last so long, ms.
const OVER_USE_MS: f64 = 10.0;
/// Growth a second, and what is added instead near convergence, in packets a response time.
const GROWTH: f64 = 1.08;
const ADDED_BYTES: f64 = 750.0;
const DECREASE: f64 = 0.85;
/// What the rate is measured over.
const MEASURED: Duration = Duration::from_millis(500);
/// Bounds of the rate, kbit/s.
const RATE_KBPS: (f64, f64) = (30.0, 200_000.0);
const FIRST_KBPS: f64 = 300.0;
/// Time that bytes on their way may take beyond the round trip before coding pauses, ms.
const PUSHBACK_MS: f64 = 350.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usage {
    Normal,
    Over,
    Under,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Hold,
    Increase,
    Decrease,
}

/// The trend of one-way delays and what it says.
#[derive(Clone, Debug)]
struct Detector {
    /// Sent and received times of the last group, ms.
    last: Option<(f64, f64)>,
    groups: u32,
    accumulated: f64,
    smoothed: f64,
    points: VecDeque<(f64, f64)>,
    threshold: f64,
    over_ms: f64,
    last_trend: f64,
    usage: Usage,
}

impl Detector {
    fn new() -> Self {
        Self {
            last: None,
            groups: 0,
            accumulated: 0.0,
            smoothed: 0.0,
            points: VecDeque::new(),
            threshold: FIRST_THRESHOLD,
            over_ms: 0.0,
            last_trend: 0.0,
            usage: Usage::Normal,
        }
    }

    /// Takes a group of packets by when it was sent and when its last came, ms.
    fn group(&mut self, sent_ms: f64, received_ms: f64) {
        let Some((last_sent_ms, last_received_ms)) = self.last.replace((sent_ms, received_ms)) else { return };
        let send_delta_ms = sent_ms - last_sent_ms;
        let delta_ms = received_ms - last_received_ms - send_delta_ms;
        self.groups += 1;
        self.accumulated += delta_ms;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        self.points.push_back((received_ms, self.smoothed));
        if self.points.len() > POINTS {
            self.points.pop_front();
        }
        if self.points.len() == POINTS {
            let trend = slope(&self.points);
            self.judge(trend, send_delta_ms);
        }
    }

    fn judge(&mut self, trend: f64, elapsed_ms: f64) {
        let modified = f64::from(self.groups).min(MOST_POINTS) * trend * GAIN;
        if modified > self.threshold {
            self.over_ms += elapsed_ms;
            if self.over_ms > OVER_USE_MS && trend >= self.last_trend {
                self.over_ms = 0.0;
                self.usage = Usage::Over;
            }
        } else {
            self.over_ms = 0.0;
            self.usage = if modified < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.last_trend = trend;
        let size = modified.abs();
        if size <= self.threshold + IGNORED_BEYOND {
            let follow = if size < self.threshold { FOLLOW_DOWN } else { FOLLOW_UP };
            self.threshold += follow * (size - self.threshold) * elapsed_ms.min(100.0);
            self.threshold = self.threshold.clamp(THRESHOLD.0, THRESHOLD.1);
        }
    }
}

/// Slope of the line through points, by least squares.
fn slope(points: &VecDeque<(f64, f64)>) -> f64 {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (over, under) = points
        .iter()
        .fold((0.0, 0.0), |(over, under), point| (over + (point.0 - x) * (point.1 - y), under + (point.0 - x).powi(2)));
    if under > 0.0 { over / under } else { 0.0 }
}

/// A rate from the trend of delays and from losses; frames take their share of it.
#[derive(Clone, Debug)]
pub struct Gcc {
    fps: f64,
    min_frame_bytes: u32,
    detector: Detector,
    state: State,
    delay_kbps: f64,
    loss_kbps: f64,
    /// Rate at the last decrease, and its deviation.
    converged: Option<f64>,
    last_update: Duration,
    last_decrease: Duration,
    round_trip_ms: f64,
    flight: Flight,
    /// Arrivals of late, by the receiver's clock, and their bytes.
    received: VecDeque<(Duration, u32)>,
    /// Bytes received and lost since the last look at losses.
    losses: (f64, f64),
    last_loss: Duration,
    credit: f64,
    credit_at: Duration,
}

impl Gcc {
    /// For `fps` frames a second of at least so many bytes.
    pub fn new(fps: f64, min_frame_bytes: u32) -> Self {
        Self {
            fps,
            min_frame_bytes,
            detector: Detector::new(),
            state: State::Increase,
            delay_kbps: FIRST_KBPS,
            loss_kbps: RATE_KBPS.1,
            converged: None,
            last_update: Duration::ZERO,
            last_decrease: Duration::ZERO,
            round_trip_ms: 100.0,
            flight: Flight::default(),
            received: VecDeque::new(),
            losses: (0.0, 0.0),
            last_loss: Duration::ZERO,
            credit: 0.0,
            credit_at: Duration::ZERO,
        }
    }

    fn kbps(&self) -> f64 {
        self.delay_kbps.min(self.loss_kbps)
    }

    fn measured_kbps(&self) -> Option<f64> {
        let bytes: u64 = self.received.iter().map(|(_, bytes)| u64::from(*bytes)).sum();
        (self.received.len() > 1).then(|| bytes as f64 * 8.0 / MEASURED.as_millis() as f64)
    }

    fn update(&mut self, now: Duration) {
        let elapsed_s = (now - self.last_update).as_secs_f64().min(1.0);
        self.last_update = now;
        self.state = match (self.detector.usage, self.state) {
            (Usage::Over, _) => State::Decrease,
            (Usage::Under, _) | (Usage::Normal, State::Decrease) => State::Hold,
            (Usage::Normal, _) => State::Increase,
        };
        let Some(measured) = self.measured_kbps() else { return };
        match self.state {
            State::Hold => {}
            State::Increase => self.increase(measured, elapsed_s),
            State::Decrease => {
                let pause = Duration::from_secs_f64(self.round_trip_ms.clamp(10.0, 200.0) / 1000.0);
                if now - self.last_decrease >= pause || measured < 0.5 * self.delay_kbps {
                    self.delay_kbps = self.delay_kbps.min(DECREASE * measured);
                    self.converged = Some(measured);
                    self.last_decrease = now;
                }
            }
        }
        self.delay_kbps = self.delay_kbps.clamp(RATE_KBPS.0, RATE_KBPS.1);
    }

    fn increase(&mut self, measured: f64, elapsed_s: f64) {
        // Far above where it converged, that was another link.
        self.converged = self.converged.filter(|&converged| measured < 1.3 * converged);
        let grown = match self.converged {
            Some(_) => {
                let response_s = (self.round_trip_ms + 100.0) / 1000.0;
                self.delay_kbps + ADDED_BYTES * 8.0 / 1000.0 * elapsed_s / response_s
            }
            None => self.delay_kbps * GROWTH.powf(elapsed_s),
        };
        self.delay_kbps = grown.min(1.5 * measured + 10.0).max(self.delay_kbps.min(grown));
    }

    fn lose(&mut self, now: Duration) {
        if now - self.last_loss < Duration::from_secs(1) {
            return;
        }
        self.last_loss = now;
        let (received, lost) = std::mem::take(&mut self.losses);
        let share = lost / (received + lost).max(1.0);
        if share > 0.10 {
            self.loss_kbps = self.kbps() * (1.0 - 0.5 * share);
        } else if share < 0.02 {
            self.loss_kbps = (self.loss_kbps * 1.08).min(RATE_KBPS.1);
        }
        self.loss_kbps = self.loss_kbps.max(RATE_KBPS.0);
    }
}

impl Sender for Gcc {
    fn budget(&mut self, now: Duration) -> Option<u32> {
        let bytes_per_ms = self.kbps() / 8.0;
        let frame_bytes = bytes_per_ms * 1000.0 / self.fps;
        self.credit += (now - self.credit_at).as_secs_f64() * 1000.0 * bytes_per_ms;
        self.credit = self.credit.min((1.5 * frame_bytes).max(f64::from(self.min_frame_bytes)));
        self.credit_at = now;
        if self.flight.bytes() as f64 > bytes_per_ms * (self.round_trip_ms + PUSHBACK_MS) {
            return None;
        }
        let wanted = (0.9 * frame_bytes).max(f64::from(self.min_frame_bytes));
        (self.credit >= wanted).then_some(self.credit as u32)
    }

    fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration) {
        self.flight.send(frame_number, bytes, now, Duration::ZERO);
        self.credit -= f64::from(bytes);
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        let Some(news) = self.flight.receive(receipt, now) else { return };
        self.round_trip_ms += 0.1 * (news.round_trip.as_secs_f64() * 1000.0 - self.round_trip_ms);
        self.received.push_back((receipt.last_received, news.bytes));
        while self.received.front().is_some_and(|(at, _)| receipt.last_received - *at > MEASURED) {
            self.received.pop_front();
        }
        self.losses.0 += f64::from(news.bytes);
        self.losses.1 += f64::from(news.lost);
        self.lose(now);
        // Packets of a frame leave together: they are a group.
        if receipt.is_whole {
            self.detector.group(news.sent.as_secs_f64() * 1000.0, receipt.last_received.as_secs_f64() * 1000.0);
            self.update(now);
        }
    }
}
