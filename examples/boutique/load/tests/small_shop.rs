//! The load generator against a shop of one file, which can be told to make one mistake.

#![expect(clippy::unwrap_used, reason = "whatever is missing fails the test")]

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Form, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use boutique_load::{Basket, CATALOGUE, Currency, Load, Pace, Product, Report, RequestKind};
use tokio::{net::TcpListener, task::JoinHandle};

/// What the shop does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    None,
    /// Prices are those of another currency.
    Price,
    /// What is put into the cart does not stay there.
    Cart,
    /// The parcel's number does not fit the address.
    Tracking,
    /// There are no products, only the status 500.
    Status,
    /// It takes this long to answer, one request at a time.
    Slow(Duration),
}

struct Shop {
    flaw: Flaw,
    /// Session → its cart.
    baskets: Mutex<HashMap<String, Basket>>,
    till: tokio::sync::Mutex<()>,
}

/// A shop that runs until it is dropped.
struct Running {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn open(flaw: Flaw) -> Running {
    let shop = Arc::new(Shop {
        flaw,
        baskets: Mutex::default(),
        till: tokio::sync::Mutex::default(),
    });
    let router = Router::new()
        .route("/", get(home))
        .route("/product/{id}", get(product))
        .route("/cart", get(cart).post(add))
        .route("/cart/checkout", post(checkout))
        .route("/setCurrency", post(set_currency))
        .with_state(shop);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Running { address, server }
}

impl Shop {
    /// The basket of who asks, and the id of the session, which is new if there was none.
    fn basket(&self, headers: &HeaderMap) -> (String, Basket) {
        let mut baskets = self.baskets.lock().unwrap();
        let cookie = headers
            .get(header::COOKIE)
            .and_then(|cookie| cookie.to_str().ok());
        let session = cookie.and_then(|cookie| cookie.strip_prefix("session="));
        let session = session.map_or_else(|| format!("s{}", baskets.len()), str::to_owned);
        let basket = baskets.entry(session.clone()).or_default().clone();
        (session, basket)
    }

    fn change(&self, session: &str, change: impl FnOnce(&mut Basket)) {
        change(self.baskets.lock().unwrap().get_mut(session).unwrap());
    }

    fn page(&self, session: &str, basket: &Basket, body: &str) -> Response {
        let options: String = Currency::ALL
            .iter()
            .map(|one| {
                let selected = if *one == basket.currency {
                    " selected"
                } else {
                    ""
                };
                format!("<option{selected}>{}</option>", one.code())
            })
            .collect();
        let page = format!(
            "<!doctype html><title>Online Boutique</title><a href=/cart>Cart <b>{}</b></a>
             <select name=currency_code>{options}</select>{body}",
            basket.count(),
        );
        (
            [(header::SET_COOKIE, format!("session={session}; Path=/"))],
            Html(page),
        )
            .into_response()
    }

    fn price(&self, product: &Product, basket: &Basket) -> String {
        let mut basket = basket.clone();
        if self.flaw == Flaw::Price {
            basket.currency = Currency::TRY;
        }
        basket.price(product).to_string()
    }
}

fn name(product: &Product) -> String {
    product.name.replace('&', "&amp;")
}

fn to(path: &str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, path)]).into_response()
}

async fn home(State(shop): State<Arc<Shop>>, headers: HeaderMap) -> Response {
    let (session, basket) = shop.basket(&headers);
    let card = |product| {
        let (name, price) = (name(product), shop.price(product, &basket));
        format!("<a href=/product/{}>{name}</a><p>{price}", product.id)
    };
    let cards: String = CATALOGUE.iter().map(card).collect();
    shop.page(&session, &basket, &format!("<h3>Hot Products</h3>{cards}"))
}

async fn product(
    State(shop): State<Arc<Shop>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    match shop.flaw {
        Flaw::Status => return (StatusCode::INTERNAL_SERVER_ERROR, "out of stock").into_response(),
        Flaw::Slow(time) => {
            let _one_at_a_time = shop.till.lock().await;
            tokio::time::sleep(time).await;
        }
        _ => {}
    }
    let (session, basket) = shop.basket(&headers);
    let product = CATALOGUE.iter().find(|product| product.id == id).unwrap();
    let body = format!(
        "<h2>{}</h2>{}<form><input type=hidden name=product_id value={id}>Add To Cart</form>",
        name(product),
        shop.price(product, &basket),
    );
    shop.page(&session, &basket, &body)
}

async fn cart(State(shop): State<Arc<Shop>>, headers: HeaderMap) -> Response {
    let (session, basket) = shop.basket(&headers);
    if basket.count() == 0 {
        return shop.page(&session, &basket, "Your shopping cart is empty!");
    }
    let lines: String = basket
        .lines()
        .iter()
        .map(|(product, quantity)| {
            let price = basket.price(product).times(*quantity);
            format!(
                "<p>{} SKU #{} Quantity: {quantity} {price}",
                name(product),
                product.id
            )
        })
        .collect();
    let (count, shipping, total) = (basket.count(), basket.shipping(), basket.total());
    let body = format!("Cart ({count}){lines}<p>Shipping {shipping}<p>Total {total}");
    shop.page(&session, &basket, &body)
}

async fn add(
    State(shop): State<Arc<Shop>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let (session, _) = shop.basket(&headers);
    let product = CATALOGUE
        .iter()
        .find(|product| product.id == form["product_id"])
        .unwrap();
    if shop.flaw != Flaw::Cart {
        shop.change(&session, |basket| {
            basket.add(*product, form["quantity"].parse().unwrap());
        });
    }
    to("/cart")
}

async fn set_currency(
    State(shop): State<Arc<Shop>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let (session, _) = shop.basket(&headers);
    let chosen = Currency::ALL
        .into_iter()
        .find(|one| one.code() == form["currency_code"]);
    shop.change(&session, |basket| basket.currency = chosen.unwrap());
    to("/")
}

async fn checkout(
    State(shop): State<Arc<Shop>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let (session, basket) = shop.basket(&headers);
    let electron = ["4026", "417500", "4508", "4844", "4913", "4917"];
    let refused = electron
        .iter()
        .any(|begin| form["credit_card_number"].starts_with(begin));
    if refused {
        let sorry = "Sorry, we cannot process visa_electron credit cards.";
        return (StatusCode::UNPROCESSABLE_ENTITY, sorry).into_response();
    }
    let mut length = form["street_address"].len() + form["city"].len() + form["state"].len() + 4;
    if shop.flaw == Flaw::Tracking {
        length += 1;
    }
    let total = basket.total();
    shop.change(&session, Basket::empty);
    let body = format!(
        "Your order is complete! We've sent you a confirmation email.
         Confirmation # <b>01234567-89ab-4cde-8f01-23456789abcd</b>
         Tracking # <b>AB-{length}123-{}1234567</b> Total Paid <b>{total}</b>",
        length / 2,
    );
    shop.page(&session, &basket, &body)
}

/// Holds a rate for a second or so.
async fn load(shop: &Running, tasks_per_second: f64, users: usize) -> Report {
    let load = Load {
        shop: format!("http://{}", shop.address),
        pace: Pace::Rate {
            tasks_per_second,
            users,
        },
        length: Duration::from_secs(1),
        warm_up: Duration::ZERO,
        seed: 7,
        reads_pages: true,
        repeats: false,
        history: false,
    };
    load.run(std::future::pending(), |_| {}).await.unwrap()
}

#[tokio::test]
async fn a_shop_that_does_as_it_should_has_no_failures() {
    let shop = open(Flaw::None).await;
    let report = load(&shop, 300.0, 10).await;
    assert_eq!(report.failed(), 0, "{report}");
    assert!(report.tasks() >= 250, "{report}");
    for kind in [
        RequestKind::Home,
        RequestKind::Product,
        RequestKind::Checkout,
    ] {
        assert!(report.figures(kind).is_some(), "no {kind} among {report}");
    }
}

/// The one way in which requests to a shop with this flaw fail.
async fn failure(flaw: Flaw, kind: RequestKind) -> String {
    let shop = open(flaw).await;
    let report = load(&shop, 300.0, 10).await;
    let failures = report.failures();
    let failure = failures
        .iter()
        .find(|failure| failure.request == kind.to_string());
    failure
        .unwrap_or_else(|| panic!("no failed {kind} among {report}"))
        .what
        .clone()
}

#[tokio::test]
async fn a_wrong_price_is_found() {
    assert!(
        failure(Flaw::Price, RequestKind::Home)
            .await
            .contains("is missing")
    );
    assert!(
        failure(Flaw::Price, RequestKind::Product)
            .await
            .contains("is missing")
    );
}

#[tokio::test]
async fn a_thing_lost_from_the_cart_is_found() {
    assert_eq!(
        failure(Flaw::Cart, RequestKind::Cart).await,
        "# things on the cart's badge, and not #"
    );
}

#[tokio::test]
async fn a_tracking_number_for_another_address_is_found() {
    assert!(
        failure(Flaw::Tracking, RequestKind::Checkout)
            .await
            .starts_with("tracking number")
    );
}

#[tokio::test]
async fn a_status_that_is_none_of_success_is_found() {
    let what = failure(Flaw::Status, RequestKind::Product).await;
    assert_eq!(what, "# Internal Server Error, and not # OK: …");
}

#[tokio::test]
async fn a_held_rate_counts_the_time_that_tasks_waited_for_their_turn() {
    // One answer takes 40 ms and 50 tasks come in a second: the last ones wait for about a second.
    let shop = open(Flaw::Slow(Duration::from_millis(40))).await;
    let report = load(&shop, 50.0, 1).await;
    let longest = report.all().max_us;
    assert!(
        longest > 200_000,
        "the longest took {longest} µs:\n{report}"
    );
    assert!(report.tasks() >= 50, "tasks were left out:\n{report}");
}

#[tokio::test]
async fn users_begin_one_after_the_other_and_stop_when_told() {
    let shop = open(Flaw::None).await;
    let load = Load {
        shop: format!("http://{}", shop.address),
        pace: Pace::Users {
            users: 20,
            per_second: 1000.0,
        },
        length: Duration::from_secs(3600),
        warm_up: Duration::ZERO,
        seed: 7,
        reads_pages: true,
        repeats: false,
        history: false,
    };
    // Everybody has been there, by the shop's own books.
    let (seen, all_seen) = tokio::sync::oneshot::channel();
    let mut seen = Some(seen);
    let progress = |report: &Report| {
        if report.requests() >= 40
            && let Some(seen) = seen.take()
        {
            seen.send(()).unwrap();
        }
    };
    let report = load
        .run(async { all_seen.await.unwrap() }, progress)
        .await
        .unwrap();
    assert_eq!(report.failed(), 0, "{report}");
    assert!(
        report.figures(RequestKind::Home).unwrap().count >= 20,
        "{report}"
    );
}
