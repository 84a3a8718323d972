//! Buying what is in the cart.

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode, response::Html};

use super::{
    failure::Failure,
    form::Form,
    page::{OrderPage, render},
    storefront::Storefront,
    validation::PlaceOrder,
    visit::Visit,
};
use crate::{
    checkout::{Checkout, CheckoutError},
    order::total,
    payment::PaymentError,
};

/// `POST /cart/checkout`
pub(super) async fn place_order(
    State(shop): State<Arc<Storefront>>,
    Extension(visit): Extension<Visit>,
    form: Form,
) -> Result<Html<String>, Failure> {
    let PlaceOrder {
        email,
        address,
        card,
    } = PlaceOrder::read(&form)?;
    // Asked first, so that nothing which can fail is left to ask once the card has been charged.
    let currencies = shop.currencies().await?;
    let Visit {
        session_id,
        currency,
        ..
    } = &visit;
    let placed = shop
        .checkout
        .place_order(session_id, currency, &address, &email, &card)
        .await;
    let order = placed.map_err(refused)?;
    let total_paid = total(&order.shipping_cost, &order.items);
    let total_paid = total_paid.map_err(Failure::because("could not add up the order"))?;
    let recommendations = shop.recommendations(&visit, &[]).await;
    let frame = shop.frame(&visit, currencies);
    Ok(render(&OrderPage {
        frame,
        order,
        total_paid,
        recommendations,
    }))
}

/// A card that is refused is the visitor's business, everything else is the shop's.
fn refused(error: CheckoutError) -> Failure {
    match error {
        CheckoutError::Payment(
            refusal @ (PaymentError::Invalid
            | PaymentError::Unaccepted(_)
            | PaymentError::Expired { .. }),
        ) => Failure::new(StatusCode::PAYMENT_REQUIRED, refusal.to_string()),
        error => Failure::internal("failed to complete the order", &error),
    }
}
