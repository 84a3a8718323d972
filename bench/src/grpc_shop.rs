//! The shop's ten components behind tonic: what the shop would be without Anylith between them.
//!
//! Each process is a small application of three kinds of components: one of the shop's own, unchanged; a
//! door that serves it over gRPC; and for each component that it is dependent on, one of the same
//! interface that asks the process behind that door. So the code of the components, their configuration
//! and their start are the same on both sides of the comparison, and only what carries the calls differs.
//! The calls between the three within their process are local and cost some nanoseconds.

use std::{env, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail, ensure};
use anylith_core::Endpoint;
use boutique::{
    ad::AdService, cart::CartService, catalog::CatalogService, checkout::CheckoutService,
    currency::CurrencyService, email::EmailService, frontend::Frontend, payment::PaymentService,
    recommendation::RecommendationService, shipping::ShippingService,
};

use self::{
    door::{
        AdDoor, CartDoor, CatalogDoor, CheckoutDoor, CurrencyDoor, EmailDoor, PaymentDoor,
        RecommendationDoor, ShippingDoor,
    },
    stub::{
        AdStub, CartStub, CatalogStub, CheckoutStub, CurrencyStub, EmailStub, PaymentStub,
        RecommendationStub, ShippingStub,
    },
};

mod convert;
mod door;
mod stub;

/// What `build.rs` made of `proto/hipstershop.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod proto {
    tonic::include_proto!("hipstershop");
}

/// Environment variable: the folder of the sockets at which the components answer.
pub(crate) const ENV_SOCKETS: &str = "BENCH_SHOP_SOCKETS";

/// All components, those first that others are dependent on.
pub(crate) const COMPONENTS: [&str; 10] = [
    "Catalog",
    "Currency",
    "Cart",
    "Recommendation",
    "Shipping",
    "Payment",
    "Email",
    "Ad",
    "Checkout",
    "Frontend",
];

/// Where `component` answers.
fn endpoint(component: &str) -> Result<Endpoint> {
    let folder = env::var_os(ENV_SOCKETS).context("BENCH_SHOP_SOCKETS is not set")?;
    Ok(Endpoint::Unix(
        PathBuf::from(folder).join(component).with_extension("sock"),
    ))
}

/// An application of components, most of which another crate defines.
///
/// `anylith::app!` would also check that nothing is missing, but it can tell components of other crates apart
/// only by their types, which is not enough for Rust's rule against overlapping implementations.
macro_rules! process {
    ($process:ident = $name:literal { $($component:ty),* $(,)? }) => {
        struct $process;

        impl anylith::__rt::Application for $process {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = "One process of the shop behind tonic.";

            fn components() -> Vec<anylith::__rt::Registration> {
                vec![$(anylith::__rt::Registration::of::<$component>()),*]
            }
        }

        impl $process {
            async fn run() -> ExitCode {
                anylith::Builder::<Self>::new().run().await
            }
        }
    };
}

process!(CatalogProcess = "catalog" { CatalogService, CatalogDoor });
process!(CurrencyProcess = "currency" { CurrencyService, CurrencyDoor });
process!(CartProcess = "cart" { CartService, CartDoor });
process!(RecommendationProcess = "recommendation" {
    RecommendationService, RecommendationDoor, CatalogStub,
});
process!(ShippingProcess = "shipping" { ShippingService, ShippingDoor });
process!(PaymentProcess = "payment" { PaymentService, PaymentDoor });
process!(EmailProcess = "email" { EmailService, EmailDoor });
process!(AdProcess = "ad" { AdService, AdDoor });
process!(CheckoutProcess = "checkout" {
    CheckoutService, CheckoutDoor,
    CartStub, CatalogStub, CurrencyStub, ShippingStub, PaymentStub, EmailStub,
});
process!(FrontendProcess = "frontend" {
    Frontend,
    CatalogStub, CurrencyStub, CartStub, RecommendationStub, ShippingStub, CheckoutStub, AdStub,
});

/// Runs the process of one component until it is told to stop.
pub(crate) async fn run(component: &str) -> Result<()> {
    let code = match component {
        "Catalog" => CatalogProcess::run().await,
        "Currency" => CurrencyProcess::run().await,
        "Cart" => CartProcess::run().await,
        "Recommendation" => RecommendationProcess::run().await,
        "Shipping" => ShippingProcess::run().await,
        "Payment" => PaymentProcess::run().await,
        "Email" => EmailProcess::run().await,
        "Ad" => AdProcess::run().await,
        "Checkout" => CheckoutProcess::run().await,
        "Frontend" => FrontendProcess::run().await,
        other => bail!("the shop has no {other}"),
    };
    ensure!(code == ExitCode::SUCCESS, "{component} failed");
    Ok(())
}
