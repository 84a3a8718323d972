//! Notices when this process gets no time, so that a late answer is blamed on the machine, or on us who stopped it; and only then.
//!
//! There are two witnesses. A thread of its own sees what the scheduler does to this process: that it was stopped, and how
//! long the threads of its runtime were ready to run and did not. That is never the application's doing. A task among all
//! others sees how long it takes until it has its turn; of that only the time counts in which a thread really computed,
//! and not much of that at once. So whoever blocks a thread, or does not let go of it, is not excused by it.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    thread,
    time::{Duration, SystemTime},
};

use tokio::time::sleep;

use crate::{
    clock::{in_ns, now_ns},
    ledger::Event,
};

use super::ledger;

/// How long each sleeps.
const REST: Duration = Duration::from_millis(5);

/// By how much it has to be late before that is written down.
const LATE: Duration = Duration::from_millis(4);

/// By how much the clock on the wall has to be wrong before that is written down.
const JUMP_S: i64 = 3_600;

/// Begins to watch. The task ends with its runtime, and the thread with the process.
pub(super) fn watch() -> tokio::task::JoinHandle<()> {
    let threads = || Threads::of_this_process().unwrap_or_default();
    let (outside, inside) = (threads(), threads());
    thread::Builder::new()
        .name("canary".to_owned())
        .spawn(move || listen(&outside))
        .expect("a thread starts");
    tokio::spawn(sing(inside))
}

/// Writes down when this process was stopped, or a thread of its runtime waited for a processor.
fn listen(threads: &Threads) {
    let mut waited = threads.times();
    // A little is not worth a line, but among many others every turn comes a little late.
    let mut untold_ns = 0;
    loop {
        let since_ns = now_ns();
        thread::sleep(REST);
        let now = now_ns();
        let before = std::mem::replace(&mut waited, threads.times());
        let late_ns = (now - since_ns).saturating_sub(in_ns(REST));
        untold_ns += waited.most_since(&before, |times| times.waited_ns);
        if late_ns.max(untold_ns) > in_ns(LATE) {
            // What a thread has waited is known once it runs again: it may have begun before.
            let since_ns = since_ns.min(now.saturating_sub(untold_ns));
            ledger().note(Event::Starved { since_ns });
            untold_ns = 0;
        }
    }
}

/// Sleeps over and over, and writes down when it had its turn late, and how long this process has computed meanwhile.
async fn sing(threads: Threads) {
    let mut clock_s = clock_error_s();
    let usual_s = clock_s;
    loop {
        let (since_ns, before) = (now_ns(), threads.times());
        sleep(REST).await;
        if now_ns() > since_ns + in_ns(REST) + in_ns(LATE) {
            let computed_ns = threads
                .times()
                .most_since(&before, |times| times.computed_ns);
            ledger().note(Event::Busy {
                since_ns,
                computed_ns,
            });
        }
        let now_s = clock_error_s();
        if (now_s - clock_s).abs() > JUMP_S {
            ledger().note(Event::Jumped {
                by_s: now_s - usual_s,
            });
            clock_s = now_s;
        }
    }
}

/// How far the clock on the wall is from the one that nobody sets.
fn clock_error_s() -> i64 {
    let wall = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    wall.as_secs().cast_signed() - (now_ns() / 1_000_000_000).cast_signed()
}

/// What the system counts of the threads of the runtime. The files stay open: there may be no room for others later.
#[derive(Debug, Default)]
struct Threads {
    counts: Vec<File>,
}

/// What it has counted, by thread.
struct Times(Vec<Time>);

#[derive(Debug, Clone, Copy, Default)]
struct Time {
    computed_ns: u64,
    /// Ready to run, and without a processor.
    waited_ns: u64,
}

impl Threads {
    fn of_this_process() -> std::io::Result<Self> {
        let tasks = fs::read_dir("/proc/self/task")?.flatten();
        let of_runtime = tasks.filter(|task| {
            let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            name.trim_end() != "canary"
        });
        let counts = of_runtime.filter_map(|task| File::open(task.path().join("schedstat")).ok());
        Ok(Self {
            counts: counts.collect(),
        })
    }

    fn times(&self) -> Times {
        Times(
            self.counts
                .iter()
                .map(|file| Time::read(file).unwrap_or_default())
                .collect(),
        )
    }
}

impl Time {
    fn read(file: &File) -> Option<Self> {
        let mut bytes = [0; 64];
        let count = file.read_at(&mut bytes, 0).ok()?;
        let text = std::str::from_utf8(&bytes[..count]).ok()?;
        let mut numbers = text.split_whitespace().map_while(|it| it.parse().ok());
        Some(Self {
            computed_ns: numbers.next()?,
            waited_ns: numbers.next()?,
        })
    }
}

impl Times {
    /// By how much a count has grown, of the thread of which it has grown most.
    fn most_since(&self, before: &Self, count: impl Fn(&Time) -> u64) -> u64 {
        let pairs = self.0.iter().zip(&before.0);
        let grown = pairs.map(|(now, before)| count(now).saturating_sub(count(before)));
        grown.max().unwrap_or_default()
    }
}
