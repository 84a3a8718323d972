//! What replicas tell of their calls: counted without a lock, summed, and rendered for Prometheus; and traced.
//!
//! - A [`Recorder`] counts the calls of one edge, or of one component. Each thread writes into cells of its own with plain
//!   loads and stores, and whoever reads sums them.
//! - A [`Histogram`] is what becomes of lengths of time: buckets of bounded error, which can be added up.
//! - A [`Report`] is all that one process has counted, in absolute numbers. [`Numbers`] are those that can be summed over
//!   processes, and a [`Book`] sums them, with those of processes that are gone.
//! - A [`Survey`] is the application as a whole, and [`prometheus::render`] writes it down.
//! - A [`History`] is what came of a survey each second for an hour, in bounded memory: what goes on now, and what went on
//!   before, with [`Mark`]s for what has happened meanwhile.
//!
//! And what becomes of their traces: a [`Tracer`] notes calls that have ended, each a [`Span`] where it is kept, and a
//! [`Trace`] is put together of those of all processes.
//!
//! Nothing here asks a clock: who records brings the time along, where [`Lane::is_due`] says that it is needed.

mod book;
mod calls;
mod draw;
mod family;
mod histogram;
mod history;
mod mark;
mod moment;
mod numbers;
mod outcome;
pub mod prometheus;
mod recorder;
mod report;
mod span;
mod survey;
mod thread;
mod trace;
mod trace_filter;
mod trace_id;
mod tracer;
mod way;

pub use anylith_core::Metrics;
pub use book::Book;
pub use calls::{Calls, Ended};
pub use draw::{draw, name_of, share};
pub use family::{Family, Kind, Labels, Sample, Value, borders, families};
pub use histogram::Histogram;
pub use history::{History, Past, PastNeed, Period, Subject, WINDOW};
pub use mark::{Mark, MarkKind};
pub use moment::{
    ComponentMoment, EdgeDetail, EdgeMoment, Flow, Makeup, MethodDetail, Moment, Need,
    ReplicaMoment,
};
pub use numbers::{ComponentNumbers, EdgeNumbers, Numbers, ServedNumbers};
pub use outcome::Outcome;
pub use recorder::{Lane, Recorder};
pub use report::{ProcessNumbers, Report};
pub use span::{Kept, MOST_TEXT_BYTES, Span, SpanKind, bounded};
pub use survey::{ReplicaNumbers, SpanCounts, Survey};
pub use trace::{MOST_SPANS, Placed, Trace, TraceSketch, TraceSummary};
pub use trace_filter::{EdgePattern, TraceFilter};
pub use trace_id::{InvalidId, SpanId, TraceId};
pub use tracer::{Batch, Detail, Note, Root, Tracer, What};
pub use way::Way;
