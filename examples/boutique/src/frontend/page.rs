//! The pages: what each shows, and its template in `templates/`.
//!
//! Templates are checked when the shop is compiled, and escape whatever they show.

use askama::Template;
use axum::response::Html;

use crate::{ad::Advertisement, calendar::YearMonth, catalog::Product, money::Money, order::Order};

/// What surrounds every page.
pub(super) struct Frame<'a> {
    pub(super) shop_name: &'static str,
    /// What every path of the shop begins with.
    pub(super) base: &'a str,
    /// A sentence at the top.
    pub(super) message: Option<&'a str>,
    /// Where the shop runs.
    pub(super) platform: Option<&'static str>,
    /// The currencies to choose from.
    pub(super) currencies: Vec<String>,
    /// The one that is chosen.
    pub(super) currency: &'a str,
    /// How many things are in the cart.
    pub(super) cart_size: i64,
    pub(super) session_id: &'a str,
    pub(super) request_id: &'a str,
}

/// A product, and the price of one in the visitor's currency.
pub(super) struct Offer {
    pub(super) product: Product,
    pub(super) price: Money,
}

/// `/`
#[derive(Template)]
#[template(path = "home.html")]
pub(super) struct HomePage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) offers: Vec<Offer>,
    pub(super) ad: Option<Advertisement>,
}

/// `/product/{id}`
#[derive(Template)]
#[template(path = "product.html")]
pub(super) struct ProductPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) offer: Offer,
    pub(super) recommendations: Vec<Product>,
    pub(super) ad: Option<Advertisement>,
}

/// `/cart`
#[derive(Template)]
#[template(path = "cart.html")]
pub(super) struct CartPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) lines: Vec<CartLine>,
    pub(super) shipping: Money,
    pub(super) total: Money,
    pub(super) expiration: ExpirationChoice,
    pub(super) recommendations: Vec<Product>,
}

/// One line of the cart, and what all of it costs.
pub(super) struct CartLine {
    pub(super) product: Product,
    pub(super) quantity: i32,
    pub(super) price: Money,
}

/// The months and years that can be chosen for a card.
pub(super) struct ExpirationChoice {
    years: Vec<i32>,
}

impl From<YearMonth> for ExpirationChoice {
    fn from(today: YearMonth) -> Self {
        Self {
            years: (today.year..today.year + 5).collect(),
        }
    }
}

impl ExpirationChoice {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
}

/// The answer to a placed order.
#[derive(Template)]
#[template(path = "order.html")]
pub(super) struct OrderPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) order: Order,
    pub(super) total_paid: Money,
    pub(super) recommendations: Vec<Product>,
}

/// The answer to what could not be done.
#[derive(Template)]
#[template(path = "error.html")]
pub(super) struct ErrorPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) code: u16,
    pub(super) text: &'static str,
    pub(super) message: &'a str,
}

/// Writes a page.
pub(super) fn render(page: &impl Template) -> Html<String> {
    Html(
        page.render()
            .expect("writing to a String works, and no template has a filter that fails"),
    )
}
