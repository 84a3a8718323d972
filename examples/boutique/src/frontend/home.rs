//! The page that greets: everything that the shop sells.

use std::sync::Arc;

use axum::{Extension, extract::State, response::Html};
use futures_util::future::join_all;

use super::{
    failure::Failure,
    page::{HomePage, Offer, render},
    storefront::{Storefront, cart_size},
    visit::Visit,
};
use crate::catalog::Catalog;

/// `GET /`
pub(super) async fn show(
    State(shop): State<Arc<Storefront>>,
    Extension(visit): Extension<Visit>,
) -> Result<Html<String>, Failure> {
    let (currencies, offers, cart, ad) = tokio::join!(
        shop.currencies(),
        offers(&shop, &visit),
        shop.cart_of(&visit),
        shop.advertisement(&[]),
    );
    let mut frame = shop.frame(&visit, currencies?);
    let offers = offers?;
    frame.cart_size = cart_size(&cart?);
    Ok(render(&HomePage { frame, offers, ad }))
}

/// Every product with its price. The prices are converted all at the same time.
async fn offers(shop: &Storefront, visit: &Visit) -> Result<Vec<Offer>, Failure> {
    let products = shop.catalog.list().await;
    let products = products.map_err(Failure::because("could not retrieve products"))?;
    let prices = join_all(products.iter().map(|product| shop.price(visit, product))).await;
    let offer = |(product, price)| {
        Ok(Offer {
            product,
            price: price?,
        })
    };
    products.into_iter().zip(prices).map(offer).collect()
}
