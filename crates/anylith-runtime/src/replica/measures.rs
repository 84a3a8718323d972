//! What a replica has counted since it began, for whoever asks.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use anylith_core::Metrics;
use anylith_telemetry::{Numbers, ProcessNumbers, Report};

use super::{Registration, Replica, load::cpu_used};
use crate::{
    interface::{Method, checked},
    place::Place,
    serve::Recorders,
};

/// What is kept for as long as the replica lives, whichever components come and go.
pub(super) struct Measures {
    metrics: Metrics,
    /// In milliseconds of Unix time.
    since_ms: u64,
    served: Mutex<BTreeMap<&'static str, Served>>,
}

/// A component that is, or was, served here.
#[derive(Clone)]
struct Served {
    methods: &'static [Method],
    place: &'static Place,
    recorders: Arc<Recorders>,
}

impl Measures {
    pub(super) fn new(metrics: Metrics) -> Self {
        // A clock that stands before 1970 tells one process from the next as well as it can.
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            metrics,
            since_ms: since.unwrap_or_default().as_millis() as u64,
            served: Mutex::default(),
        }
    }

    /// What counts the calls that a component serves.
    pub(super) fn recorders(&self, of: &Registration) -> Arc<Recorders> {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        let served = served.entry(of.name).or_insert_with(|| Served {
            methods: of.methods,
            place: Place::of(of.name),
            recorders: Recorders::new(of.methods.len(), self.metrics),
        });
        Arc::clone(&served.recorders)
    }

    fn served(&self) -> Vec<Served> {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.values().cloned().collect()
    }
}

impl Replica {
    /// All that was counted up to now; nothing but the process where nothing is.
    pub(crate) fn report(&self) -> Report {
        let mut numbers = Numbers::default();
        if self.measures.metrics != Metrics::Off {
            self.panel.count_into(&mut numbers);
        }
        for served in self.measures.served() {
            let component = checked(served.place.component);
            for (lane, method) in served.methods.iter().enumerate() {
                let calls = served.recorders.calls.read(lane);
                if !calls.is_empty() {
                    *numbers.served(&component, &checked(method.name)) = calls;
                }
            }
            if self.measures.metrics == Metrics::All {
                let own = numbers.component(&component);
                own.queued = served.recorders.queued();
                own.busy_us = served.place.busy().as_micros() as u64;
            }
        }
        Report {
            since_ms: self.measures.since_ms,
            metrics: self.measures.metrics,
            numbers,
            process: ProcessNumbers {
                cpu_us: cpu_used().as_micros() as u64,
                memory_bytes: resident_bytes().unwrap_or(0),
            },
        }
    }
}

/// How much of this process is in memory, in bytes; `None` where the system does not say.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
