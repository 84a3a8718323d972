//! The load generator, while something is done to the shop.

use std::time::Duration;

use boutique_load::{Load, Pace, Report};
use tokio::{sync::oneshot, task::JoinHandle};

/// The load generator, whose pages are read. It begins so many tasks in a second, whatever the shop does.
#[derive(Debug)]
pub struct Shoppers {
    load: JoinHandle<anyhow::Result<Report>>,
    over: oneshot::Sender<()>,
}

impl Shoppers {
    /// Begins to visit the shop at `url`, with so many browsers, and does what is drawn from `seed`. With `repeats`, a
    /// page whose connection breaks is asked for once more.
    pub fn begin(url: &str, tasks_per_second: f64, users: usize, seed: u64, repeats: bool) -> Self {
        let load = Load {
            shop: url.to_owned(),
            pace: Pace::Rate {
                tasks_per_second,
                users,
            },
            length: Duration::from_secs(24 * 3600),
            warm_up: Duration::ZERO,
            seed,
            reads_pages: true,
            repeats,
            history: true,
        };
        let (over, stop) = oneshot::channel();
        let load = tokio::spawn(async move {
            // Whoever drops the other half ends it, too.
            load.run(async { drop(stop.await) }, |_| {}).await
        });
        Self { load, over }
    }

    /// Lets everybody finish, and returns what has come of it.
    ///
    /// # Errors
    ///
    /// What kept the load from being put on. Whatever the shop did wrong is in the report.
    pub async fn end(self) -> anyhow::Result<Report> {
        drop(self.over);
        self.load.await?
    }
}
