//! Write an application once, as components. Decide at deployment whether it runs as a monolith or as
//! microservices.
//!
//! # An application
//!
//! ```
//! use anylith::CallError;
//! use serde::{Deserialize, Serialize};
//!
//! /// An error has room for a call that failed on its way.
//! #[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
//! pub enum CurrencyError {
//!     #[error("no currency is called {0}")]
//!     Unknown(String),
//!     #[error(transparent)]
//!     Call(#[from] CallError),
//! }
//!
//! /// Knows what money is worth.
//! #[anylith::component]
//! pub trait Currency {
//!     /// Converts `cents` of dollars.
//!     #[idempotent]
//!     async fn convert(&self, cents: u64, to: &str) -> Result<u64, CurrencyError>;
//! }
//!
//! #[derive(anylith::Component)]
//! #[component(interface = Currency)]
//! pub struct FixedRates {}
//!
//! impl Currency for FixedRates {
//!     async fn convert(&self, cents: u64, to: &str) -> Result<u64, CurrencyError> {
//!         match to {
//!             "USD" => Ok(cents),
//!             "EUR" => Ok(cents * 9 / 10),
//!             _ => Err(CurrencyError::Unknown(to.to_owned())),
//!         }
//!     }
//! }
//!
//! /// Nobody calls it, so it has no interface.
//! #[derive(anylith::Component)]
//! pub struct Till {
//!     currency: CurrencyClient, // Till is dependent on Currency
//! }
//!
//! anylith::app! {
//!     /// The smallest shop.
//!     pub Shop = "shop" { FixedRates, Till }
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     // `Shop::run().await` is all of `main` in most applications. Here it runs beside what `main` does.
//!     let running = Shop::start().await.expect("both components start");
//!     let till = running.component::<Till>().expect("it runs in this process");
//!     assert_eq!(till.currency.convert(200, "EUR").await, Ok(180));
//!     running.stop();
//!     running.wait().await;
//! }
//! ```
//!
//! - [`macro@component`] on a trait makes it an interface. Next to a trait `Currency` comes `CurrencyClient`.
//! - [`macro@Component`] on a struct makes it an implementation. Its fields are what it needs: clients, and with a mark
//!   its `#[config]`, a `#[listener]`, or what is made by hand (`#[init]`).
//! - [`app!`] closes the set. What a component calls and nothing provides is a compile error.
//! - [`Builder`] takes what is made by hand; [`Running`] is the application at work.
//!
//! # Whole or split
//!
//! The program by itself is the whole application in one process. The command `anylith run --topology micro` runs
//! the same program as a process for each component, and `anylith.toml` describes everything between. A client finds
//! the target of each call: the implementation in its own process, or a replica elsewhere.
//!
//! # What a call promises
//!
//! The same in every topology. The callee's own error arrives as it is. Every call has a deadline, 10 s where nothing
//! is set, that its own calls inherit. Dropping the future stops the callee. A call runs at most once, unless the method is
//! `#[idempotent]`. Where no answer comes, [`CallError`] says whether the callee has run: [`CallError::execution`].
//!
//! The guide is in `docs/guide/` of the repository.

pub use anylith_core::{
    Allowance, BadAnswer, Baggage, BaggageFull, BaggageItem, CallContext, CallError, Edge,
    Execution, LostAnswer, Name, Overload, Refusal, TraceContext,
};
pub use anylith_macros::{Component, app, component, test};
#[doc(hidden)]
pub use anylith_runtime::__rt;
pub use anylith_runtime::__rt::Stream;
pub use anylith_runtime::{
    AppError, Assembled, Builder, CallCounts, Component, InvalidRole, JsonLine, Listener, Running,
    SetupError, StartError, Stopping, Streaming, Wiring, context, telemetry,
};

#[cfg(doctest)]
mod guide {
    //! The code in the guide compiles.

    #[doc = include_str!("../../../docs/guide/calls.md")]
    struct Calls;

    #[doc = include_str!("../../../docs/guide/config-and-listeners.md")]
    struct ConfigAndListeners;

    #[doc = include_str!("../../../docs/guide/metrics.md")]
    struct Metrics;

    #[doc = include_str!("../../../docs/guide/traces.md")]
    struct Traces;

    #[doc = include_str!("../../../docs/guide/singletons.md")]
    struct Singletons;

    #[doc = include_str!("../../../README.md")]
    struct Readme;
}
