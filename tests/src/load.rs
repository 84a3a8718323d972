//! Visits without a pause, while something is done to the shop.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use netns::Host;

use crate::{PRODUCT, Visitor, buy};

/// What visits without a pause. It is to go on as long as it [is wanted](Load::is_wanted), and to count.
#[derive(Debug, Default)]
pub struct Load {
    over: AtomicBool,
    visits: AtomicUsize,
}

impl Load {
    /// Whether there is more to do.
    pub fn is_wanted(&self) -> bool {
        !self.over.load(SeqCst)
    }

    /// Counts a visit.
    pub fn visited(&self) {
        self.visits.fetch_add(1, SeqCst);
    }

    /// Has `visits` go on in another thread while `work` does, which waits for so many more of them by what it is given, for
    /// `patience` at most. Returns how many visits there were.
    ///
    /// # Errors
    ///
    /// Those of `visits`, which no visit may fail, or else those of `work`.
    ///
    /// # Panics
    ///
    /// If `visits` does.
    pub fn during(
        patience: Duration,
        visits: impl FnOnce(&Self) -> anyhow::Result<()> + Send,
        work: impl FnOnce(&dyn Fn(usize)) -> anyhow::Result<()>,
    ) -> anyhow::Result<usize> {
        let load = Self::default();
        let worked = thread::scope(|scope| {
            let visits = scope.spawn(|| visits(&load));
            let wait = |count: usize| {
                let wanted = load.visits.load(SeqCst) + count;
                let end = Instant::now() + patience;
                while load.visits.load(SeqCst) < wanted
                    && !visits.is_finished()
                    && Instant::now() < end
                {
                    thread::sleep(Duration::from_millis(5));
                }
            };
            let worked = work(&wait);
            load.over.store(true, SeqCst);
            visits.join().expect("a visit does not panic").and(worked)
        });
        worked?;
        Ok(load.visits.into_inner())
    }

    /// The same, with visits by somebody on `host`, who buys something in the shop at `url` and looks at a product, over and over.
    ///
    /// # Errors
    ///
    /// As [`Load::during`]: no request may fail.
    pub fn of_purchases(
        (host, url): (&Host, &str),
        patience: Duration,
        work: impl FnOnce(&dyn Fn(usize)) -> anyhow::Result<()>,
    ) -> anyhow::Result<usize> {
        let visits = |load: &Self| {
            Visitor::at(host, url, async |visitor| {
                while load.is_wanted() {
                    buy(visitor).await?;
                    let page = visitor.get(&format!("/product/{PRODUCT}")).await?;
                    ensure!(page.status == 200, "{page:?}");
                    load.visited();
                }
                Ok(())
            })
        };
        Self::during(patience, visits, work)
    }
}
