//! The shop as its pages see it: the routes, and what several pages show.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    handler::Handler,
    http::{StatusCode, header},
    middleware,
    routing::{MethodRouter, any, get, post},
};
use futures_util::future::join_all;

use super::{
    FrontendConfig, Platform, asset, cart, checkout,
    failure::Failure,
    home,
    page::Frame,
    preferences, product,
    visit::{self, Visit},
};
use crate::{
    ad::{Ad, AdClient, Advertisement},
    cart::{Cart, CartClient, CartItem},
    catalog::{Catalog, CatalogClient, Product},
    checkout::CheckoutClient,
    currency::{Currency, CurrencyClient},
    money::Money,
    recommendation::{Recommendation, RecommendationClient},
    shipping::ShippingClient,
};

/// The currencies that shoppers can choose, as far as `Currency` supports them.
pub(super) const OFFERED_CURRENCIES: [&str; 6] = ["EUR", "USD", "JPY", "GBP", "TRY", "CAD"];

/// How many of the recommended products a page shows.
const RECOMMENDATIONS_SHOWN: usize = 4;

/// What the pages are made from: a client for each component that they ask, and the settings.
#[derive(Clone)]
pub struct Storefront {
    /// The settings.
    pub config: FrontendConfig,
    /// What the shop sells.
    pub catalog: CatalogClient,
    /// What it costs in the shopper's currency.
    pub currency: CurrencyClient,
    /// What the shopper is about to buy.
    pub cart: CartClient,
    /// What the shopper may like as well.
    pub recommendation: RecommendationClient,
    /// What it costs to send it.
    pub shipping: ShippingClient,
    /// Buying it.
    pub checkout: CheckoutClient,
    /// What is advertised.
    pub ad: AdClient,
}

impl Storefront {
    /// Answers every request to the shop.
    pub fn router(self) -> Router {
        let base = self.config.base_url.clone();
        let at = |path: &str| format!("{}{path}", base.0);
        let storefront = Arc::new(self);
        Router::new()
            .route(&at("/"), get(home::show))
            .route(&at("/product/{id}"), get(product::show))
            .route(&at("/cart"), get(cart::show).post(cart::add))
            .route(&at("/cart/empty"), post(cart::empty))
            .route(&at("/cart/checkout"), post(checkout::place_order))
            .route(&at("/setCurrency"), post(preferences::set_currency))
            .route(&at("/logout"), only_get(preferences::log_out))
            .route(&at("/product-meta/{id}"), only_get(product::describe))
            .route(&at("/static/{*path}"), only_get(asset::serve))
            .route(&at("/_healthz"), any(async || "ok"))
            .route(
                &at("/robots.txt"),
                any(async || "User-agent: *\nDisallow: /"),
            )
            .fallback(async || (StatusCode::NOT_FOUND, "404 page not found\n"))
            .method_not_allowed_fallback(method_not_allowed)
            .layer(middleware::from_fn_with_state(
                Arc::clone(&storefront),
                visit::accompany,
            ))
            .with_state(storefront)
    }

    /// A path of the shop, as a browser must ask for it.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.config.base_url.0)
    }

    /// What surrounds a page, with a choice of `currencies`.
    pub(super) fn frame<'a>(&'a self, visit: &'a Visit, currencies: Vec<String>) -> Frame<'a> {
        Frame {
            shop_name: self.config.shop_name(),
            base: &self.config.base_url.0,
            message: self.config.frontend_message.as_deref(),
            platform: self.config.env_platform.map(Platform::label),
            currencies,
            currency: &visit.currency,
            cart_size: 0,
            session_id: &visit.session_id,
            request_id: &visit.request_id,
        }
    }

    /// The currencies to choose from, in the order in which `Currency` names them.
    pub(super) async fn currencies(&self) -> Result<Vec<String>, Failure> {
        let supported = self.currency.supported().await;
        let mut codes = supported.map_err(Failure::because("could not retrieve currencies"))?;
        codes.retain(|code| OFFERED_CURRENCIES.contains(&&**code));
        Ok(codes)
    }

    /// What the visitor is about to buy.
    pub(super) async fn cart_of(&self, visit: &Visit) -> Result<Vec<CartItem>, Failure> {
        let items = self.cart.get(&visit.session_id).await;
        items.map_err(Failure::because("could not retrieve cart"))
    }

    /// The price of one `product` in the visitor's currency.
    pub(super) async fn price(&self, visit: &Visit, product: &Product) -> Result<Money, Failure> {
        let price = self
            .currency
            .convert(&product.price_usd, &visit.currency)
            .await;
        price.map_err(|error| {
            let context = format!(
                "failed to do currency conversion for product {}",
                product.id
            );
            Failure::internal(&context, &error)
        })
    }

    /// What the visitor may like besides the products `ids`; empty if nobody knows.
    ///
    /// Every recommended product is looked up, all at the same time, and most are shown. One that
    /// cannot be found leaves the whole section out, as the page is worth more than this part of it.
    pub(super) async fn recommendations(&self, visit: &Visit, ids: &[String]) -> Vec<Product> {
        let recommended = match self.recommendation.list(&visit.session_id, ids).await {
            Ok(recommended) => recommended,
            Err(error) => {
                tracing::warn!(%error, "a page has no recommendations");
                return Vec::new();
            }
        };
        let products = join_all(recommended.iter().map(|id| self.catalog.get(id))).await;
        match products.into_iter().collect::<Result<Vec<_>, _>>() {
            Ok(mut products) => {
                products.truncate(RECOMMENDATIONS_SHOWN);
                products
            }
            Err(error) => {
                tracing::warn!(%error, "a page has no recommendations");
                Vec::new()
            }
        }
    }

    /// One of the advertisements that fit `categories`; `None` if there is none within the
    /// time that the settings give it.
    ///
    /// The edge to `Ad` has the same limit as its deadline in `anylith.toml`. It is kept here as well,
    /// since no page should become slow because a line is missing from a file.
    pub(super) async fn advertisement(&self, categories: &[String]) -> Option<Advertisement> {
        let limit = Duration::from_millis(self.config.ad_limit_ms);
        match tokio::time::timeout(limit, self.ad.get(categories)).await {
            Ok(Ok(mut ads)) if !ads.is_empty() => {
                Some(ads.swap_remove(fastrand::usize(..ads.len())))
            }
            Ok(Ok(_)) => None,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a page has no advertisement");
                None
            }
            Err(_) => {
                tracing::warn!("a page has no advertisement: it took too long");
                None
            }
        }
    }
}

/// The number of things in a cart.
pub(super) fn cart_size(items: &[CartItem]) -> i64 {
    items.iter().map(|item| i64::from(item.quantity)).sum()
}

/// A route that answers GET, and unlike those made by [`get`] not HEAD.
fn only_get<H, T>(handler: H) -> MethodRouter<Arc<Storefront>>
where
    H: Handler<T, Arc<Storefront>>,
    T: 'static,
{
    // What axum says by itself would count HEAD among what is allowed.
    let refuse = async || ([(header::ALLOW, "GET")], method_not_allowed().await);
    get(handler).head(refuse).fallback(refuse)
}

async fn method_not_allowed() -> (StatusCode, &'static str) {
    (StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed\n")
}
