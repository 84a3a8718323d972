//! `Recommendation`: what else a shopper may like.

use anylith::CallError;
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, CatalogClient, CatalogError};

/// The most products that are recommended at a time.
const AT_MOST: usize = 5;

/// Picks products that a shopper may like as well.
#[anylith::component]
pub trait Recommendation {
    /// Up to five products other than `product_ids`, each once, picked and ordered at random.
    #[idempotent]
    async fn list(
        &self,
        user_id: &str,
        product_ids: &[String],
    ) -> Result<Vec<String>, RecommendationError>;
}

/// Why nothing is recommended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RecommendationError {
    /// There is no list of products to pick from.
    #[error("could not list the products: {0}")]
    Catalog(CatalogError),
    /// The call itself failed.
    #[error("the recommendation component gave no answer")]
    Call(#[from] CallError),
}

/// Recommends by chance.
#[derive(anylith::Component)]
#[component(interface = Recommendation)]
pub struct RecommendationService {
    /// The products to pick from.
    pub catalog: CatalogClient,
}

impl Recommendation for RecommendationService {
    async fn list(
        &self,
        _user_id: &str,
        product_ids: &[String],
    ) -> Result<Vec<String>, RecommendationError> {
        let products = self
            .catalog
            .list()
            .await
            .map_err(RecommendationError::Catalog)?;
        let mut others: Vec<String> = products
            .into_iter()
            .map(|product| product.id)
            .filter(|id| !product_ids.contains(id))
            .collect();
        fastrand::shuffle(&mut others);
        others.truncate(AT_MOST);
        Ok(others)
    }
}
