//! `Email`: writes confirmations of orders, and sends none.

use anylith::CallError;
use askama::Template;
use serde::{Deserialize, Serialize};

use crate::order::Order;

/// Writes to shoppers.
#[anylith::component]
pub trait Email {
    /// Confirms `order` to the address `email`.
    async fn send_order_confirmation(&self, email: &str, order: &Order) -> Result<(), EmailError>;
}

/// Why a confirmation was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum EmailError {
    /// The text could not be written.
    #[error("could not write the confirmation: {0}")]
    Unwritten(String),
    /// The call itself failed.
    #[error("the email component gave no answer")]
    Call(#[from] CallError),
}

#[derive(Template)]
#[template(path = "confirmation.html")]
struct Confirmation<'a> {
    order: &'a Order,
}

/// Writes confirmations, and sends none.
///
/// It logs that it would have sent each: a demonstration should not write to strangers.
#[derive(anylith::Component)]
#[component(interface = Email)]
pub struct EmailService {}

impl Email for EmailService {
    async fn send_order_confirmation(&self, email: &str, order: &Order) -> Result<(), EmailError> {
        let text = Confirmation { order }
            .render()
            .map_err(|error| EmailError::Unwritten(error.to_string()))?;
        let (order, bytes) = (&order.order_id, text.len());
        tracing::info!(
            email,
            order,
            bytes,
            "wrote a confirmation, which is not sent"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cart::CartItem,
        money::Money,
        order::{Address, OrderItem},
    };

    #[test]
    fn a_confirmation_says_what_was_ordered_and_where_it_goes() {
        let order = Order {
            order_id: "the-order".into(),
            shipping_tracking_id: "XK-44123-221234567".into(),
            shipping_cost: Money::new("EUR", 7, 950_000_000),
            shipping_address: Address {
                street_address: "<1600> Amphitheatre Parkway".into(),
                city: "Mountain View".into(),
                state: "CA".into(),
                country: "United States".into(),
                zip_code: 94043,
            },
            items: vec![OrderItem {
                item: CartItem {
                    product_id: "6E92ZMYYFZ".into(),
                    quantity: 3,
                },
                cost: Money::new("EUR", 7, 959_000_000),
            }],
        };
        let text = Confirmation { order: &order }.render().unwrap();
        for part in [
            "the-order",
            "XK-44123-221234567",
            "€7.95",
            "Amphitheatre Parkway",
            "Mountain View",
            "94043",
            "6E92ZMYYFZ",
            "<td>3</td>",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!text.contains("<1600>"), "what shoppers type is escaped");
    }
}
