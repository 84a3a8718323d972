//! An application as its author declares it, run whole in one process.

#![expect(missing_docs, reason = "a test has no readers of its documentation")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anylith::{CallError, Execution, Stream, Streaming};
use serde::{Deserialize, Serialize};

/// Why a price could not be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum PriceError {
    #[error("no such thing")]
    Unknown,
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Knows prices.
#[anylith::component]
pub trait Prices {
    /// The price of `thing`.
    #[idempotent]
    async fn of(&self, thing: &str, count: &u32) -> Result<u64, PriceError>;
    /// All prices, one by one.
    async fn all(
        &self,
        from: u64,
    ) -> Result<impl Stream<Item = Result<u64, PriceError>>, PriceError>;
    /// Adds up.
    async fn sum(
        &self,
        prices: impl Stream<Item = Result<u64, PriceError>>,
    ) -> Result<u64, PriceError>;
    async fn broken(&self) -> Result<(), PriceError>;
    async fn asleep(&self) -> Result<(), PriceError>;
}

#[derive(anylith::Component)]
#[component(interface = Prices, start, stop)]
pub struct PriceList {
    #[init]
    base: u64,
    #[config]
    config: PriceConfig,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriceConfig {
    surcharge: u64,
}

impl PriceList {
    async fn start(parts: PriceListParts) -> Result<Self, std::io::Error> {
        Ok(Self {
            base: 5,
            config: parts.config,
        })
    }

    async fn stop(&self) {}
}

impl Prices for PriceList {
    async fn of(&self, thing: &str, count: &u32) -> Result<u64, PriceError> {
        match thing {
            "mug" => Ok((self.base + self.config.surcharge) * u64::from(*count)),
            _ => Err(PriceError::Unknown),
        }
    }

    async fn all(
        &self,
        from: u64,
    ) -> Result<impl Stream<Item = Result<u64, PriceError>> + use<>, PriceError> {
        let mut next = from;
        Ok(Numbers(move || {
            next += 1;
            (next < from + 4).then_some(Ok(next))
        }))
    }

    async fn sum(
        &self,
        prices: impl Stream<Item = Result<u64, PriceError>> + Send + 'static,
    ) -> Result<u64, PriceError> {
        let mut prices = Streaming::new(prices);
        let mut sum = 0;
        while let Some(price) = prices.next().await {
            sum += price?;
        }
        Ok(sum)
    }

    async fn broken(&self) -> Result<(), PriceError> {
        panic!("out of {}", "order")
    }

    async fn asleep(&self) -> Result<(), PriceError> {
        std::future::pending().await
    }
}

struct Numbers<F>(F);

impl<F: FnMut() -> Option<Result<u64, PriceError>> + Unpin> Stream for Numbers<F> {
    type Item = Result<u64, PriceError>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready((self.0)())
    }
}

anylith::app! {
    /// A shop with two components.
    pub Shop = "shop" { PriceList, Till }
}

/// Calls, and works beside its calls.
#[derive(anylith::Component)]
#[component(start, serve)]
pub struct Till {
    prices: PricesClient,
    #[init]
    stopped: AtomicBool,
}

impl Till {
    async fn start(parts: TillParts) -> Result<Self, PriceError> {
        // What it is dependent on is ready by now.
        parts.prices.of("mug", &1).await?;
        Ok(Self {
            prices: parts.prices,
            stopped: AtomicBool::new(false),
        })
    }

    async fn serve(self: Arc<Self>, stopping: anylith::Stopping) -> Result<(), PriceError> {
        stopping.await;
        self.stopped.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::test]
async fn a_local_call_keeps_the_contract() {
    let running = Shop::start().await.unwrap();
    let till = running.component::<Till>().unwrap();
    let prices = &till.prices;
    assert_eq!(prices.of("mug", &3).await, Ok(15));
    assert_eq!(prices.of("car", &3).await, Err(PriceError::Unknown));
    let mut all = Streaming::new(prices.all(7).await.unwrap());
    let mut seen = Vec::new();
    while let Some(item) = all.next().await {
        seen.push(item.unwrap());
    }
    assert_eq!(seen, [8, 9, 10]);
    assert_eq!(prices.sum(prices.all(0).await.unwrap()).await, Ok(6));
    let Err(PriceError::Call(CallError::Panicked { edge, message })) = prices.broken().await else {
        panic!("a panic came out as something else");
    };
    assert_eq!(
        (edge.to_string().as_str(), message.as_str()),
        ("Till -> Prices.broken", "out of order")
    );
    tokio::time::pause();
    let Err(PriceError::Call(error)) = prices.asleep().await else {
        panic!("it woke up")
    };
    assert_eq!(error.execution(), Execution::Unknown);
    tokio::time::resume();
    running.stop();
    running.wait().await;
    assert!(till.stopped.load(Ordering::Relaxed));
}

/// Counts.
#[anylith::component]
pub trait Counter {
    async fn next(&self) -> Result<u64, CallError>;
}

/// What begins empty needs nobody who makes it.
#[derive(anylith::Component)]
#[component(interface = Counter)]
pub struct InMemory {
    #[init(default)]
    count: std::sync::Mutex<u64>,
}

impl Counter for InMemory {
    async fn next(&self) -> Result<u64, CallError> {
        let mut count = self.count.lock().expect("nobody panics while counting");
        *count += 1;
        Ok(*count)
    }
}

#[derive(anylith::Component)]
pub struct Turnstile {
    counter: CounterClient,
}

anylith::app! { Zoo = "zoo" { InMemory, Turnstile } }

#[tokio::test]
async fn a_field_that_begins_with_its_default_needs_no_hook() {
    let running = Zoo::start().await.unwrap();
    let turnstile = running.component::<Turnstile>().unwrap();
    assert_eq!(turnstile.counter.next().await, Ok(1));
    assert_eq!(turnstile.counter.next().await, Ok(2));
    running.stop();
    running.wait().await;
}
