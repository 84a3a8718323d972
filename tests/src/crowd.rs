//! Shoppers and visitors at once, none of whose requests may fail.

use anyhow::{bail, ensure};

use crate::{Shop, Shoppers, Visitors};

/// The load generator, whose pages are read, and [`Visitors`] who keep their connections.
#[derive(Debug)]
pub struct Crowd {
    /// Those who keep their connections.
    pub visitors: Visitors,
    shoppers: Shoppers,
}

impl Crowd {
    /// Begins to visit `shop`. The load generator begins so many tasks in a second, whatever the shop does, drawn from
    /// `seed`.
    pub fn begin(shop: &Shop, tasks_per_second: f64, seed: u64) -> Self {
        Self {
            visitors: Visitors::begin(&shop.url),
            shoppers: Shoppers::begin(&shop.url, tasks_per_second, 40, seed, false),
        }
    }

    /// Sends everybody home.
    ///
    /// # Errors
    ///
    /// A request failed, a page was wrong, a connection was closed, or hardly anybody came.
    pub async fn end(self, shop: &Shop) -> anyhow::Result<()> {
        let report = self.shoppers.end().await?;
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
