//! A purchase: every component of the shop has a part in it.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::{ORDER, Visitor};

/// What is bought.
pub const PRODUCT: &str = "OLJCESPC7Z";

/// Puts something into a cart and buys it.
///
/// # Errors
///
/// What did not work.
pub async fn buy(visitor: &mut Visitor) -> anyhow::Result<()> {
    let index = visitor.get("/").await?;
    ensure!(index.status == 200, "{index:?}");
    let added = visitor
        .post("/cart", &[("product_id", PRODUCT), ("quantity", "2")])
        .await?;
    ensure!(added.status == 302, "{added:?}");
    let bought = visitor.post("/cart/checkout", &ORDER).await?;
    ensure!(
        bought.status == 200 && bought.body.contains("order is complete"),
        "{bought:?}"
    );
    Ok(())
}

/// Buys until it works, for so long.
///
/// # Errors
///
/// What did not work the last time.
pub async fn buy_in_the_end(visitor: &mut Visitor, patience: Duration) -> anyhow::Result<()> {
    let end = Instant::now() + patience;
    loop {
        match buy(visitor).await {
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            Ok(()) => return Ok(()),
        }
    }
}
