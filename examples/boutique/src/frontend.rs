//! `Frontend`: the shop's pages.

mod asset;
mod cart;
mod checkout;
mod failure;
mod form;
mod home;
mod page;
mod preferences;
mod product;
mod storefront;
mod validation;
mod visit;

use std::{io, sync::Arc};

use anylith::{Listener, Stopping};
use serde::Deserialize;

use crate::{
    ad::AdClient, cart::CartClient, catalog::CatalogClient, checkout::CheckoutClient,
    currency::CurrencyClient, recommendation::RecommendationClient, shipping::ShippingClient,
};

pub use self::storefront::Storefront;

/// Serves the shop's pages on the listener `web`.
#[derive(anylith::Component)]
#[component(serve)]
pub struct Frontend {
    #[config]
    config: FrontendConfig,
    #[listener]
    web: Listener,
    catalog: CatalogClient,
    currency: CurrencyClient,
    cart: CartClient,
    recommendation: RecommendationClient,
    shipping: ShippingClient,
    checkout: CheckoutClient,
    ad: AdClient,
}

impl Frontend {
    /// Answers requests until it is told to stop, and then those that have come in.
    ///
    /// # Errors
    ///
    /// What the system says if the listener cannot be used.
    pub async fn serve(self: Arc<Self>, stopping: Stopping) -> io::Result<()> {
        let storefront = Storefront {
            config: self.config.clone(),
            catalog: self.catalog.clone(),
            currency: self.currency.clone(),
            cart: self.cart.clone(),
            recommendation: self.recommendation.clone(),
            shipping: self.shipping.clone(),
            checkout: self.checkout.clone(),
            ad: self.ad.clone(),
        };
        self.web.serve(storefront.router(), stopping).await
    }
}

/// The config of [`Frontend`].
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FrontendConfig {
    /// A path under which the whole shop is found, such as `/shop`; empty by default.
    pub base_url: BasePath,
    /// A sentence at the top of every page.
    pub frontend_message: Option<String>,
    /// Where the shop runs, said on every page.
    pub env_platform: Option<Platform>,
    /// Whether the shop goes by its other name, Cymbal Shops.
    pub cymbal_branding: bool,
    /// Whether everyone without a session gets the same one, and so the same cart.
    pub enable_single_shared_session: bool,
    /// How many milliseconds a page waits for its advertisement before it does without; 100 by default.
    pub ad_limit_ms: u64,
}

impl Default for FrontendConfig {
    fn default() -> Self {
        Self {
            base_url: BasePath::default(),
            frontend_message: None,
            env_platform: None,
            cymbal_branding: false,
            enable_single_shared_session: false,
            ad_limit_ms: 100,
        }
    }
}

impl FrontendConfig {
    /// What the shop is called.
    fn shop_name(&self) -> &'static str {
        if self.cymbal_branding {
            "Cymbal Shops"
        } else {
            "Online Boutique"
        }
    }
}

/// The path of the shop on its server: empty, or beginning and not ending with `/`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct BasePath(String);

/// The text is not the path of a shop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a path for the shop: begin with `/`, do not end with it, and use letters, digits, \
     `-`, `_`, `.` and `~`"
)]
pub struct InvalidBasePath(String);

impl TryFrom<String> for BasePath {
    type Error = InvalidBasePath;

    fn try_from(path: String) -> Result<Self, InvalidBasePath> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
        let whole = path.starts_with('/') && !path.ends_with('/') && !path.contains("//");
        if path.is_empty() || (whole && path.bytes().all(allowed)) {
            Ok(Self(path))
        } else {
            Err(InvalidBasePath(path))
        }
    }
}

/// Where a shop can say that it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// On a machine at hand.
    Local,
    /// On Google Cloud.
    Gcp,
    /// On Amazon Web Services.
    Aws,
    /// On Microsoft Azure.
    Azure,
    /// In a data centre of one's own.
    Onprem,
    /// On Alibaba Cloud.
    Alibaba,
}

impl Platform {
    /// What the pages say.
    fn label(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Gcp => "Google Cloud",
            Self::Aws => "AWS",
            Self::Azure => "Azure",
            Self::Onprem => "On-Premises",
            Self::Alibaba => "Alibaba Cloud",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_that_would_break_links_is_refused() {
        for good in ["", "/shop", "/a/b-c_d.e~f"] {
            assert!(BasePath::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "/",
            "shop",
            "/shop/",
            "/a//b",
            "/{id}",
            "/a b",
            "//evil.example",
        ] {
            assert!(BasePath::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
