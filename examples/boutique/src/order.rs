//! What a shopper ordered, and where it goes.

use serde::{Deserialize, Serialize};

use crate::{
    cart::CartItem,
    money::{Money, MoneyError},
};

/// Where an order is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Street and number.
    pub street_address: String,
    /// The city.
    pub city: String,
    /// The state, or whatever the country has in its place.
    pub state: String,
    /// The country.
    pub country: String,
    /// The postal code.
    pub zip_code: i32,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderItem {
    /// The product, and how many of it.
    pub item: CartItem,
    /// The price of one, in the currency of the order.
    pub cost: Money,
}

/// An order that was placed, paid and shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// A UUID.
    pub order_id: String,
    /// What the carrier knows the parcel by.
    pub shipping_tracking_id: String,
    /// What shipping costs, in the currency of the order.
    pub shipping_cost: Money,
    /// Where it goes.
    pub shipping_address: Address,
    /// What was bought, in the order of the cart.
    pub items: Vec<OrderItem>,
}

/// What `items` and their shipping cost together.
///
/// # Errors
///
/// [`MoneyError`] if an amount is invalid, in another currency, or if the sum is too large.
pub fn total(shipping_cost: &Money, items: &[OrderItem]) -> Result<Money, MoneyError> {
    items.iter().try_fold(shipping_cost.clone(), |total, line| {
        total.sum(&line.cost.times(line.item.quantity)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_shipping_and_each_line_times_its_quantity() {
        let line = |nanos, quantity| OrderItem {
            item: CartItem {
                product_id: String::new(),
                quantity,
            },
            cost: Money::new("USD", 1, nanos),
        };
        let shipping = Money::new("USD", 8, 990_000_000);
        assert_eq!(total(&shipping, &[]), Ok(shipping.clone()));
        let items = [line(990_000_000, 3), line(10_000_000, 1)];
        assert_eq!(
            total(&shipping, &items),
            Ok(Money::new("USD", 15, 970_000_000))
        );
    }
}
