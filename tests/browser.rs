//! Buying something, as people do: with a browser.

use anyhow::ensure;
use e2e::{Browser, Shop};

async fn buy_something(topology: &str) -> anyhow::Result<()> {
    let shop = Shop::with().topology(topology).start()?;
    let browser = Browser::start(topology).await?;

    browser.go_to(&shop.url).await?;
    ensure!(browser.text("main").await?.contains("Hot Products"));
    browser.screenshot("home").await?;

    browser.click("a[href='/product/L9ECAV7KIM']").await?;
    ensure!(browser.text("h1").await? == "Loafers");
    browser.choose("select[name=currency_code]", "EUR").await?;
    browser.wait_for_text("main .price", "€79.60").await?;
    browser.screenshot("product").await?;

    browser.choose("select[name=quantity]", "2").await?;
    browser.click("form.add button").await?;
    browser.wait_for_text("h1", "Cart (2)").await?;
    ensure!(browser.text(".cart-link").await?.contains('2'));
    // 2 × 79.60 and 7.95 for shipping, each cut off after it was added up.
    browser.wait_for_text(".sum dd", "€167.15").await?;
    browser.screenshot("cart").await?;

    browser.click("form.checkout button").await?;
    browser
        .wait_for_text("h1", "Your order is complete!")
        .await?;
    ensure!(browser.text("main").await?.contains("€167.15"));
    browser.screenshot("order").await?;

    browser.click(".cart-link").await?;
    browser
        .wait_for_text("h1", "Your shopping cart is empty!")
        .await?;

    browser
        .go_to(&format!("{}/product/NOSUCHTHING", shop.url))
        .await?;
    browser.wait_for_text("h1", "Uh, oh!").await?;
    browser.screenshot("error").await?;

    browser.resize(390, 844).await?;
    browser.go_to(&shop.url).await?;
    browser.screenshot("home-on-a-phone").await?;

    let paid = shop.logged("charged a card")?;
    ensure!(paid.len() == 1, "{} payments", paid.len());
    browser.close().await
}

#[tokio::test]
async fn a_browser_buys_something_from_the_monolith() -> anyhow::Result<()> {
    buy_something("monolith").await
}

#[tokio::test]
async fn a_browser_buys_something_from_microservices() -> anyhow::Result<()> {
    buy_something("micro").await
}
