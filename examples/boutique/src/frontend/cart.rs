//! The page of the cart, and what changes a cart.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    response::{Html, Response},
};
use futures_util::future::join_all;

use super::{
    failure::Failure,
    form::Form,
    page::{CartLine, CartPage, ExpirationChoice, render},
    preferences::redirect,
    product,
    storefront::{Storefront, cart_size},
    validation::AddToCart,
    visit::Visit,
};
use crate::{
    calendar::YearMonth,
    cart::{Cart, CartItem},
    catalog::Catalog,
    currency::Currency,
    money::Money,
    shipping::Shipping,
};

/// `GET /cart`
pub(super) async fn show(
    State(shop): State<Arc<Storefront>>,
    Extension(visit): Extension<Visit>,
) -> Result<Html<String>, Failure> {
    let (currencies, items) = tokio::join!(shop.currencies(), shop.cart_of(&visit));
    let (currencies, items) = (currencies?, items?);
    let ids: Vec<String> = items.iter().map(|item| item.product_id.clone()).collect();
    let (recommendations, shipping, lines) = tokio::join!(
        shop.recommendations(&visit, &ids),
        shipping(&shop, &visit, &items),
        lines(&shop, &visit, &items),
    );
    let (shipping, lines) = (shipping?, lines?);
    let total = lines
        .iter()
        .try_fold(shipping.clone(), |total, line| total.sum(&line.price));
    let total = total.map_err(Failure::because("could not add up the cart"))?;
    let mut frame = shop.frame(&visit, currencies);
    frame.cart_size = cart_size(&items);
    let expiration = ExpirationChoice::from(YearMonth::now());
    Ok(render(&CartPage {
        frame,
        lines,
        shipping,
        total,
        expiration,
        recommendations,
    }))
}

/// What it costs to send `items`, in the visitor's currency.
async fn shipping(shop: &Storefront, visit: &Visit, items: &[CartItem]) -> Result<Money, Failure> {
    let quote = shop.shipping.quote(None, items).await;
    let quote = quote.map_err(Failure::because("failed to get shipping quote"))?;
    let cost = shop.currency.convert(&quote, &visit.currency).await;
    cost.map_err(Failure::because(
        "failed to convert currency for shipping cost",
    ))
}

/// The lines of the cart with their products and prices, all looked up at the same time.
async fn lines(
    shop: &Storefront,
    visit: &Visit,
    items: &[CartItem],
) -> Result<Vec<CartLine>, Failure> {
    let line = async |item: &CartItem| {
        let product = shop.catalog.get(&item.product_id).await.map_err(|error| {
            Failure::internal(
                &format!("could not retrieve product #{}", item.product_id),
                &error,
            )
        })?;
        let price = shop.price(visit, &product).await?.times(item.quantity);
        let price = price.map_err(Failure::because("could not add up the cart"))?;
        Ok(CartLine {
            product,
            quantity: item.quantity,
            price,
        })
    };
    join_all(items.iter().map(line)).await.into_iter().collect()
}

/// `POST /cart`
pub(super) async fn add(
    State(shop): State<Arc<Storefront>>,
    Extension(visit): Extension<Visit>,
    form: Form,
) -> Result<Response, Failure> {
    let AddToCart {
        product_id,
        quantity,
    } = AddToCart::read(&form)?;
    let product = product::find(&shop, &product_id).await?;
    let item = CartItem {
        product_id: product.id,
        quantity,
    };
    let added = shop.cart.add(&visit.session_id, &item).await;
    added.map_err(Failure::because("failed to add to cart"))?;
    Ok(redirect(&shop.path("/cart")))
}

/// `POST /cart/empty`
pub(super) async fn empty(
    State(shop): State<Arc<Storefront>>,
    Extension(visit): Extension<Visit>,
) -> Result<Response, Failure> {
    let emptied = shop.cart.empty(&visit.session_id).await;
    emptied.map_err(Failure::because("failed to empty cart"))?;
    Ok(redirect(&shop.path("/")))
}
