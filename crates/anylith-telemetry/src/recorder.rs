//! Counts calls from all threads, without a locked instruction and mostly without a clock.
//!
//! A recorder has a lane for each kind of call that is counted by itself: for an edge, each method and way. A lane has a
//! [`Sheet`] for each thread that has counted on it, which only that thread writes: it loads, adds and stores. Whoever
//! wants to know adds the sheets up.
//!
//! To look at a clock twice costs about as much as a call within the process. So of calls that are ready at once a lane has
//! only some timed, and each of these stands for those that follow it, until the next one: they are counted in its bucket.
//! How many that will be is drawn before it is timed, so slow calls are not met more often than others, and the histogram
//! has as many calls as there were, at every moment. Where calls take so long that a clock does not matter each one is timed.
//! So is the call after one that had to wait.

use std::{
    fmt,
    marker::PhantomData,
    sync::{
        OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anylith_core::Metrics;

use crate::{
    calls::{Calls, Ended},
    histogram::{BUCKETS, Histogram, bucket_of},
    outcome::Outcome,
    thread::{self, NUMBERS, SHARED},
};

/// Where calls take so long on average, in nanoseconds, every one is timed: it costs a hundredth of them.
const SLOW: u64 = 5_000;
/// Otherwise a call that is timed stands for at least so many, and for fewer than that and [`SPREAD`] together.
const FEWEST: u32 = 32;
/// A power of two. Drawn, so that no rhythm of calls meets that of the looks.
const SPREAD: u32 = 64;
/// So much counts the last call in the average.
const WEIGHT: u64 = 8;

/// Counts calls on numbered lanes.
pub struct Recorder {
    /// `None` where nothing is counted.
    pages: Option<Pages>,
}

struct Pages {
    lanes: usize,
    /// Whether clocks are looked at.
    timed: bool,
    /// Those of each thread, by its number.
    threads: Box<[OnceLock<Sheets>]>,
}

/// The sheets of one thread, by the number of the lane: each is made when the thread first counts there.
type Sheets = Box<[OnceLock<Box<Sheet>>]>;

/// What one thread has counted on one lane. Those that have no number of their own share one, with atomic additions.
struct Sheet {
    /// Whether clocks are looked at.
    timed: bool,
    /// Whether several threads count here.
    shared: bool,
    /// How many calls the one that was timed last still stands for.
    left: AtomicU32,
    /// The bucket that it is in.
    stands: AtomicU32,
    /// For how many the next one that is timed will stand.
    next: AtomicU32,
    /// What `next` is drawn from.
    seed: AtomicU32,
    /// What those that were timed took on average, in nanoseconds.
    average: AtomicU64,
    /// Calls that have to wait, and those of them that do no more.
    entered: AtomicU64,
    departed: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    retries: AtomicU64,
    hedges: AtomicU64,
    answered: Buckets,
    /// The other outcomes, in the order of [`Outcome::ALL`].
    failed: [OnceLock<Box<Buckets>>; Outcome::ALL.len() - 1],
}

struct Buckets([AtomicU64; BUCKETS]);

impl Recorder {
    /// A recorder with so many lanes, which counts what `metrics` says.
    pub fn new(lanes: usize, metrics: Metrics) -> Self {
        let pages = (metrics != Metrics::Off && lanes > 0).then(|| Pages {
            lanes,
            timed: metrics == Metrics::All,
            threads: (0..NUMBERS).map(|_| OnceLock::new()).collect(),
        });
        Self { pages }
    }

    /// Whether times are counted, so that a clock has to be looked at.
    #[inline]
    pub fn is_timed(&self) -> bool {
        self.pages.as_ref().is_some_and(|pages| pages.timed)
    }

    /// The lane with this number, for the thread that asks; `None` where nothing is counted.
    #[inline]
    pub fn lane(&self, lane: usize) -> Option<Lane<'_>> {
        let pages = self.pages.as_ref()?;
        let sheets = pages.threads.get(thread::number());
        let sheets = sheets.and_then(OnceLock::get);
        let sheet = sheets.and_then(|sheets| sheets.get(lane)?.get());
        match sheet {
            Some(sheet) => Some(Lane {
                sheet,
                of_this_thread: PhantomData,
            }),
            None => pages.first_time(lane),
        }
    }

    /// What all threads have counted on a lane up to now.
    ///
    /// Of calls that are counted at this moment some may be missing; nothing that was read once is ever read as less.
    /// Calls that come and go meanwhile may count as in flight.
    pub fn read(&self, lane: usize) -> Calls {
        let Some(pages) = &self.pages else {
            return Calls::default();
        };
        let mut calls = Calls::default();
        let (mut entered, mut departed) = (0_u64, 0_u64);
        let threads = pages.threads.iter().filter_map(OnceLock::get);
        let sheets: Vec<&Sheet> = threads
            .filter_map(|sheets| Some(&**sheets.get(lane)?.get()?))
            .collect();
        // First those that have left, so that a call which comes and goes meanwhile is one too many, and not one too few.
        for sheet in &sheets {
            departed += sheet.departed.load(Relaxed);
        }
        for sheet in &sheets {
            entered += sheet.entered.load(Relaxed);
            calls.sent_bytes += sheet.sent.load(Relaxed);
            calls.received_bytes += sheet.received.load(Relaxed);
            calls.retries += sheet.retries.load(Relaxed);
            calls.hedges += sheet.hedges.load(Relaxed);
            for outcome in Outcome::ALL {
                let Some(buckets) = sheet.written(outcome) else {
                    continue;
                };
                let took = buckets.read();
                if took.is_empty() {
                    continue;
                }
                let mut ended = Ended {
                    calls: took.count(),
                    took: Histogram::new(),
                };
                if pages.timed {
                    ended.took = took;
                }
                calls.ended.entry(outcome).or_default().add(&ended);
            }
        }
        calls.in_flight = entered.saturating_sub(departed);
        calls
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("lanes", &self.pages.as_ref().map_or(0, |pages| pages.lanes))
            .finish_non_exhaustive()
    }
}

impl Pages {
    /// A lane on which this thread counts for the first time.
    #[cold]
    fn first_time(&self, lane: usize) -> Option<Lane<'_>> {
        if lane >= self.lanes {
            return None;
        }
        let number = match thread::number() {
            number if number < NUMBERS => number,
            _ => thread::ask(),
        };
        let blank = || (0..self.lanes).map(|_| OnceLock::new()).collect();
        let sheets = self.threads.get(number)?.get_or_init(blank);
        let sheet = sheets.get(lane)?;
        let sheet = sheet.get_or_init(|| Box::new(Sheet::new(self.timed, number)));
        Some(Lane {
            sheet,
            of_this_thread: PhantomData,
        })
    }
}

impl Sheet {
    fn new(timed: bool, number: usize) -> Self {
        Self {
            timed,
            shared: number == SHARED,
            // The first call is timed, since each one needs another that stands for it.
            left: AtomicU32::new(if timed { 0 } else { u32::MAX }),
            stands: AtomicU32::new(0),
            next: AtomicU32::new(0),
            seed: AtomicU32::new(number as u32),
            average: AtomicU64::new(0),
            entered: AtomicU64::new(0),
            departed: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            hedges: AtomicU64::new(0),
            answered: Buckets::new(),
            failed: Default::default(),
        }
    }

    /// The buckets of calls that ended so, if there were any.
    fn written(&self, outcome: Outcome) -> Option<&Buckets> {
        match (outcome as usize).checked_sub(1) {
            None => Some(&self.answered),
            Some(at) => self.failed[at].get().map(|buckets| &**buckets),
        }
    }
}

impl Buckets {
    fn new() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }

    fn read(&self) -> Histogram {
        let mut histogram = Histogram::new();
        for (bucket, count) in (0..=u8::MAX).zip(&self.0) {
            histogram.put(bucket, count.load(Relaxed));
        }
        histogram
    }
}

/// One lane of a [`Recorder`], as one thread counts on it. It is to be asked for anew after each wait: another thread may
/// go on then.
#[derive(Clone, Copy)]
pub struct Lane<'r> {
    sheet: &'r Sheet,
    /// It cannot be sent to another.
    of_this_thread: PhantomData<*const ()>,
}

impl Lane<'_> {
    /// Whether the call that is about to be made is to be timed, in case that it is ready at once.
    #[inline]
    pub fn is_due(self) -> bool {
        self.sheet.left.load(Relaxed) == 0
    }

    /// Counts a call that was ready at once. `took` is how long it took, if that is known: [`Lane::is_due`] asks for it before
    /// the call, and a trace may have. A call of which it is not known is taken to be like the last of which it was.
    #[inline]
    pub fn at_once(self, outcome: Outcome, took: Option<Duration>) {
        match took {
            Some(took) => self.stand_for_others(took),
            // Another call may have been counted in between, so there may be none left.
            None => {
                let left = self.sheet.left.load(Relaxed);
                self.sheet.left.store(left.saturating_sub(1), Relaxed);
            }
        }
        let bucket = self.sheet.stands.load(Relaxed) as u8;
        self.count(outcome, bucket);
    }

    /// The call with this length is the one that those after it are taken to be like.
    #[cold]
    fn stand_for_others(self, took: Duration) {
        let sheet = self.sheet;
        if !sheet.timed {
            sheet.left.store(u32::MAX, Relaxed);
            return;
        }
        sheet.stands.store(bucket_of(took).into(), Relaxed);
        // What was drawn before this call was known.
        sheet.left.store(sheet.next.load(Relaxed), Relaxed);
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let average = sheet.average.load(Relaxed);
        let average = average - average / WEIGHT + took / WEIGHT;
        sheet.average.store(average, Relaxed);
        let next = if average < SLOW {
            // A linear congruential generator with the constants of Numerical Recipes; its high bits are the better ones.
            let seed = sheet.seed.load(Relaxed);
            let seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            sheet.seed.store(seed, Relaxed);
            FEWEST + seed / (u32::MAX / SPREAD + 1)
        } else {
            0
        };
        sheet.next.store(next, Relaxed);
    }

    /// A call has to wait, or has left the process: it is in flight until [`Lane::depart`]. The next one that begins on this
    /// thread is timed from its beginning.
    pub fn enter(self) {
        self.add(&self.sheet.entered, 1);
        if self.sheet.timed {
            self.sheet.left.store(0, Relaxed);
        }
    }

    /// A call is in flight no more.
    pub fn depart(self) {
        self.add(&self.sheet.departed, 1);
    }

    /// Counts a call that has ended after this time.
    pub fn ended(self, outcome: Outcome, took: Duration) {
        self.count(outcome, bucket_of(took));
    }

    /// So many bytes were encoded for a call, or an item of its stream.
    pub fn sent(self, bytes: usize) {
        self.add(&self.sheet.sent, bytes as u64);
    }

    /// So many bytes came back for a call, or an item of its stream.
    pub fn received(self, bytes: usize) {
        self.add(&self.sheet.received, bytes as u64);
    }

    /// A call was made once more, after an attempt had failed.
    pub fn retried(self) {
        self.add(&self.sheet.retries, 1);
    }

    /// A second attempt was made beside the first.
    pub fn hedged(self) {
        self.add(&self.sheet.hedges, 1);
    }

    #[inline]
    fn count(self, outcome: Outcome, bucket: u8) {
        let buckets = match outcome {
            Outcome::Answered => &self.sheet.answered,
            failed => {
                let place = &self.sheet.failed[failed as usize - 1];
                place.get_or_init(|| Box::new(Buckets::new()))
            }
        };
        self.add(&buckets.0[usize::from(bucket)], 1);
    }

    /// Adds to what only this thread writes.
    #[inline]
    fn add(self, cell: &AtomicU64, more: u64) {
        if self.sheet.shared {
            cell.fetch_add(more, Relaxed);
        } else {
            cell.store(cell.load(Relaxed) + more, Relaxed);
        }
    }
}

impl fmt::Debug for Lane<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lane")
    }
}
