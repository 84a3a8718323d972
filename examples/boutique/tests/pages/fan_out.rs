//! How many calls each page costs, edge by edge.

use crate::shop::{CHECKOUT_FORM, MUG, SUNGLASSES, Shop, WATCH};

#[tokio::test]
async fn a_page_costs_the_calls_that_were_counted_on_the_original() {
    let shop = Shop::open().await;
    let browser = shop.browser();

    browser.get("/").await;
    let home = [
        "Frontend -> Ad 1",
        "Frontend -> Cart 1",
        "Frontend -> Catalog 1",
        "Frontend -> Currency 10",
    ];
    assert_eq!(shop.counts.take(), home);

    browser.get(&format!("/product/{MUG}")).await;
    let product = [
        "Frontend -> Ad 1",
        "Frontend -> Cart 1",
        "Frontend -> Catalog 6",
        "Frontend -> Currency 2",
        "Frontend -> Recommendation 1",
        "Recommendation -> Catalog 1",
    ];
    assert_eq!(shop.counts.take(), product);

    for quiet in [
        "/_healthz",
        "/robots.txt",
        "/static/shop.css",
        "/logout",
        "/nowhere",
    ] {
        browser.get(quiet).await;
        assert_eq!(shop.counts.take(), [""; 0], "{quiet}");
    }
    browser
        .post("/setCurrency", &[("currency_code", "EUR")])
        .await;
    assert_eq!(shop.counts.take(), [""; 0]);
}

#[tokio::test]
async fn a_cart_of_k_lines_costs_six_and_2k_calls_and_those_for_recommendations() {
    let shop = Shop::open().await;
    let browser = shop.browser();
    for (lines, id) in [SUNGLASSES, WATCH, MUG].iter().enumerate() {
        browser.get("/cart").await;
        let expected = [
            "Frontend -> Cart 1".to_owned(),
            format!("Frontend -> Catalog {}", lines + 5),
            format!("Frontend -> Currency {}", 2 + lines),
            "Frontend -> Recommendation 1".to_owned(),
            "Frontend -> Shipping 1".to_owned(),
            "Recommendation -> Catalog 1".to_owned(),
        ];
        assert_eq!(shop.counts.take(), expected);

        browser.add(id, "1").await;
        assert_eq!(
            shop.counts.take(),
            ["Frontend -> Cart 1", "Frontend -> Catalog 1"]
        );
    }
    browser.post("/cart/empty", &[]).await;
    assert_eq!(shop.counts.take(), ["Frontend -> Cart 1"]);
}

#[tokio::test]
async fn an_order_of_k_lines_costs_sixteen_and_2k_calls() {
    let shop = Shop::open().await;
    let browser = shop.browser();
    browser.add(MUG, "2").await;
    browser.add(WATCH, "1").await;
    shop.counts.take();
    browser.post("/cart/checkout", CHECKOUT_FORM).await;
    let expected = [
        "Checkout -> Cart 2",
        "Checkout -> Catalog 2",
        "Checkout -> Currency 3",
        "Checkout -> Email 1",
        "Checkout -> Payment 1",
        "Checkout -> Shipping 2",
        "Frontend -> Catalog 5",
        "Frontend -> Checkout 1",
        "Frontend -> Currency 1",
        "Frontend -> Recommendation 1",
        "Recommendation -> Catalog 1",
    ];
    assert_eq!(shop.counts.take(), expected);
}
