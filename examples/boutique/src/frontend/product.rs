//! The page of one product.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use super::{
    failure::Failure,
    page::{Offer, ProductPage, render},
    storefront::{Storefront, cart_size},
    visit::Visit,
};
use crate::catalog::{Catalog, CatalogError, Product};

/// `GET /product/{id}`
pub(super) async fn show(
    State(shop): State<Arc<Storefront>>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
) -> Result<Html<String>, Failure> {
    let product = find(&shop, &id).await?;
    let (currencies, cart, price, recommendations, ad) = tokio::join!(
        shop.currencies(),
        shop.cart_of(&visit),
        shop.price(&visit, &product),
        shop.recommendations(&visit, std::slice::from_ref(&id)),
        shop.advertisement(&product.categories),
    );
    let mut frame = shop.frame(&visit, currencies?);
    frame.cart_size = cart_size(&cart?);
    let offer = Offer {
        price: price?,
        product,
    };
    Ok(render(&ProductPage {
        frame,
        offer,
        recommendations,
        ad,
    }))
}

/// `GET /product-meta/{id}`: the product as JSON, or nothing.
pub(super) async fn describe(
    State(shop): State<Arc<Storefront>>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    match shop.catalog.get(&id).await {
        Ok(product) => {
            let json = serde_json::to_vec(&product);
            let json = json.map_err(Failure::because("could not describe product"))?;
            Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
        }
        Err(CatalogError::NotFound(_)) => Ok(StatusCode::OK.into_response()),
        Err(error) => Err(Failure::internal("could not retrieve product", &error)),
    }
}

/// The product that a visitor asks for by its id.
pub(super) async fn find(shop: &Storefront, id: &str) -> Result<Product, Failure> {
    shop.catalog.get(id).await.map_err(|error| match error {
        CatalogError::NotFound(_) => Failure::new(
            StatusCode::NOT_FOUND,
            format!("could not retrieve product: {error}"),
        ),
        _ => Failure::internal("could not retrieve product", &error),
    })
}
