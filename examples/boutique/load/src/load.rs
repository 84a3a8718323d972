//! Many shoppers at once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{Report, Shopper, Task};

/// How shoppers follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// A number of users, each of whom thinks before the next task. A shop that gets slow gets less to do.
    Users {
        /// How many.
        users: usize,
        /// How many of them begin in a second.
        per_second: f64,
    },
    /// A rate of tasks, held whatever the shop does. A task whose turn has come while everybody is still
    /// busy waits, and that wait is part of its time.
    Rate {
        /// How many tasks a second, evenly spaced.
        tasks_per_second: f64,
        /// How many users take turns with them.
        users: usize,
    },
}

/// A load to put on a shop.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Where the shop is, such as `http://127.0.0.1:8080`.
    pub shop: String,
    /// How shoppers follow each other.
    pub pace: Pace,
    /// For how long tasks are begun, the warm-up not counted.
    pub length: Duration,
    /// What happens in this time, from the start, is not counted.
    pub warm_up: Duration,
    /// The same seed draws the same tasks.
    pub seed: u64,
    /// Whether pages are read, or only looked at for their status. Reading costs this process about as much
    /// as a page costs a fast shop, so a benchmark on one machine may want to leave it.
    pub reads_pages: bool,
    /// Whether a page whose connection breaks before it is there is asked for once more, as browsers do. Otherwise that
    /// is a failure. What changes something is never asked for twice.
    pub repeats: bool,
    /// Whether the report has every request, and not only their counts.
    pub history: bool,
}

impl Load {
    /// Puts the load on the shop until its time is over or `stop` is, and lets every task finish that was begun.
    ///
    /// `progress` gets the report once a second.
    ///
    /// # Errors
    ///
    /// What keeps the HTTP client from being made. Whatever the shop does wrong is in the report.
    ///
    /// # Cancellation
    ///
    /// Every shopper stops where it is.
    pub async fn run(
        &self,
        stop: impl Future<Output = ()>,
        mut progress: impl FnMut(&Report),
    ) -> anyhow::Result<Report> {
        let report = Arc::new(Mutex::new(Report::new(self.history)));
        let begin = Instant::now();
        let count_from = begin + self.warm_up;
        let (over, end) = End::new(count_from + self.length);
        let drive = async {
            match self.pace {
                Pace::Users { users, per_second } => {
                    self.users(users, per_second, &end, &report).await
                }
                Pace::Rate {
                    tasks_per_second,
                    users,
                } => self.rate(tasks_per_second, users, end, &report).await,
            }
        };
        let watch = async {
            sleep_until(count_from).await;
            *locked(&report) = Report::new(self.history);
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            loop {
                tick.tick().await;
                let mut report = locked(&report);
                report.length = count_from.elapsed();
                progress(&report);
            }
        };
        let stop = async {
            stop.await;
            over.send_replace(Instant::now());
            std::future::pending::<()>().await;
        };
        tokio::select! {
            done = drive => done?,
            () = stop => unreachable!("it waits until all is finished"),
            () = watch => unreachable!("the watch has no end"),
        }
        let mut report = std::mem::take(&mut *locked(&report));
        // The rate is that of the time in which tasks were begun.
        let end = *over.borrow();
        report.length = count_from
            .elapsed()
            .min(end.saturating_duration_since(count_from));
        Ok(report)
    }

    async fn users(
        &self,
        users: usize,
        per_second: f64,
        end: &End,
        report: &Arc<Mutex<Report>>,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        let mut tasks = JoinSet::new();
        for index in 0..users {
            let mut shopper = self.shopper(index, report)?;
            let at = begin + Duration::from_secs_f64(index as f64 / per_second);
            let mut end = end.clone();
            tasks.spawn(async move {
                if !end.comes_after(at).await {
                    return;
                }
                shopper.perform(Task::Index, None).await;
                while !end.is_past() {
                    let task = shopper.draw();
                    shopper.perform(task, None).await;
                    let next = Instant::now() + shopper.think();
                    end.comes_after(next).await;
                }
            });
        }
        finish(&mut tasks).await;
        Ok(())
    }

    async fn rate(
        &self,
        tasks_per_second: f64,
        users: usize,
        mut end: End,
        report: &Arc<Mutex<Report>>,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        let mut idle: VecDeque<Shopper> = (0..users)
            .map(|index| self.shopper(index, report))
            .collect::<anyhow::Result<_>>()?;
        let mut busy = JoinSet::new();
        for turn in 0_u64.. {
            let due = begin + Duration::from_secs_f64(turn as f64 / tasks_per_second);
            if !end.comes_after(due).await {
                break;
            }
            while let Some(back) = busy.try_join_next() {
                idle.push_back(back.expect("a shopper does not panic"));
            }
            let mut shopper = match idle.pop_front() {
                Some(shopper) => shopper,
                None => {
                    let back = busy.join_next().await.expect("who is not idle is busy");
                    back.expect("a shopper does not panic")
                }
            };
            busy.spawn(async move {
                let task = shopper.draw();
                shopper.perform(task, Some(due)).await;
                shopper
            });
        }
        finish(&mut busy).await;
        Ok(())
    }

    fn shopper(&self, index: usize, report: &Arc<Mutex<Report>>) -> anyhow::Result<Shopper> {
        // Far apart, so that the users of one seed are not those of the next.
        let seed = self
            .seed
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(index as u64);
        let mut shopper = Shopper::new(&self.shop, seed, self.reads_pages, Arc::clone(report))?;
        shopper.repeats = self.repeats;
        Ok(shopper)
    }
}

/// When the last task begins: at a time that is known, or sooner if somebody stops the load.
#[derive(Debug, Clone)]
struct End(watch::Receiver<Instant>);

impl End {
    /// At `at`, or at what is sent.
    fn new(at: Instant) -> (watch::Sender<Instant>, Self) {
        let (sender, receiver) = watch::channel(at);
        (sender, Self(receiver))
    }

    fn is_past(&self) -> bool {
        *self.0.borrow() <= Instant::now()
    }

    /// Waits until `at`, and returns whether tasks may still begin then. Returns at the end if that is sooner.
    async fn comes_after(&mut self, at: Instant) -> bool {
        loop {
            let end = *self.0.borrow_and_update();
            let until = at.min(end);
            // An error says that the end cannot change any more.
            match timeout_at(until, self.0.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => sleep_until(until).await,
                Err(_) => return at < end,
            }
        }
    }
}

/// Lets every task come to its end. A panic in one of them is ours, so it goes on here.
async fn finish<T: 'static>(tasks: &mut JoinSet<T>) {
    while let Some(done) = tasks.join_next().await {
        if let Err(error) = done
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

fn locked(report: &Mutex<Report>) -> MutexGuard<'_, Report> {
    report.lock().expect("nobody panics while counting")
}
