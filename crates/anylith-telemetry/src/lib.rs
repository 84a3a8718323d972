//! What replicas count of their calls: recorded without a lock, summed, and rendered for Prometheus.
//!
//! - A [`Recorder`] counts the calls of one edge, or of one component. Each thread writes into cells of its own with plain
//!   loads and stores, and whoever reads sums them.
//! - A [`Histogram`] is what becomes of lengths of time: buckets of bounded error, which can be added up.
//! - A [`Report`] is all that one process has counted, in absolute numbers. [`Numbers`] are those that can be summed over
//!   processes, and a [`Book`] sums them, with those of processes that are gone.
//! - A [`Survey`] is the application as a whole, and [`prometheus::render`] writes it down.
//!
//! Nothing here asks a clock: who records brings the time along, and says so by asking [`Lane::is_due`] first.

mod book;
mod histogram;
mod numbers;
mod outcome;
pub mod prometheus;
mod recorder;
mod survey;
mod thread;

pub use anylith_core::Metrics;
pub use book::Book;
pub use histogram::Histogram;
pub use numbers::{
    Calls, ComponentNumbers, EdgeNumbers, Ended, Numbers, ProcessNumbers, Report, ServedNumbers,
};
pub use outcome::{Outcome, Way};
pub use recorder::{Lane, Recorder};
pub use survey::{ReplicaNumbers, Survey};
