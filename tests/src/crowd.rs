//! Shoppers and visitors at once, none of whose requests may fail.

use std::time::Duration;

use anyhow::{bail, ensure};
use boutique_load::{Load, Pace, Report};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{Shop, Visitors};

/// The load generator, whose pages are read, and [`Visitors`] who keep their connections.
#[derive(Debug)]
pub struct Crowd {
    /// Those who keep their connections.
    pub visitors: Visitors,
    load: JoinHandle<anyhow::Result<Report>>,
    over: oneshot::Sender<()>,
}

impl Crowd {
    /// Begins to visit `shop`. The load generator begins so many tasks in a second, whatever the shop does, drawn from
    /// `seed`.
    pub fn begin(shop: &Shop, tasks_per_second: f64, seed: u64) -> Self {
        let load = Load {
            shop: shop.url.clone(),
            pace: Pace::Rate {
                tasks_per_second,
                users: 40,
            },
            length: Duration::from_secs(600),
            warm_up: Duration::ZERO,
            seed,
            reads_pages: true,
        };
        let (over, stop) = oneshot::channel();
        let load = tokio::spawn(async move {
            // Whoever drops the crowd ends it, too.
            load.run(async { drop(stop.await) }, |_| {}).await
        });
        let visitors = Visitors::begin(&shop.url);
        Self {
            visitors,
            load,
            over,
        }
    }

    /// Sends everybody home.
    ///
    /// # Errors
    ///
    /// A request failed, a page was wrong, a connection was closed, or hardly anybody came.
    pub async fn end(self, shop: &Shop) -> anyhow::Result<()> {
        drop(self.over);
        let report = self.load.await??;
        let seen = self.visitors.end().await?;
        println!("{seen} requests on kept connections, and\n{report}");
        if report.failed() > 0 {
            let logs = shop.command(&["logs", "--level", "warn", "-n", "60"])?;
            let logs = String::from_utf8_lossy(&logs.stdout).into_owned();
            bail!("{report}\n{logs}");
        }
        ensure!(report.requests() > 100, "{report}");
        Ok(())
    }
}
