//! Holds packets back: the kernel queues them, and gets its verdict later. What `netem` would do where there is one.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use netns::Host;
use nfq::{Message, Queue, Verdict};

/// How much later every packet comes.
pub(crate) const DELAY: Duration = Duration::from_millis(50);

/// How much more than that, at most: so packets overtake each other.
const JITTER_US: u64 = 4_000;

/// How often it looks whether it is time.
const LOOK: Duration = Duration::from_micros(500);

/// The most packets that wait; what comes then passes at once.
const ROOM: u32 = 8_192;

/// Holds the packets of one queue of a host.
#[derive(Debug)]
pub(crate) struct Hold {
    over: Arc<AtomicBool>,
    held: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Hold {
    /// Begins to hold what comes to queue `number` of `host`.
    pub(crate) fn on(host: &Host, number: u16, seed: u64) -> anyhow::Result<Self> {
        let open = || -> io::Result<Queue> {
            let mut queue = Queue::open()?;
            queue.bind(number)?;
            queue.set_queue_max_len(number, ROOM)?;
            queue.set_fail_open(number, true)?;
            // The verdict needs none of a packet's bytes.
            queue.set_copy_range(number, 64)?;
            queue.set_nonblocking(true);
            Ok(queue)
        };
        let queue = host.enter(open)?.context("cannot hold packets back")?;
        let (over, held) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (until, count) = (Arc::clone(&over), Arc::clone(&held));
        let thread = thread::spawn(move || hold(queue, seed, &until, &count));
        Ok(Self { over, held, thread })
    }

    /// Lets everything go that is held. Returns how many packets were.
    pub(crate) fn end(self) -> u64 {
        self.over.store(true, Relaxed);
        // Should it have panicked, the kernel lets everything pass.
        let _ = self.thread.join();
        self.held.load(Relaxed)
    }
}

fn hold(mut queue: Queue, seed: u64, over: &AtomicBool, held: &AtomicU64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut waiting: BTreeMap<(Instant, u64), Message> = BTreeMap::new();
    while !over.load(Relaxed) {
        while let Ok(message) = queue.recv() {
            let number = held.fetch_add(1, Relaxed);
            let due = Instant::now() + DELAY + Duration::from_micros(dice.u64(..JITTER_US));
            waiting.insert((due, number), message);
        }
        let now = Instant::now();
        while let Some(first) = waiting.first_entry()
            && first.key().0 <= now
        {
            pass(&mut queue, first.remove());
        }
        thread::sleep(LOOK);
    }
    // What has come meanwhile goes, too: a queue that nobody has any more drops what is in it.
    let last = std::iter::from_fn(|| queue.recv().ok()).collect::<Vec<_>>();
    for message in waiting.into_values().chain(last) {
        pass(&mut queue, message);
    }
}

fn pass(queue: &mut Queue, mut message: Message) {
    message.set_verdict(Verdict::Accept);
    // A packet whose connection is gone needs none.
    let _ = queue.verdict(message);
}
