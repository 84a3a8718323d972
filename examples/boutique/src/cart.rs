//! `Cart`: what each shopper is about to buy.

mod database;

use anylith::CallError;
use serde::{Deserialize, Serialize};

use self::database::Database;

pub use self::database::{DatabaseUrl, OpenError};

/// Keeps one shopping cart per shopper.
#[anylith::component]
pub trait Cart {
    /// Puts `item` into the cart of `user_id`: more of a product that is already there, or a new line at
    /// the end.
    ///
    /// Two that add at the same time both succeed, and nothing is lost.
    ///
    /// # Errors
    ///
    /// [`CartError::Quantity`] for a quantity below 1; the cart is then as it was.
    async fn add(&self, user_id: &str, item: &CartItem) -> Result<(), CartError>;

    /// What is in the cart of `user_id`, in the order in which it was put there; empty for a stranger.
    #[idempotent]
    async fn get(&self, user_id: &str) -> Result<Vec<CartItem>, CartError>;

    /// Takes everything out of the cart of `user_id`.
    #[idempotent]
    async fn empty(&self, user_id: &str) -> Result<(), CartError>;
}

/// One line of a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartItem {
    /// Which product.
    pub product_id: String,
    /// How many of it, at least 1.
    pub quantity: i32,
}

/// Why a cart could not be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CartError {
    /// Nothing can be put into a cart less than once.
    #[error("a quantity of {0} is less than one")]
    Quantity(i32),
    /// The database failed.
    #[error("Can't access cart storage. {0}")]
    Storage(String),
    /// The call itself failed.
    #[error("the cart component gave no answer")]
    Call(#[from] CallError),
}

impl From<sqlx::Error> for CartError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.to_string())
    }
}

/// The config of [`CartService`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CartConfig {
    /// Where the carts are kept; by default in `sqlite:carts.db`.
    pub database: DatabaseUrl,
}

/// Keeps carts in an SQL database.
#[derive(anylith::Component)]
#[component(interface = Cart, start, stop)]
pub struct CartService {
    /// The settings.
    #[config]
    pub config: CartConfig,
    #[init]
    database: Database,
}

impl CartService {
    /// Connects to the database, and makes the table if there is none.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which names the database but not its password.
    pub async fn start(parts: CartServiceParts) -> Result<Self, OpenError> {
        let database = Database::open(&parts.config.database).await?;
        Ok(Self {
            config: parts.config,
            database,
        })
    }

    /// Closes the connections to the database.
    pub async fn stop(&self) {
        self.database.close().await;
        tracing::debug!(database = %self.config.database, "the carts are closed");
    }
}

impl Cart for CartService {
    async fn add(&self, user_id: &str, item: &CartItem) -> Result<(), CartError> {
        if item.quantity < 1 {
            return Err(CartError::Quantity(item.quantity));
        }
        Ok(self.database.add(user_id, item).await?)
    }

    async fn get(&self, user_id: &str) -> Result<Vec<CartItem>, CartError> {
        Ok(self.database.lines(user_id).await?)
    }

    async fn empty(&self, user_id: &str) -> Result<(), CartError> {
        Ok(self.database.empty(user_id).await?)
    }
}
