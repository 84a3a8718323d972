//! Pages that a visitor only looks at.

use axum::http::{Method, StatusCode};
use boutique::frontend::{FrontendConfig, Platform};

use crate::shop::{MUG, Shop, ShopBuilder, WATCH};

#[tokio::test]
async fn the_home_page_shows_nine_products_with_their_prices() {
    let page = Shop::open().await.browser().get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    page.has("<title>Online Boutique</title>")
        .has("Hot Products");
    assert_eq!(page.text.matches("class=\"card\"").count(), 9);
    let names = [
        "Sunglasses",
        "Tank Top",
        "Watch",
        "Loafers",
        "Hairdryer",
        "Candle Holder",
        "Mug",
    ];
    for text in names.iter().chain(&[
        "Salt &#38; Pepper Shakers",
        "Bamboo Glass Jar",
        "$109.99",
        "$5.49",
    ]) {
        page.has(text);
    }
    page.has("<span class=\"ad-mark\">Ad</span>")
        .lacks("class=\"badge\"");
}

#[tokio::test]
async fn prices_are_shown_in_the_currency_of_the_cookie() {
    let browser = Shop::open().await.browser();
    for (code, price) in [
        ("EUR", "€17.68"),
        ("JPY", "¥2235.06"),
        ("GBP", "£15.20"),
        ("TRY", "₺108.29"),
        ("CAD", "$26.74"),
    ] {
        browser.set_cookie("shop_currency", code);
        browser
            .get("/")
            .await
            .has(price)
            .has(&format!("<option value=\"{code}\" selected>"));
    }
}

#[tokio::test]
async fn six_currencies_can_be_chosen() {
    let page = Shop::open().await.browser().get("/").await;
    let options = page
        .text
        .split("<select name=\"currency_code\"")
        .nth(1)
        .unwrap();
    let options = options.split("</select>").next().unwrap();
    let codes: Vec<&str> = options
        .split("value=\"")
        .skip(1)
        .map(|option| option.split('"').next().unwrap())
        .collect();
    assert_eq!(codes, ["EUR", "USD", "JPY", "GBP", "TRY", "CAD"]);
}

#[tokio::test]
async fn a_product_has_a_page_with_a_form_and_others_like_it() {
    let page = Shop::open()
        .await
        .browser()
        .get(&format!("/product/{MUG}"))
        .await;
    assert_eq!(page.status, StatusCode::OK);
    page.has("<h1>Mug</h1>")
        .has("$8.99")
        .has("mustard glaze")
        .has("/static/img/products/mug.svg");
    page.has("name=\"product_id\" value=\"6E92ZMYYFZ\"")
        .has("Add To Cart");
    for quantity in [1, 2, 3, 4, 5, 10] {
        page.has(&format!("<option value=\"{quantity}\">"));
    }
    page.lacks("<option value=\"6\">")
        .has("You May Also Like")
        .has(">Ad<");
    let recommended = page.text.split("You May Also Like").nth(1).unwrap();
    let recommended = recommended.split("</section>").next().unwrap();
    assert_eq!(recommended.matches("class=\"card\"").count(), 4);
    assert!(
        !recommended.contains(MUG),
        "a product is not recommended on its own page"
    );
}

#[tokio::test]
async fn an_advertisement_fits_the_product() {
    let page = Shop::open()
        .await
        .browser()
        .get(&format!("/product/{WATCH}"))
        .await;
    let ad = page.text.split("class=\"ad-mark\"").nth(1).unwrap();
    assert!(ad.contains("href=\"/product/1YMWWN1N4O\""), "{ad}");
}

#[tokio::test]
async fn an_unknown_product_is_a_404_page() {
    let page = Shop::open().await.browser().get("/product/NOPE").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    page.has("Uh, oh!")
        .has("HTTP Status: 404 Not Found")
        .has("no product with ID NOPE");
}

#[tokio::test]
async fn a_product_can_be_had_as_json() {
    let browser = Shop::open().await.browser();
    let page = browser.get(&format!("/product-meta/{MUG}")).await;
    assert_eq!(page.header("content-type"), "application/json");
    page.has("\"id\":\"6E92ZMYYFZ\"")
        .has("\"price_usd\":{\"currency_code\":\"USD\",\"units\":8");
    let page = browser.get("/product-meta/NOPE").await;
    assert_eq!((page.status, &*page.text), (StatusCode::OK, ""));
}

#[tokio::test]
async fn robots_and_probes_get_plain_text() {
    let browser = Shop::open().await.browser();
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let page = browser.request(method.clone(), "/_healthz", &[], "").await;
        assert_eq!((page.status, &*page.text), (StatusCode::OK, "ok"));
        let page = browser.request(method, "/robots.txt", &[], "").await;
        assert_eq!(
            (page.status, &*page.text),
            (StatusCode::OK, "User-agent: *\nDisallow: /")
        );
    }
}

#[tokio::test]
async fn files_are_served_and_folders_are_not_listed() {
    let browser = Shop::open().await.browser();
    for (path, kind) in [
        ("/static/shop.css", "text/css; charset=utf-8"),
        ("/static/shop.js", "text/javascript; charset=utf-8"),
        ("/static/img/products/mug.svg", "image/svg+xml"),
    ] {
        let page = browser.get(path).await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (StatusCode::OK, kind)
        );
    }
    for path in [
        "/static",
        "/static/",
        "/static/img/",
        "/static/../Cargo.toml",
        "/static/nope.css",
    ] {
        assert_eq!(
            browser.get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn every_picture_of_a_product_is_there() {
    let browser = Shop::open().await.browser();
    let home = browser.get("/").await;
    let pictures: Vec<&str> = home
        .text
        .split("<img src=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(pictures.len(), 9);
    for picture in pictures {
        assert_eq!(
            browser.get(picture).await.status,
            StatusCode::OK,
            "{picture}"
        );
    }
}

#[tokio::test]
async fn nothing_on_a_page_comes_from_elsewhere() {
    let browser = Shop::open().await.browser();
    browser.add(MUG, "1").await;
    for path in ["/", "/cart", "/product/6E92ZMYYFZ", "/product/NOPE"] {
        let page = browser.get(path).await;
        page.lacks("http://").lacks("https://").lacks("\"//");
        assert!(
            page.header("content-security-policy")
                .starts_with("default-src 'none'")
        );
    }
    let style = browser.get("/static/shop.css").await;
    style.lacks("url(").lacks("@import");
}

#[tokio::test]
async fn a_wrong_method_is_405_and_an_unknown_path_is_404() {
    let browser = Shop::open().await.browser();
    for (method, path) in [
        (Method::POST, "/"),
        (Method::DELETE, "/cart"),
        (Method::POST, "/product/6E92ZMYYFZ"),
        (Method::GET, "/cart/checkout"),
        (Method::GET, "/cart/empty"),
        (Method::GET, "/setCurrency"),
        (Method::POST, "/logout"),
        (Method::HEAD, "/logout"),
        (Method::HEAD, "/product-meta/6E92ZMYYFZ"),
        (Method::POST, "/static/shop.css"),
    ] {
        let page = browser.request(method.clone(), path, &[], "").await;
        assert_eq!(
            page.status,
            StatusCode::METHOD_NOT_ALLOWED,
            "{method} {path}"
        );
        // What is said to be allowed has to be.
        for allowed in page.header("allow").split(',') {
            let allowed: Method = allowed.parse().unwrap();
            let page = browser.request(allowed.clone(), path, &[], "").await;
            assert_ne!(
                page.status,
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {path} says that {allowed} is allowed"
            );
        }
    }
    for path in [
        "/nope",
        "/cart/",
        "/product/",
        "/product/6E92ZMYYFZ/",
        "/_healthz/",
        "/logout/",
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(
            page.header("content-type").starts_with("text/plain"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let browser = Shop::open().await.browser();
    for path in ["/", "/product/6E92ZMYYFZ", "/cart"] {
        let page = browser.request(Method::HEAD, path, &[], "").await;
        assert_eq!((page.status, &*page.text), (StatusCode::OK, ""));
    }
}

#[tokio::test]
async fn the_shop_can_lie_below_a_path() {
    let config = FrontendConfig {
        base_url: "/shop".to_owned().try_into().unwrap(),
        ..FrontendConfig::default()
    };
    let browser = ShopBuilder::default().config(config).open().await.browser();
    assert_eq!(browser.get("/").await.status, StatusCode::NOT_FOUND);
    let home = browser.get("/shop/").await;
    home.has("href=\"/shop/product/6E92ZMYYFZ\"")
        .has("src=\"/shop/static/img/products/mug.svg\"");
    home.has("action=\"/shop/setCurrency\"")
        .lacks("\"/product/")
        .lacks("\"/static/")
        .lacks("\"/cart\"");
    let page = browser
        .post("/shop/cart", &[("product_id", MUG), ("quantity", "1")])
        .await;
    assert_eq!(page.location(), "/shop/cart");
    let page = browser.post("/shop/cart/empty", &[]).await;
    assert_eq!(page.location(), "/shop/");
}

#[tokio::test]
async fn banner_platform_and_name_are_settings() {
    let shop = Shop::open().await;
    shop.browser()
        .get("/")
        .await
        .lacks("class=\"message\"")
        .lacks("Running on");
    let config = FrontendConfig {
        frontend_message: Some("Closed on <Sundays>".into()),
        env_platform: Some(Platform::Gcp),
        cymbal_branding: true,
        ..FrontendConfig::default()
    };
    let page = ShopBuilder::default()
        .config(config)
        .open()
        .await
        .browser()
        .get("/")
        .await;
    page.has("Closed on &#60;Sundays&#62;")
        .has("Running on Google Cloud")
        .has("Cymbal Shops");
    page.lacks("Online Boutique");
}
