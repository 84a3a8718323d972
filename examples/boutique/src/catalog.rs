//! `Catalog`: what the shop sells.

mod product;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anylith::{CallError, Stopping};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

pub use self::product::{Product, ProductsError};

/// Knows every product of the shop.
#[anylith::component]
pub trait Catalog {
    /// All products, in the order in which the shop shows them.
    #[idempotent]
    async fn list(&self) -> Result<Vec<Product>, CatalogError>;

    /// The product whose id is exactly `id`.
    ///
    /// # Errors
    ///
    /// [`CatalogError::NotFound`] if there is none.
    #[idempotent]
    async fn get(&self, id: &str) -> Result<Product, CatalogError>;

    /// The products in whose name or description `query` occurs, in upper or lower case; all for an
    /// empty query.
    #[idempotent]
    async fn search(&self, query: &str) -> Result<Vec<Product>, CatalogError>;
}

/// Why the catalogue did not tell about a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CatalogError {
    /// The shop does not have the product.
    #[error("no product with ID {0}")]
    NotFound(String),
    /// The file with the products was to be read again, and could not be.
    #[error("{0}")]
    Unreadable(String),
    /// The call itself failed.
    #[error("the catalog component gave no answer")]
    Call(#[from] CallError),
}

/// The config of [`CatalogService`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogConfig {
    /// A JSON file with the products; without one, those of `data/products.json` as they were when the
    /// shop was built.
    pub products: Option<PathBuf>,
    /// How long every call waits before it is answered, in milliseconds. For trying out a slow catalogue.
    pub extra_latency_ms: u64,
}

/// Holds the list of products in memory.
///
/// The signal `SIGUSR1` makes it read its file again on every call, `SIGUSR2` makes it stop that.
#[derive(anylith::Component)]
#[component(interface = Catalog, start, serve)]
pub struct CatalogService {
    /// The settings.
    #[config]
    pub config: CatalogConfig,
    #[init]
    products: Arc<[Product]>,
    #[init]
    reload: AtomicBool,
}

impl CatalogService {
    /// Reads the list of products.
    ///
    /// # Errors
    ///
    /// [`ProductsError`] if the file cannot be read, or is not a list of products.
    pub async fn start(parts: CatalogServiceParts) -> Result<Self, ProductsError> {
        let products = match &parts.config.products {
            Some(path) => product::read(path).await?,
            None => product::built_in()?,
        };
        Ok(Self {
            config: parts.config,
            products: products.into(),
            reload: AtomicBool::new(false),
        })
    }

    /// Listens to the signals that switch reloading on and off.
    ///
    /// # Errors
    ///
    /// What the system says if it will not deliver them.
    pub async fn serve(self: Arc<Self>, stopping: Stopping) -> io::Result<()> {
        let mut on = signal(SignalKind::user_defined1())?;
        let mut off = signal(SignalKind::user_defined2())?;
        tokio::pin!(stopping);
        loop {
            let reload = tokio::select! {
                Some(()) = on.recv() => true,
                Some(()) = off.recv() => false,
                () = &mut stopping => return Ok(()),
            };
            tracing::info!(
                reload,
                "reloading of the catalogue on every call was switched"
            );
            self.reload.store(reload, Ordering::Relaxed);
        }
    }

    async fn products(&self) -> Result<Arc<[Product]>, CatalogError> {
        if self.config.extra_latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.config.extra_latency_ms)).await;
        }
        match &self.config.products {
            Some(path) if self.reload.load(Ordering::Relaxed) => match product::read(path).await {
                Ok(products) => Ok(products.into()),
                Err(error) => Err(CatalogError::Unreadable(error.to_string())),
            },
            _ => Ok(Arc::clone(&self.products)),
        }
    }
}

impl Catalog for CatalogService {
    async fn list(&self) -> Result<Vec<Product>, CatalogError> {
        Ok(self.products().await?.to_vec())
    }

    async fn get(&self, id: &str) -> Result<Product, CatalogError> {
        let products = self.products().await?;
        let product = products.iter().find(|product| product.id == id);
        product
            .cloned()
            .ok_or_else(|| CatalogError::NotFound(id.to_owned()))
    }

    async fn search(&self, query: &str) -> Result<Vec<Product>, CatalogError> {
        let needle = query.to_lowercase();
        let products = self.products().await?;
        Ok(products
            .iter()
            .filter(|product| product.matches(&needle))
            .cloned()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn catalog(config: CatalogConfig) -> CatalogService {
        CatalogService::start(CatalogServiceParts { config })
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_product_is_found_by_its_exact_id_only() {
        let catalog = catalog(CatalogConfig::default()).await;
        assert_eq!(catalog.get("6E92ZMYYFZ").await.unwrap().name, "Mug");
        let error = catalog.get("6e92zmyyfz").await.unwrap_err();
        assert_eq!(error.to_string(), "no product with ID 6e92zmyyfz");
    }

    #[tokio::test]
    async fn a_search_looks_into_names_and_descriptions_whatever_the_case() {
        let catalog = catalog(CatalogConfig::default()).await;
        let names = async |query: &str| {
            let found = catalog.search(query).await.unwrap();
            found
                .into_iter()
                .map(|product| product.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names("sALT").await, ["Salt & Pepper Shakers"]);
        assert_eq!(names("nothing like it").await, [""; 0]);
        assert_eq!(names("").await.len(), 9);
        assert_eq!(
            names("dishwasher").await,
            ["Mug"],
            "only its description says so"
        );
    }

    #[tokio::test]
    async fn the_file_is_read_again_only_while_reloading_is_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("products.json");
        std::fs::write(&path, include_str!("../data/products.json")).unwrap();
        let config = CatalogConfig {
            products: Some(path.clone()),
            ..CatalogConfig::default()
        };
        let catalog = catalog(config).await;

        std::fs::write(&path, r#"{"products": []}"#).unwrap();
        assert_eq!(catalog.list().await.unwrap().len(), 9);
        catalog.reload.store(true, Ordering::Relaxed);
        assert_eq!(catalog.list().await.unwrap().len(), 0);
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(
            catalog.list().await,
            Err(CatalogError::Unreadable(_))
        ));
        catalog.reload.store(false, Ordering::Relaxed);
        assert_eq!(catalog.list().await.unwrap().len(), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn extra_latency_is_waited_out_on_every_call() {
        let config = CatalogConfig {
            extra_latency_ms: 250,
            ..CatalogConfig::default()
        };
        let catalog = catalog(config).await;
        let begin = tokio::time::Instant::now();
        catalog.get("6E92ZMYYFZ").await.unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(250));
    }
}
