//! Takes the spans of all replicas in, keeps them on the disk, and sends them on.
//!
//! All of this has a thread of its own: a disk that is slow keeps nothing else waiting. What comes faster than it can be written is
//! dropped, and counted.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anylith_core::Name;
use anylith_telemetry::{Span, SpanCounts, Survey};

use crate::{
    otlp::{Exporter, OtlpTarget, Parcel},
    trace_store::TraceStore,
};

/// What is kept on the disk where nobody says how much, in bytes.
pub const TRACES_BYTES: u64 = 32 * 1024 * 1024;

/// So many messages of replicas may wait to be written, each with some hundred spans at most.
const WAITING: usize = 64;

/// How often a thread that is to end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What is done with what the replicas tell of themselves.
#[derive(Debug, Clone)]
pub struct Collection {
    /// What traces may take on the disk, in bytes; 0 to keep none.
    pub traces_bytes: u64,
    /// Where all of it is sent, if it is.
    pub otlp: Option<OtlpTarget>,
}

impl Default for Collection {
    fn default() -> Self {
        Self {
            traces_bytes: TRACES_BYTES,
            otlp: None,
        }
    }
}

/// Takes the spans of all replicas in.
#[derive(Debug)]
pub(crate) struct Collector {
    /// The replicas that tell of spans.
    tracing: BTreeSet<Name>,
    queue: Option<SyncSender<Vec<Span>>>,
    counts: Arc<Counts>,
    keeper: Option<JoinHandle<()>>,
    exporter: Option<Exporter>,
}

/// What became of spans.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    kept: AtomicU64,
    /// By replicas, which had no room for them.
    dropped_by_replicas: AtomicU64,
    /// Because they came faster than they could be written, or could not be.
    dropped_by_store: AtomicU64,
    pub(crate) exported: AtomicU64,
    pub(crate) dropped_by_export: AtomicU64,
}

impl Collector {
    /// Keeps spans in `folder`.
    pub(crate) fn start(app: Name, folder: PathBuf, collection: Collection) -> Self {
        let counts = Arc::<Counts>::default();
        let (queue, spans) = mpsc::sync_channel(WAITING);
        let target = collection.otlp;
        let exporter = target.and_then(|target| Exporter::start(app, target, &counts));
        let store = TraceStore::new(folder, collection.traces_bytes);
        let outlet = exporter.as_ref().map(Exporter::outlet);
        let keeper = {
            let counts = Arc::clone(&counts);
            let keep = move || keep(&spans, store, outlet.as_ref(), &counts);
            let thread = thread::Builder::new().name("traces".to_owned());
            // Without a thread there are no traces, and everything else.
            thread.spawn(keep).ok()
        };
        Self {
            tracing: BTreeSet::new(),
            queue: Some(queue),
            counts,
            keeper,
            exporter,
        }
    }

    /// A replica tells of spans; `dropped` are those that it had no room for.
    pub(crate) fn told(&mut self, replica: &Name, mut spans: Vec<Span>, dropped: u64) {
        if !self.tracing.contains(replica) {
            self.tracing.insert(replica.clone());
        }
        self.counts.dropped_by_replicas.fetch_add(dropped, Relaxed);
        if spans.is_empty() {
            return;
        }
        for span in &mut spans {
            span.replica = Some(replica.clone());
        }
        let count = spans.len() as u64;
        let sent = self.queue.as_ref().map(|queue| queue.try_send(spans));
        match sent {
            Some(Ok(())) => {}
            None | Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) => {
                self.counts.dropped_by_store.fetch_add(count, Relaxed);
            }
        }
    }

    /// The replicas that tell of spans, but for this one.
    pub(crate) fn others(&self, replica: &Name) -> Vec<Name> {
        let others = self.tracing.iter().filter(|other| *other != replica);
        others.cloned().collect()
    }

    /// The connection of a replica is over.
    pub(crate) fn cut_off(&mut self, replica: &Name) {
        self.tracing.remove(replica);
    }

    /// Whether somebody is sent what was counted.
    pub(crate) fn exports(&self) -> bool {
        self.exporter.is_some()
    }

    /// Whether somebody wants to be sent what was counted now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let exporter = self.exporter.as_ref();
        exporter.is_some_and(|exporter| exporter.is_due(now))
    }

    /// Sends what was counted.
    pub(crate) fn export(&mut self, survey: Survey, now: Instant) {
        if let Some(exporter) = &mut self.exporter {
            exporter.export(survey, now);
        }
    }

    /// What became of all spans so far.
    pub(crate) fn counts(&self) -> SpanCounts {
        let Counts {
            kept,
            dropped_by_replicas,
            dropped_by_store,
            exported,
            dropped_by_export,
        } = &*self.counts;
        SpanCounts {
            kept: kept.load(Relaxed),
            dropped_by_replicas: dropped_by_replicas.load(Relaxed),
            dropped_by_store: dropped_by_store.load(Relaxed),
            exported: exported.load(Relaxed),
            dropped_by_export: dropped_by_export.load(Relaxed),
        }
    }

    /// Finishes what has come, for `patience` at most.
    pub(crate) async fn finish(&mut self, patience: Duration) {
        let end = Instant::now() + patience;
        self.queue = None;
        if let Some(keeper) = self.keeper.take() {
            over(&keeper, end).await;
        }
        if let Some(exporter) = self.exporter.take() {
            over(&exporter.end(), end).await;
        }
    }
}

/// Waits for the end of a thread, until `end`. One that takes longer is left to itself.
async fn over(thread: &JoinHandle<()>, end: Instant) {
    while !thread.is_finished() && Instant::now() < end {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Keeps all spans that come, until none will come any more.
fn keep(
    spans: &Receiver<Vec<Span>>,
    mut store: TraceStore,
    outlet: Option<&SyncSender<Parcel>>,
    counts: &Counts,
) {
    while let Ok(spans) = spans.recv() {
        let count = spans.len() as u64;
        let place = match store.keep(&spans) {
            Ok(()) => &counts.kept,
            Err(_) => &counts.dropped_by_store,
        };
        place.fetch_add(count, Relaxed);
        if let Some(outlet) = outlet
            && outlet.try_send(Parcel::Spans(spans)).is_err()
        {
            counts.dropped_by_export.fetch_add(count, Relaxed);
        }
    }
}
