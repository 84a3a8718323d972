//! Carts and orders.

use axum::http::{Method, StatusCode};
use boutique::email::{Email, EmailError};
use boutique::order::Order;

use crate::shop::{CHECKOUT_FORM, MUG, SUNGLASSES, Shared, Shop, ShopBuilder, WATCH};

/// [`CHECKOUT_FORM`] with other values in some fields.
fn form<'a>(changes: &[(&'static str, &'a str)]) -> Vec<(&'static str, &'a str)> {
    let changed = |name| changes.iter().find(|(changed, _)| *changed == name);
    CHECKOUT_FORM
        .iter()
        .map(|&(name, value)| *changed(name).unwrap_or(&(name, value)))
        .collect()
}

#[tokio::test]
async fn an_empty_cart_says_so_and_still_recommends() {
    let page = Shop::open().await.browser().get("/cart").await;
    assert_eq!(page.status, StatusCode::OK);
    page.has("Your shopping cart is empty!")
        .has("Continue Shopping")
        .has("You May Also Like");
    page.lacks("Place Order")
        .lacks(">Ad<")
        .lacks("class=\"badge\"");
}

#[tokio::test]
async fn the_cart_keeps_its_order_and_adds_up() {
    let browser = Shop::open().await.browser();
    browser.add(WATCH, "1").await;
    browser.add(MUG, "3").await;
    browser.add(WATCH, "2").await;
    let page = browser.get("/cart").await;
    page.has("Cart (6)")
        .has("<span class=\"badge\">6</span>")
        .has("Empty Cart")
        .lacks(">Ad<");
    page.has("SKU #1YMWWN1N4O")
        .has("Quantity: 3")
        .has("$329.97")
        .has("$26.97");
    assert_eq!(page.products()[..2], [WATCH, MUG]);
    page.has("<dt>Shipping</dt><dd>$8.99</dd>")
        .has("<dt>Total</dt><dd>$365.93</dd>");
    assert!(
        !page.products()[2..].contains(&MUG),
        "what is in the cart is not recommended"
    );
}

#[tokio::test]
async fn the_checkout_form_is_filled_in_beforehand() {
    let browser = Shop::open().await.browser();
    browser.add(MUG, "1").await;
    let page = browser.get("/cart").await;
    for (name, value) in CHECKOUT_FORM {
        page.has(&format!("name=\"{name}\""));
        if !name.contains("expiration") {
            page.has(&format!("value=\"{value}\""));
        }
    }
    page.has("<option value=\"1\">January</option>")
        .has("<option value=\"12\">December</option>");
    let years = page
        .text
        .split("name=\"credit_card_expiration_year\"")
        .nth(1)
        .unwrap();
    let years: Vec<&str> = years
        .split("</select>")
        .next()
        .unwrap()
        .split("<option")
        .skip(1)
        .collect();
    assert_eq!(years.len(), 5);
    let selected: Vec<bool> = years.iter().map(|year| year.contains("selected")).collect();
    assert_eq!(selected, [false, true, false, false, false]);
}

#[tokio::test]
async fn what_is_in_the_cart_is_bought_at_the_price_shown() {
    let browser = Shop::open().await.browser();
    browser.set_cookie("shop_currency", "EUR");
    browser.add(MUG, "3").await;
    browser.add(SUNGLASSES, "1").await;
    let cart = browser.get("/cart").await;
    let total = cart
        .text
        .split("<dt>Total</dt><dd>")
        .nth(1)
        .unwrap()
        .split('<')
        .next()
        .unwrap();
    let page = browser.post("/cart/checkout", CHECKOUT_FORM).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    page.has("Your order is complete!")
        .has("We've sent you a confirmation email.");
    page.has("Confirmation #")
        .has("Tracking #")
        .has(&format!("<dt>Total Paid</dt><dd>{total}</dd>"));
    page.has("-44")
        .has("You May Also Like")
        .has("Continue Shopping")
        .lacks("name=\"currency_code\"");
    browser
        .get("/cart")
        .await
        .has("Your shopping cart is empty!");
}

#[tokio::test]
async fn an_empty_cart_can_be_bought_for_nothing() {
    let page = Shop::open()
        .await
        .browser()
        .post("/cart/checkout", CHECKOUT_FORM)
        .await;
    assert_eq!(page.status, StatusCode::OK);
    page.has("<dt>Total Paid</dt><dd>$0.00</dd>");
}

#[tokio::test]
async fn emptying_the_cart_leads_home() {
    let browser = Shop::open().await.browser();
    browser.add(MUG, "1").await;
    let page = browser.post("/cart/empty", &[]).await;
    assert_eq!((page.status, page.location()), (StatusCode::FOUND, "/"));
    browser
        .get("/cart")
        .await
        .has("Your shopping cart is empty!");
}

#[tokio::test]
async fn visitors_do_not_share_carts() {
    let shop = Shop::open().await;
    shop.browser().add(MUG, "1").await;
    shop.browser()
        .get("/cart")
        .await
        .has("Your shopping cart is empty!");
}

#[tokio::test]
async fn a_bad_addition_names_each_field_and_its_first_broken_rule() {
    let browser = Shop::open().await.browser();
    for (fields, message) in [
        (
            &[][..],
            "Field 'Quantity' is invalid: required\nField 'ProductID' is invalid: required\n",
        ),
        (
            &[("product_id", MUG), ("quantity", "0")],
            "Field 'Quantity' is invalid: required\n",
        ),
        (
            &[("product_id", MUG), ("quantity", "-1")],
            "Field 'Quantity' is invalid: required\n",
        ),
        (
            &[("product_id", MUG), ("quantity", "11")],
            "Field 'Quantity' is invalid: lte\n",
        ),
        (
            &[("product_id", MUG), ("quantity", "99999999999")],
            "Field 'Quantity' is invalid: lte\n",
        ),
        (
            &[("quantity", "1")],
            "Field 'ProductID' is invalid: required\n",
        ),
    ] {
        let page = browser.post("/cart", fields).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        page.has("HTTP Status: 422 Unprocessable Entity");
        assert_eq!(page.message().replace("&#39;", "'"), message);
    }
    let page = browser
        .post("/cart", &[("product_id", "NOPE"), ("quantity", "1")])
        .await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    page.has("could not retrieve product");
    browser
        .get("/cart")
        .await
        .has("Your shopping cart is empty!");
}

#[tokio::test]
async fn each_field_of_an_order_is_checked() {
    let browser = Shop::open().await.browser();
    let (long, longest) = ("ü".repeat(129), "ü".repeat(128));
    let (long_street, longest_street) = ("x".repeat(513), "x".repeat(512));
    for (field, value, message) in [
        ("email", "", "Email: required"),
        ("email", "someone", "Email: email"),
        ("street_address", "", "StreetAddress: required"),
        ("street_address", &long_street, "StreetAddress: max"),
        ("zip_code", "0", "ZipCode: required"),
        ("zip_code", "D-80331", "ZipCode: required"),
        ("city", "", "City: required"),
        ("city", &long, "City: max"),
        ("state", &long, "State: max"),
        ("country", "", "Country: required"),
        ("credit_card_number", "", "CcNumber: required"),
        (
            "credit_card_number",
            "4432-8015-6152-0454",
            "CcNumber: credit_card",
        ),
        ("credit_card_expiration_month", "0", "CcMonth: required"),
        ("credit_card_expiration_month", "-1", "CcMonth: gte"),
        ("credit_card_expiration_month", "13", "CcMonth: lte"),
        ("credit_card_expiration_year", "", "CcYear: required"),
        ("credit_card_cvv", "", "CcCVV: required"),
    ] {
        let page = browser
            .post("/cart/checkout", &form(&[(field, value)]))
            .await;
        assert_eq!(
            page.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{field} {value:?}"
        );
        let (name, rule) = message.split_once(": ").unwrap();
        let expected = format!("Field &#39;{name}&#39; is invalid: {rule}\n");
        assert_eq!(page.message(), expected, "{field} {value:?}");
    }
    for (field, value) in [
        ("street_address", &*longest_street),
        ("city", &longest),
        ("city", " "),
        ("zip_code", "-1"),
        ("credit_card_cvv", "+99999999999999"),
        ("credit_card_number", "4432 8015 6152 0454"),
    ] {
        let page = browser
            .post("/cart/checkout", &form(&[(field, value)]))
            .await;
        assert_eq!(
            page.status,
            StatusCode::OK,
            "{field} {value:?} {}",
            page.text
        );
    }
}

#[tokio::test]
async fn all_bad_fields_are_named_in_their_order() {
    let page = Shop::open()
        .await
        .browser()
        .post("/cart/checkout", &[])
        .await;
    let fields = [
        "Email",
        "StreetAddress",
        "ZipCode",
        "City",
        "State",
        "Country",
        "CcNumber",
        "CcMonth",
        "CcYear",
        "CcCVV",
    ];
    let expected: String = fields
        .iter()
        .map(|field| format!("Field &#39;{field}&#39; is invalid: required\n"))
        .collect();
    assert_eq!(page.message(), expected);
}

#[tokio::test]
async fn a_refused_card_is_the_visitors_business_and_the_cart_stays() {
    let browser = Shop::open().await.browser();
    browser.add(MUG, "1").await;
    for (changes, message) in [
        (
            &[("credit_card_number", "4026000000000002")][..],
            "Sorry, we cannot process visa_electron credit cards. Only VISA or MasterCard is accepted.",
        ),
        (
            &[("credit_card_number", "0000000000000000")],
            "Credit card info is invalid",
        ),
        (
            &[
                ("credit_card_expiration_year", "2026"),
                ("credit_card_expiration_month", "10"),
            ],
            "Your credit card (ending 0454) expired on 10/2026",
        ),
    ] {
        let page = browser.post("/cart/checkout", &form(changes)).await;
        assert_eq!(page.status, StatusCode::PAYMENT_REQUIRED, "{}", page.text);
        assert_eq!(page.message(), message);
    }
    browser.get("/cart").await.has("Cart (1)");
}

#[tokio::test]
async fn a_form_can_come_in_parts_and_beats_the_query() {
    let browser = Shop::open().await.browser();
    let part = |name: &str, value: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = format!(
        "{}{}--x--\r\n",
        part("product_id", MUG),
        part("quantity", "2")
    );
    let headers = [("content-type", "multipart/form-data; boundary=x")];
    let page = browser
        .request(Method::POST, "/cart?quantity=9", &headers, &body)
        .await;
    assert_eq!(page.status, StatusCode::FOUND, "{}", page.text);
    let path = format!("/cart?product_id={MUG}&quantity=5");
    assert_eq!(
        browser.post(&path, &[("quantity", "1")]).await.status,
        StatusCode::FOUND
    );
    browser.get("/cart").await.has("Quantity: 3");

    let page = browser
        .request(Method::POST, "/cart", &headers, "--x\r\nnonsense")
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn an_order_is_confirmed_by_mail_with_what_it_cost() {
    struct Outbox(Shared<Vec<(String, Order)>>);

    impl Email for Outbox {
        async fn send_order_confirmation(
            &self,
            email: &str,
            order: &Order,
        ) -> Result<(), EmailError> {
            self.0
                .lock()
                .unwrap()
                .push((email.to_owned(), order.clone()));
            Err(EmailError::Unwritten("the post is on strike".into()))
        }
    }

    let outbox = Shared::default();
    let shop = ShopBuilder::default()
        .email(Outbox(Shared::clone(&outbox)))
        .open()
        .await;
    let browser = shop.browser();
    browser.add(MUG, "2").await;
    let page = browser.post("/cart/checkout", CHECKOUT_FORM).await;
    assert_eq!(
        page.status,
        StatusCode::OK,
        "a lost confirmation does not undo an order"
    );
    let (email, order) = outbox.lock().unwrap().pop().unwrap();
    assert_eq!(email, "someone@example.com");
    assert_eq!(order.shipping_address.zip_code, 94043);
    assert_eq!(order.items[0].cost.to_string(), "$8.99");
    page.has(&order.order_id).has(&order.shipping_tracking_id);
}
