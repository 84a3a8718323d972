//! `Shipping`: what it costs to send an order, and sending it.

use anylith::CallError;
use serde::{Deserialize, Serialize};

use crate::{cart::CartItem, money::Money, order::Address};

/// Brings orders to their shoppers.
#[anylith::component]
pub trait Shipping {
    /// What it costs to send `items`, in US dollars. Where to does not matter, and need not be known.
    #[idempotent]
    async fn quote(
        &self,
        address: Option<Address>,
        items: &[CartItem],
    ) -> Result<Money, ShippingError>;

    /// Sends `items` to `address` and returns the number under which the parcel can be tracked.
    async fn ship(&self, address: &Address, items: &[CartItem]) -> Result<String, ShippingError>;
}

/// Why an order was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ShippingError {
    /// The call itself failed.
    #[error("the shipping component gave no answer")]
    Call(#[from] CallError),
}

/// Ships everything at a flat rate.
#[derive(anylith::Component)]
#[component(interface = Shipping)]
pub struct ShippingService {}

impl Shipping for ShippingService {
    async fn quote(
        &self,
        _address: Option<Address>,
        items: &[CartItem],
    ) -> Result<Money, ShippingError> {
        let count: i64 = items.iter().map(|item| i64::from(item.quantity)).sum();
        Ok(if count == 0 {
            Money::zero("USD")
        } else {
            Money::new("USD", 8, 990_000_000)
        })
    }

    async fn ship(&self, address: &Address, _items: &[CartItem]) -> Result<String, ShippingError> {
        Ok(tracking_id(address))
    }
}

/// Two letters and two numbers, at random except for the length of the address in both numbers:
/// `XK-44123-221234567` for one of 44 bytes.
fn tracking_id(address: &Address) -> String {
    let Address {
        street_address,
        city,
        state,
        ..
    } = address;
    let length = format!("{street_address}, {city}, {state}").len();
    let letter = || char::from(fastrand::u8(b'A'..=b'Y'));
    format!(
        "{}{}-{length}{:03}-{}{:07}",
        letter(),
        letter(),
        fastrand::u32(..1_000),
        length / 2,
        fastrand::u32(..10_000_000),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(quantity: i32) -> CartItem {
        CartItem {
            product_id: "6E92ZMYYFZ".into(),
            quantity,
        }
    }

    #[tokio::test]
    async fn shipping_costs_the_same_for_any_number_of_things_and_nothing_for_none() {
        let shipping = ShippingService {};
        let quote =
            async |items: &[CartItem]| shipping.quote(None, items).await.unwrap().to_string();
        assert_eq!(quote(&[]).await, "$0.00");
        assert_eq!(quote(&[item(0)]).await, "$0.00");
        assert_eq!(quote(&[item(1)]).await, "$8.99");
        assert_eq!(quote(&[item(i32::MAX), item(i32::MAX)]).await, "$8.99");
    }

    #[test]
    fn a_tracking_id_carries_the_length_of_the_address_in_bytes() {
        let address = |street: &str| Address {
            street_address: street.to_owned(),
            city: "Mountain View".into(),
            state: "CA".into(),
            country: "United States".into(),
            zip_code: 94043,
        };
        for (street, length) in [("1600 Amphitheatre Parkway", 44), ("1", 20), ("Straße", 26)] {
            for _ in 0..100 {
                let id = tracking_id(&address(street));
                let [letters, first, second] = *id.split('-').collect::<Vec<_>>() else {
                    panic!("{id} does not have three parts");
                };
                assert!(letters.len() == 2 && letters.bytes().all(|b| (b'A'..=b'Y').contains(&b)));
                assert!(first.starts_with(&format!("{length}")), "{id}");
                assert!(second.starts_with(&format!("{}", length / 2)), "{id}");
                assert_eq!((first.len(), second.len()), (5, 9), "{id}");
                assert!(
                    (first.to_owned() + second)
                        .bytes()
                        .all(|byte| byte.is_ascii_digit())
                );
            }
        }
    }
}
