//! Counts the calls along each edge.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use boutique::{
    ad::{Ad, AdError, Advertisement},
    cart::{Cart, CartError, CartItem},
    catalog::{Catalog, CatalogError, Product},
    checkout::{Checkout, CheckoutError},
    currency::{Currency, CurrencyError},
    email::{Email, EmailError},
    money::Money,
    order::{Address, Order},
    payment::{CreditCard, Payment, PaymentError},
    recommendation::{Recommendation, RecommendationError},
    shipping::{Shipping, ShippingError},
};

type Edge = (&'static str, &'static str);

/// How many calls went along each edge.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Mutex<BTreeMap<Edge, u32>>>);

impl Counts {
    /// What was counted since the last time, as text: `Frontend -> Catalog 7`.
    pub(crate) fn take(&self) -> Vec<String> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap());
        let line = |((caller, callee), count)| format!("{caller} -> {callee} {count}");
        counts.into_iter().map(line).collect()
    }
}

/// A component whose calls from one caller are counted.
pub(crate) struct Counted<T> {
    inner: T,
    counts: Counts,
    edge: Edge,
}

impl<T> Counted<T> {
    pub(crate) fn new(
        inner: T,
        (counts, caller, callee): (Counts, &'static str, &'static str),
    ) -> Self {
        Self {
            inner,
            counts,
            edge: (caller, callee),
        }
    }

    fn count(&self) -> &T {
        *self.counts.0.lock().unwrap().entry(self.edge).or_default() += 1;
        &self.inner
    }
}

impl<T: Catalog> Catalog for Counted<T> {
    async fn list(&self) -> Result<Vec<Product>, CatalogError> {
        self.count().list().await
    }
    async fn get(&self, id: &str) -> Result<Product, CatalogError> {
        self.count().get(id).await
    }
    async fn search(&self, query: &str) -> Result<Vec<Product>, CatalogError> {
        self.count().search(query).await
    }
}

impl<T: Currency> Currency for Counted<T> {
    async fn supported(&self) -> Result<Vec<String>, CurrencyError> {
        self.count().supported().await
    }
    async fn convert(&self, from: &Money, to: &str) -> Result<Money, CurrencyError> {
        self.count().convert(from, to).await
    }
}

impl<T: Cart> Cart for Counted<T> {
    async fn add(&self, user_id: &str, item: &CartItem) -> Result<(), CartError> {
        self.count().add(user_id, item).await
    }
    async fn get(&self, user_id: &str) -> Result<Vec<CartItem>, CartError> {
        self.count().get(user_id).await
    }
    async fn empty(&self, user_id: &str) -> Result<(), CartError> {
        self.count().empty(user_id).await
    }
}

impl<T: Recommendation> Recommendation for Counted<T> {
    async fn list(&self, user: &str, ids: &[String]) -> Result<Vec<String>, RecommendationError> {
        self.count().list(user, ids).await
    }
}

impl<T: Shipping> Shipping for Counted<T> {
    async fn quote(&self, to: Option<Address>, items: &[CartItem]) -> Result<Money, ShippingError> {
        self.count().quote(to, items).await
    }
    async fn ship(&self, to: &Address, items: &[CartItem]) -> Result<String, ShippingError> {
        self.count().ship(to, items).await
    }
}

impl<T: Payment> Payment for Counted<T> {
    async fn charge(&self, amount: &Money, card: &CreditCard) -> Result<String, PaymentError> {
        self.count().charge(amount, card).await
    }
}

impl<T: Email> Email for Counted<T> {
    async fn send_order_confirmation(&self, email: &str, order: &Order) -> Result<(), EmailError> {
        self.count().send_order_confirmation(email, order).await
    }
}

impl<T: Ad> Ad for Counted<T> {
    async fn get(&self, context_keys: &[String]) -> Result<Vec<Advertisement>, AdError> {
        self.count().get(context_keys).await
    }
}

impl<T: Checkout> Checkout for Counted<T> {
    async fn place_order(
        &self,
        user_id: &str,
        user_currency: &str,
        address: &Address,
        email: &str,
        card: &CreditCard,
    ) -> Result<Order, CheckoutError> {
        self.count()
            .place_order(user_id, user_currency, address, email, card)
            .await
    }
}
