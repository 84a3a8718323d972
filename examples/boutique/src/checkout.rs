//! `Checkout`: turns a cart into an order.

use anylith::CallError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    cart::{Cart, CartClient, CartError, CartItem},
    catalog::{Catalog, CatalogClient, CatalogError},
    currency::{Currency, CurrencyClient, CurrencyError},
    email::{Email, EmailClient},
    money::{Money, MoneyError},
    order::{Address, Order, OrderItem, total},
    payment::{CreditCard, Payment, PaymentClient, PaymentError},
    shipping::{Shipping, ShippingClient, ShippingError},
};

/// Turns carts into orders.
#[anylith::component]
pub trait Checkout {
    /// Buys what is in the cart of `user_id`: charges `card` in `user_currency`, sends everything to
    /// `address`, empties the cart and writes a confirmation to `email`. An empty cart is an order of
    /// nothing, for nothing.
    ///
    /// # Errors
    ///
    /// [`CheckoutError`]. From [`CheckoutError::Shipping`] on the card has been charged, and stays
    /// charged; the cart is as it was in every case.
    async fn place_order(
        &self,
        user_id: &str,
        user_currency: &str,
        address: &Address,
        email: &str,
        card: &CreditCard,
    ) -> Result<Order, CheckoutError>;
}

/// Why an order was not placed: the variants are the steps to it, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CheckoutError {
    /// The cart could not be read.
    #[error("cart failure: {0}")]
    Cart(#[source] CartError),
    /// A product in the cart could not be looked up.
    #[error("failed to prepare order: failed to get product #\"{id}\"")]
    Product {
        /// The product.
        id: String,
        /// What the catalogue said.
        source: CatalogError,
    },
    /// The price of a product could not be converted.
    #[error("failed to prepare order: failed to convert price of \"{id}\" to {currency}")]
    Price {
        /// The product.
        id: String,
        /// The shopper's currency.
        currency: String,
        /// Why not.
        source: CurrencyError,
    },
    /// It is not known what shipping costs.
    #[error("shipping quote failure: {0}")]
    Quote(#[source] ShippingError),
    /// The cost of shipping could not be converted.
    #[error("failed to convert shipping cost to currency: {0}")]
    ShippingCost(#[source] CurrencyError),
    /// The amounts have no sum.
    #[error("failed to add up the order: {0}")]
    Total(MoneyError),
    /// The card was not charged.
    #[error("failed to charge card: could not charge the card: {0}")]
    Payment(#[source] PaymentError),
    /// The card was charged, but nothing was sent.
    #[error("shipping error: {0}")]
    Shipping(#[source] ShippingError),
    /// The call itself failed.
    #[error("the checkout component gave no answer")]
    Call(#[from] CallError),
}

/// Places orders, one step after the other.
#[derive(anylith::Component)]
#[component(interface = Checkout)]
pub struct CheckoutService {
    /// What is bought.
    pub cart: CartClient,
    /// What it costs.
    pub catalog: CatalogClient,
    /// What it costs in the shopper's currency.
    pub currency: CurrencyClient,
    /// What it costs to send it, and sending it.
    pub shipping: ShippingClient,
    /// Paying for it.
    pub payment: PaymentClient,
    /// Confirming it.
    pub email: EmailClient,
}

impl CheckoutService {
    /// Each line of the cart with the price of one in `currency`.
    async fn price(
        &self,
        cart: &[CartItem],
        currency: &str,
    ) -> Result<Vec<OrderItem>, CheckoutError> {
        let mut lines = Vec::with_capacity(cart.len());
        for item in cart {
            let id = || item.product_id.clone();
            let product = self.catalog.get(&item.product_id).await;
            let product = product.map_err(|source| CheckoutError::Product { id: id(), source })?;
            let cost = self.currency.convert(&product.price_usd, currency).await;
            let cost = cost.map_err(|source| CheckoutError::Price {
                id: id(),
                currency: currency.to_owned(),
                source,
            })?;
            lines.push(OrderItem {
                item: item.clone(),
                cost,
            });
        }
        Ok(lines)
    }

    /// What it costs to send the cart to `address`, in `currency`.
    async fn shipping_cost(
        &self,
        address: &Address,
        cart: &[CartItem],
        currency: &str,
    ) -> Result<Money, CheckoutError> {
        let quote = self.shipping.quote(Some(address.clone()), cart).await;
        let quote = quote.map_err(CheckoutError::Quote)?;
        self.currency
            .convert(&quote, currency)
            .await
            .map_err(CheckoutError::ShippingCost)
    }
}

impl Checkout for CheckoutService {
    async fn place_order(
        &self,
        user_id: &str,
        user_currency: &str,
        address: &Address,
        email: &str,
        card: &CreditCard,
    ) -> Result<Order, CheckoutError> {
        let cart = self.cart.get(user_id).await.map_err(CheckoutError::Cart)?;
        let items = self.price(&cart, user_currency).await?;
        let shipping_cost = self.shipping_cost(address, &cart, user_currency).await?;
        let amount = total(&shipping_cost, &items).map_err(CheckoutError::Total)?;

        let charged = self.payment.charge(&amount, card).await;
        let transaction = charged.map_err(CheckoutError::Payment)?;
        let shipped = self.shipping.ship(address, &cart).await;
        let shipping_tracking_id = shipped.map_err(CheckoutError::Shipping)?;

        // From here on the order stands, whatever happens.
        if let Err(error) = self.cart.empty(user_id).await {
            tracing::warn!(%error, "the cart of a placed order was not emptied");
        }
        let order = Order {
            order_id: Uuid::new_v4().to_string(),
            shipping_tracking_id,
            shipping_cost,
            shipping_address: address.clone(),
            items,
        };
        if let Err(error) = self.email.send_order_confirmation(email, &order).await {
            tracing::warn!(%error, order = order.order_id, "an order was not confirmed");
        }
        tracing::info!(order = order.order_id, transaction, "placed an order");
        Ok(order)
    }
}
