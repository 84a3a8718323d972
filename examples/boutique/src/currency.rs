//! `Currency`: which currencies the shop knows, and what an amount is in another one.

mod rates;

use std::path::PathBuf;

use anylith::CallError;
use serde::{Deserialize, Serialize};

use self::rates::Rates;
use crate::money::Money;

pub use self::rates::RatesError;

/// Converts prices from one currency into another.
#[anylith::component]
pub trait Currency {
    /// The codes of all currencies, in the order of the table of rates.
    #[idempotent]
    async fn supported(&self) -> Result<Vec<String>, CurrencyError>;

    /// What `from` is in the currency `to`.
    ///
    /// # Errors
    ///
    /// [`CurrencyError::Unsupported`] if either currency is unknown, [`CurrencyError::Amount`] for less
    /// than nothing and for amounts too large to be exact.
    #[idempotent]
    async fn convert(&self, from: &Money, to: &str) -> Result<Money, CurrencyError>;
}

/// Why a question about currencies has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CurrencyError {
    /// The shop has no rate for this currency.
    #[error("unsupported currency code")]
    Unsupported(String),
    /// The amount is invalid, below zero, or beyond 2⁵³ units when converted.
    #[error("this amount cannot be converted")]
    Amount,
    /// The call itself failed.
    #[error("the currency component gave no answer")]
    Call(#[from] CallError),
}

/// The config of [`CurrencyService`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CurrencyConfig {
    /// A JSON file with the rates; without one, the rates of `data/currency_rates.json` as they were
    /// when the shop was built.
    pub rates: Option<PathBuf>,
}

/// Converts by a table of rates that it reads once.
#[derive(anylith::Component)]
#[component(interface = Currency, start)]
pub struct CurrencyService {
    /// The settings.
    #[config]
    pub config: CurrencyConfig,
    #[init]
    rates: Rates,
}

impl CurrencyService {
    /// Reads the table.
    ///
    /// # Errors
    ///
    /// [`RatesError`] if the file cannot be read, or is not a table of rates.
    pub async fn start(parts: CurrencyServiceParts) -> Result<Self, RatesError> {
        let rates = Rates::load(parts.config.rates.as_deref())?;
        Ok(Self {
            config: parts.config,
            rates,
        })
    }
}

impl Currency for CurrencyService {
    async fn supported(&self) -> Result<Vec<String>, CurrencyError> {
        Ok(self.rates.codes())
    }

    async fn convert(&self, from: &Money, to: &str) -> Result<Money, CurrencyError> {
        self.rates.convert(from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn currencies_are_listed_in_the_order_of_the_table() {
        let config = CurrencyConfig::default();
        let currency = CurrencyService::start(CurrencyServiceParts { config })
            .await
            .unwrap();
        let codes = currency.supported().await.unwrap();
        assert_eq!(codes.len(), 33);
        assert_eq!(
            codes[..8],
            ["EUR", "USD", "JPY", "BGN", "CZK", "DKK", "GBP", "HUF"]
        );
        assert_eq!(codes[32], "ZAR");
    }
}
