//! The shop while somebody works on it, with `anylith dev`: what is edited is served, and carts keep what is in them.

use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::{Visitor, Workshop, cart_of};
use tokio::time::sleep;

/// The page that is edited. It is no Rust, and compiled all the same.
const PAGE: &str = "templates/home.html";

/// Visits the first page until it has `words`: each page meanwhile is whole.
async fn until_served(workshop: &Workshop, words: &str) -> anyhow::Result<()> {
    let mut visitor = Visitor::new(&workshop.url)?;
    let end = Instant::now() + Duration::from_secs(600);
    loop {
        let page = visitor.get("/").await?;
        let is_whole = page.status == 200 && page.body.contains(" Products</h2>");
        ensure!(is_whole, "{}: {}", page.status, page.body);
        if page.body.contains(words) {
            return Ok(());
        }
        ensure!(Instant::now() < end, "never: {words}\n{}", workshop.said());
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_a_page_is_served_and_a_mistake_disturbs_nobody_and_carts_stay_full()
-> anyhow::Result<()> {
    let workshop = Workshop::open("monolith")?;
    let mut shopper = Visitor::new(&workshop.url)?;
    for (product, quantity) in [("OLJCESPC7Z", "2"), ("6E92ZMYYFZ", "5")] {
        let form = [("product_id", product), ("quantity", quantity)];
        let answer = shopper.post("/cart", &form).await?;
        ensure!(answer.status == 302, "{}: {}", answer.status, answer.body);
    }
    let cart = cart_of(&mut shopper).await?;
    println!("in the cart: {cart:?}");
    ensure!(cart.len() == 4, "{cart:?}");

    workshop.edit(PAGE, "Hot Products", "Warm Products")?;
    until_served(&workshop, "Warm Products").await?;
    workshop.until_said("the new build serves, ", 1).await?;
    ensure!(cart_of(&mut shopper).await? == cart);

    // A mistake is told with its place, and what was there is served on.
    workshop.edit(PAGE, "{%- for offer in offers %}", "{%- for offer in %}")?;
    workshop
        .until_said("the build before it serves on", 1)
        .await?;
    let said = workshop.said();
    ensure!(said.contains("home.html:"), "{said}");
    until_served(&workshop, "Warm Products").await?;
    ensure!(cart_of(&mut shopper).await? == cart);

    workshop.edit(PAGE, "{%- for offer in %}", "{%- for offer in offers %}")?;
    workshop.edit(PAGE, "Warm Products", "Fresh Products")?;
    until_served(&workshop, "Fresh Products").await?;
    workshop.until_said("the new build serves, ", 2).await?;
    ensure!(cart_of(&mut shopper).await? == cart);
    println!("{:.1?} of cargo", workshop.builds()?);
    ensure!(workshop.close()?, "the command failed");
    Ok(())
}
