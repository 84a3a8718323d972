//! Sends what the replicas tell of themselves to a collector: OTLP over HTTP, in protobuf.
//!
//! A thread of its own sends one request after the other. What a collector does not take now is sent again after a pause, which
//! grows; what comes meanwhile waits, up to a bound, and what does not fit any more is dropped and counted.

mod delivery;
mod metrics;
mod spans;
mod target;

use std::{
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anylith_core::Name;
use anylith_telemetry::{Span, Survey, share};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceResponse,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
};
use prost::Message as _;

use self::delivery::{Attempt, Delivery, Step};
pub use self::target::{OtlpTarget, WrongTarget};
use crate::collector::Counts;

/// So many parcels may wait to be sent.
const WAITING: usize = 64;

/// No more spans than this, and one parcel, are sent in one request.
const MOST_AT_ONCE: usize = 2048;

/// More is not read of an answer.
const ANSWER_BYTES: u64 = 64 * 1024;

/// How often a sender that waits looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is to be sent.
#[derive(Debug)]
pub(crate) enum Parcel {
    Spans(Vec<Span>),
    Survey(Box<Survey>),
    /// Nothing more; what could not be sent by now is tried once.
    End,
}

/// Sends parcels to a collector.
#[derive(Debug)]
pub(crate) struct Exporter {
    outlet: SyncSender<Parcel>,
    thread: JoinHandle<()>,
    /// How often it is sent what was counted.
    every: Duration,
    /// When that was last done.
    last: Option<Instant>,
    is_ending: Arc<AtomicBool>,
}

impl Exporter {
    /// `None` if there can be no further thread.
    pub(crate) fn start(app: Name, target: OtlpTarget, counts: &Arc<Counts>) -> Option<Self> {
        let (outlet, parcels) = mpsc::sync_channel(WAITING);
        let every = target.interval;
        let counts = Arc::clone(counts);
        let is_ending = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_ending);
        let thread = thread::Builder::new().name("otlp".to_owned());
        let send = move || {
            let sender = Sender {
                agent: target.agent(),
                app,
                target,
                begun_ns: unix_ns(),
                counts,
                is_ending: ends,
            };
            sender.send_all(&parcels);
        };
        Some(Self {
            outlet,
            thread: thread.spawn(send).ok()?,
            every,
            last: None,
            is_ending,
        })
    }

    /// Where spans are put that it is to send.
    pub(crate) fn outlet(&self) -> SyncSender<Parcel> {
        self.outlet.clone()
    }

    /// Whether it is time to send what was counted.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now >= last + self.every)
    }

    /// Sends what was counted. Where there is no room for it, it is left out: the next one says all of it.
    pub(crate) fn export(&mut self, survey: Survey, now: Instant) {
        self.last = Some(now);
        let _ = self.outlet.try_send(Parcel::Survey(Box::new(survey)));
    }

    /// Sends what waits, each once, and nothing more.
    pub(crate) fn end(self) -> JoinHandle<()> {
        self.is_ending.store(true, Relaxed);
        // Where there is no room something waits, and is looked after.
        let _ = self.outlet.try_send(Parcel::End);
        self.thread
    }
}

/// What the exporter's thread has.
struct Sender {
    agent: ureq::Agent,
    app: Name,
    target: OtlpTarget,
    /// Since when what is told was counted.
    begun_ns: u64,
    counts: Arc<Counts>,
    is_ending: Arc<AtomicBool>,
}

impl Sender {
    fn send_all(&self, parcels: &Receiver<Parcel>) {
        let mut ahead = None;
        // After `End`, or without senders, what is in the channel is still sent.
        while let Some(parcel) = ahead.take().or_else(|| self.next(parcels)) {
            match parcel {
                Parcel::Spans(mut spans) => {
                    // What waits goes along, so that few requests are made however small the parcels are.
                    while spans.len() < MOST_AT_ONCE
                        && let Ok(next) = parcels.try_recv()
                    {
                        match next {
                            Parcel::Spans(more) => spans.extend(more),
                            other @ (Parcel::Survey(_) | Parcel::End) => {
                                ahead = Some(other);
                                break;
                            }
                        }
                    }
                    self.send_spans(&spans);
                }
                Parcel::Survey(survey) => {
                    let body = metrics::request(&survey, self.begun_ns, unix_ns());
                    // Where it is lost, the next one says all of it.
                    let _ = self.deliver(&self.target.metrics, &body);
                }
                Parcel::End => {}
            }
        }
    }

    /// The next parcel; `None` if there will be none.
    fn next(&self, parcels: &Receiver<Parcel>) -> Option<Parcel> {
        match self.is_ending.load(Relaxed) {
            true => parcels.try_recv().ok(),
            false => parcels.recv().ok(),
        }
    }

    fn send_spans(&self, spans: &[Span]) {
        let body = spans::request(&self.app, spans);
        let all = spans.len() as u64;
        let lost = match self.deliver(&self.target.traces, &body) {
            Some(answer) => {
                let answer = ExportTraceServiceResponse::decode(&*answer).unwrap_or_default();
                let refused = answer.partial_success.map_or(0, |part| part.rejected_spans);
                u64::try_from(refused).unwrap_or(0).min(all)
            }
            None => all,
        };
        self.counts.exported.fetch_add(all - lost, Relaxed);
        self.counts.dropped_by_export.fetch_add(lost, Relaxed);
    }

    /// Sends `body` until it is taken, and returns the answer; `None` if it was not.
    fn deliver(&self, url: &str, body: &[u8]) -> Option<Vec<u8>> {
        let mut delivery = Delivery::default();
        loop {
            let (attempt, answer) = self.attempt(url, body);
            match delivery.on(attempt, share()) {
                Step::Done => return Some(answer),
                Step::Drop => return None,
                Step::Again(pause) => {
                    let end = Instant::now() + pause;
                    while Instant::now() < end {
                        if self.is_ending.load(Relaxed) {
                            return None;
                        }
                        thread::sleep(LOOK_EVERY.min(pause));
                    }
                }
            }
        }
    }

    fn attempt(&self, url: &str, body: &[u8]) -> (Attempt, Vec<u8>) {
        let mut request = self.agent.post(url);
        for (name, value) in &self.target.headers {
            request = request.header(name, value);
        }
        let request = request.header("content-type", "application/x-protobuf");
        let Ok(mut answer) = request.send(body) else {
            return (Attempt::Unreachable, Vec::new());
        };
        let after = answer.headers().get("retry-after");
        let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        let reader = answer.body_mut().as_reader();
        // What cannot be read of it says nothing.
        let _ = reader.take(ANSWER_BYTES).read_to_end(&mut bytes);
        (
            Attempt::Answered(status, after.map(Duration::from_secs)),
            bytes,
        )
    }
}

/// Now, in nanoseconds of Unix time.
fn unix_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

/// Who says it.
fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "anylith".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

fn resource<const N: usize>(attributes: [(&str, &str); N]) -> Resource {
    let attributes = attributes
        .into_iter()
        .filter(|(_, value)| !value.is_empty());
    Resource {
        attributes: attributes.map(|(name, value)| text(name, value)).collect(),
        ..Resource::default()
    }
}

fn text(name: &str, value: &str) -> KeyValue {
    attribute(name, any_value::Value::StringValue(value.to_owned()))
}

fn number(name: &str, value: i64) -> KeyValue {
    attribute(name, any_value::Value::IntValue(value))
}

fn attribute(name: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
