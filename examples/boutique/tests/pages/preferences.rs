//! Sessions, currencies, and being forgotten.

use axum::http::{Method, StatusCode};
use boutique::frontend::FrontendConfig;

use crate::shop::{Browser, MUG, Page, Shop, ShopBuilder};

#[tokio::test]
async fn every_route_gives_a_session_to_who_has_none() {
    let shop = Shop::open().await;
    for path in [
        "/",
        "/cart",
        "/_healthz",
        "/static/shop.css",
        "/nowhere",
        "/product/NOPE",
    ] {
        let page = shop.browser().get(path).await;
        let [cookie] = page.set_cookies()[..] else {
            panic!("{path}: {:?}", page.set_cookies())
        };
        let (session, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(session.len(), "shop_session-id=".len() + 36, "{cookie}");
        let mut attributes: Vec<&str> = attributes.split("; ").collect();
        attributes.sort_unstable();
        assert_eq!(
            attributes,
            ["HttpOnly", "Max-Age=172800", "Path=/", "SameSite=Lax"]
        );
    }
}

#[tokio::test]
async fn a_session_is_kept_whatever_it_is() {
    let shop = Shop::open().await;
    let browser = shop.browser();
    browser.set_cookie("shop_session-id", "not/a-uuid <b>");
    browser.add(MUG, "1").await;
    let page = browser.get("/cart").await;
    assert_eq!(page.set_cookies(), [""; 0]);
    page.has("session-id: <code>not/a-uuid &#60;b&#62;</code>")
        .has("Cart (1)");
}

#[tokio::test]
async fn all_visitors_can_be_made_to_share_one_session() {
    let config = FrontendConfig {
        enable_single_shared_session: true,
        ..FrontendConfig::default()
    };
    let shop = ShopBuilder::default().config(config).open().await;
    shop.browser().add(MUG, "1").await;
    shop.browser().get("/cart").await.has("Cart (1)");
}

async fn choose(browser: &Browser, code: &str, referer: Option<&str>) -> Page {
    let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
    headers.extend(referer.map(|referer| ("referer", referer)));
    let body = format!("currency_code={code}");
    browser
        .request(Method::POST, "/setCurrency", &headers, &body)
        .await
}

#[tokio::test]
async fn choosing_a_currency_is_remembered() {
    let shop = Shop::open().await;
    let browser = shop.browser();
    browser.get("/").await;
    let page = choose(&browser, "TRY", None).await;
    assert_eq!((page.status, page.location()), (StatusCode::FOUND, "/"));
    let [cookie] = page.set_cookies()[..] else {
        panic!("{:?}", page.set_cookies())
    };
    assert!(cookie.starts_with("shop_currency=TRY; "), "{cookie}");
    for attribute in ["Path=/", "Max-Age=172800", "HttpOnly", "SameSite=Lax"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    browser.get("/").await.has("₺");
}

#[tokio::test]
async fn the_way_back_leads_to_pages_of_this_shop_only() {
    let browser = Shop::open().await.browser();
    for (referer, location) in [
        (
            "http://shop.example/product/6E92ZMYYFZ",
            "http://shop.example/product/6E92ZMYYFZ",
        ),
        (
            "https://shop.example/cart?x=1",
            "https://shop.example/cart?x=1",
        ),
        ("http://shop.example/cart/checkout", "/"),
        ("http://shop.example/setCurrency", "/"),
        ("http://evil.example/", "/"),
        ("http://shop.example.evil.example/", "/"),
        ("http://shop.example@evil.example/", "/"),
        ("http://shop.example:81/", "/"),
        ("//shop.example/cart", "/"),
        ("/cart", "/"),
        ("javascript:alert(1)", "/"),
        ("ftp://shop.example/", "/"),
    ] {
        assert_eq!(
            choose(&browser, "EUR", Some(referer)).await.location(),
            location,
            "{referer}"
        );
    }
}

#[tokio::test]
async fn only_codes_of_iso_4217_are_taken() {
    let browser = Shop::open().await.browser();
    for (code, rule) in [("", "required"), ("eur", "iso4217"), ("HRK", "iso4217")] {
        let page = choose(&browser, code, None).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(
            page.message(),
            format!("Field &#39;Currency&#39; is invalid: {rule}\n")
        );
        assert_eq!(browser.cookie("shop_currency"), None);
    }
    choose(&browser, "AUD", None).await;
    browser.get("/").await.has("$28.41");
}

#[tokio::test]
async fn a_currency_without_a_rate_is_an_error_with_a_way_out() {
    let browser = Shop::open().await.browser();
    choose(&browser, "XAU", None).await;
    let page = browser.get("/").await;
    assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
    page.has("unsupported currency code")
        .has("<option value=\"USD\">");
}

#[tokio::test]
async fn logging_out_forgets_every_cookie() {
    let browser = Shop::open().await.browser();
    browser.get("/").await;
    browser.set_cookie("shop_currency", "EUR");
    browser.set_cookie("somebody-elses", "1");
    let page = browser.get("/logout").await;
    assert_eq!((page.status, page.location()), (StatusCode::FOUND, "/"));
    let cookies = page.set_cookies();
    assert_eq!(cookies.len(), 3);
    for (cookie, name) in cookies
        .iter()
        .zip(["shop_currency", "shop_session-id", "somebody-elses"])
    {
        assert!(cookie.starts_with(&format!("{name}=; ")), "{cookie}");
        assert!(
            cookie.contains("Max-Age=0") && cookie.contains("Path=/"),
            "{cookie}"
        );
    }
}
