//! What a visitor sees when a component behind a page fails.

use std::{future, time::Duration};

use axum::http::StatusCode;
use boutique::{
    ad::{Ad, AdError, Advertisement},
    cart::CartItem,
    catalog::{Catalog, CatalogError, Product},
    currency::{Currency, CurrencyError},
    money::Money,
    order::Address,
    recommendation::{Recommendation, RecommendationError},
    shipping::{Shipping, ShippingError},
};

use crate::shop::{CHECKOUT_FORM, MUG, Shop, ShopBuilder};

/// A component that has nothing good to say.
struct Broken;

impl Catalog for Broken {
    async fn list(&self) -> Result<Vec<Product>, CatalogError> {
        Err(CatalogError::Unreadable("the <shelf> fell over".into()))
    }
    async fn get(&self, _id: &str) -> Result<Product, CatalogError> {
        Err(CatalogError::Unreadable("the <shelf> fell over".into()))
    }
    async fn search(&self, _query: &str) -> Result<Vec<Product>, CatalogError> {
        Catalog::list(self).await
    }
}

impl Currency for Broken {
    async fn supported(&self) -> Result<Vec<String>, CurrencyError> {
        Err(CurrencyError::Amount)
    }
    async fn convert(&self, _from: &Money, _to: &str) -> Result<Money, CurrencyError> {
        Err(CurrencyError::Amount)
    }
}

impl Recommendation for Broken {
    async fn list(&self, _: &str, _: &[String]) -> Result<Vec<String>, RecommendationError> {
        Err(RecommendationError::Catalog(CatalogError::NotFound(
            "all".into(),
        )))
    }
}

/// Recommends what the shop does not have.
struct Forgetful;

impl Recommendation for Forgetful {
    async fn list(&self, _: &str, _: &[String]) -> Result<Vec<String>, RecommendationError> {
        Ok(vec![MUG.to_owned(), "GONE".to_owned()])
    }
}

/// Has no advertisements.
struct Silent;

impl Ad for Silent {
    async fn get(&self, _context_keys: &[String]) -> Result<Vec<Advertisement>, AdError> {
        Ok(Vec::new())
    }
}

/// Never answers.
struct Stuck;

impl Ad for Stuck {
    async fn get(&self, _context_keys: &[String]) -> Result<Vec<Advertisement>, AdError> {
        future::pending().await
    }
}

/// Takes orders and loses parcels.
struct LosesParcels;

impl Shipping for LosesParcels {
    async fn quote(&self, _: Option<Address>, _: &[CartItem]) -> Result<Money, ShippingError> {
        Ok(Money::new("USD", 8, 990_000_000))
    }
    async fn ship(&self, _: &Address, _: &[CartItem]) -> Result<String, ShippingError> {
        panic!("the lorry is in the river")
    }
}

#[tokio::test]
async fn a_page_whose_components_fail_is_an_error_page_with_the_reason_escaped() {
    let browser = ShopBuilder::default()
        .catalog(Broken)
        .open()
        .await
        .browser();
    for path in ["/", "/product/6E92ZMYYFZ"] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
        page.has("Uh, oh!")
            .has("HTTP Status: 500 Internal Server Error");
        page.has("the &#60;shelf&#62; fell over").lacks("<shelf>");
    }
    let browser = ShopBuilder::default()
        .currency(Broken)
        .open()
        .await
        .browser();
    for path in ["/", "/product/6E92ZMYYFZ", "/cart"] {
        assert_eq!(
            browser.get(path).await.status,
            StatusCode::INTERNAL_SERVER_ERROR,
            "{path}"
        );
    }
}

#[tokio::test]
async fn recommendations_that_fail_are_left_out() {
    for browser in [
        ShopBuilder::default()
            .recommendation(Broken)
            .open()
            .await
            .browser(),
        ShopBuilder::default()
            .recommendation(Forgetful)
            .open()
            .await
            .browser(),
    ] {
        for path in ["/product/6E92ZMYYFZ", "/cart"] {
            let page = browser.get(path).await;
            assert_eq!(page.status, StatusCode::OK);
            page.lacks("You May Also Like");
        }
        browser
            .post("/cart/checkout", CHECKOUT_FORM)
            .await
            .has("Your order is complete!");
    }
}

#[tokio::test]
async fn without_an_advertisement_its_section_is_left_out() {
    let page = ShopBuilder::default()
        .ad(Silent)
        .open()
        .await
        .browser()
        .get("/")
        .await;
    assert_eq!(page.status, StatusCode::OK);
    page.lacks("class=\"ad\"");
}

#[tokio::test]
async fn an_advertisement_is_not_waited_for_longer_than_a_moment() {
    let browser = ShopBuilder::default().ad(Stuck).open().await.browser();
    let page = tokio::time::timeout(Duration::from_secs(5), browser.get("/product/6E92ZMYYFZ"));
    let page = page
        .await
        .expect("the page does not wait for its advertisement");
    assert_eq!(page.status, StatusCode::OK);
    page.lacks("class=\"ad\"").has("Mug");
}

#[tokio::test]
async fn an_order_that_cannot_be_sent_is_an_error_and_the_cart_stays() {
    let browser = ShopBuilder::default()
        .shipping(LosesParcels)
        .open()
        .await
        .browser();
    browser.add(MUG, "1").await;
    let page = browser.post("/cart/checkout", CHECKOUT_FORM).await;
    assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
    page.has("failed to complete the order: shipping error: ")
        .lacks("river")
        .lacks("src/");
    browser.get("/cart").await.has("Cart (1)");
}

#[tokio::test]
async fn a_form_that_is_too_large_is_refused() {
    let browser = Shop::open().await.browser();
    let huge = "x".repeat(3 * 1024 * 1024);
    let page = browser.post("/cart", &[("product_id", &huge)]).await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
}
