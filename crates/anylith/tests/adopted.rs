//! An application that had `#[async_trait]` and `Arc<dyn …>` before it had components, and keeps them.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use anylith::CallError;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
enum PriceError {
    #[error("no such thing")]
    Unknown,
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Knows prices.
#[anylith::component]
#[async_trait]
trait Prices: Send + Sync {
    #[idempotent]
    async fn of(&self, thing: &str, count: &u32) -> Result<u64, PriceError>;
    async fn broken(&self, items: Vec<String>) -> Result<(), PriceError>;
}

#[derive(anylith::Component)]
#[component(interface = Prices)]
struct PriceList {
    #[init]
    base: u64,
}

#[async_trait]
impl Prices for PriceList {
    async fn of(&self, thing: &str, count: &u32) -> Result<u64, PriceError> {
        tokio::task::yield_now().await;
        match thing {
            "mug" => Ok(self.base * u64::from(*count)),
            _ => Err(PriceError::Unknown),
        }
    }

    async fn broken(&self, items: Vec<String>) -> Result<(), PriceError> {
        panic!("out of {}", items.join(" and "))
    }
}

/// Not a component yet: it holds the service as it always did.
struct Discount {
    prices: Arc<dyn Prices>,
    asked: AtomicU32,
}

impl Discount {
    async fn half(&self, thing: &str) -> Result<u64, PriceError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(self.prices.of(thing, &1).await? / 2)
    }
}

#[derive(anylith::Component)]
struct Till {
    prices: Arc<dyn Prices>,
    #[init]
    discount: Discount,
}

anylith::app! {
    /// A shop that was there before.
    Shop = "shop" { PriceList, Till }
}

async fn open() -> (anylith::Running, Arc<Till>) {
    let running = Shop::builder()
        .with(PriceList { base: 5 })
        .assemble(|TillParts { prices }| Till {
            discount: Discount {
                prices: Arc::clone(&prices),
                asked: AtomicU32::new(0),
            },
            prices,
        })
        .start()
        .await
        .expect("the shop starts");
    let till = running.component::<Till>().expect("it is in this process");
    (running, till)
}

#[tokio::test]
async fn a_trait_that_keeps_async_trait_is_called_like_any_other() {
    let (running, till) = open().await;
    assert_eq!(till.prices.of("mug", &3).await, Ok(15));
    assert_eq!(till.prices.of("car", &3).await, Err(PriceError::Unknown));
    let items = vec!["paper".to_owned(), "order".to_owned()];
    let Err(PriceError::Call(error)) = till.prices.broken(items).await else {
        panic!("a panic came out as something else");
    };
    assert_eq!(
        error.to_string(),
        "Till -> Prices.broken panicked: out of paper and order"
    );
    running.stop();
    running.wait().await;
}

#[tokio::test]
async fn what_is_no_component_calls_through_the_one_that_made_it() {
    let (running, till) = open().await;
    assert_eq!(till.discount.half("mug").await, Ok(2));
    let counts = running.calls();
    let of = counts
        .iter()
        .find(|it| it.edge.to_string() == "Till -> Prices.of");
    assert_eq!(of.unwrap().answered, 1);
    running.stop();
    running.wait().await;
}

#[tokio::test]
async fn a_component_with_parts_that_nobody_assembled_says_so() {
    let Err(error) = Shop::builder().with(PriceList { base: 5 }).start().await else {
        panic!("it started without its discount");
    };
    let text = error.to_string();
    assert!(text.contains("`discount`"), "{text}");
    assert!(text.contains("assemble"), "{text}");
}

#[test]
fn a_test_still_puts_a_fake_behind_the_same_pointer() {
    struct Free;

    #[async_trait]
    impl Prices for Free {
        async fn of(&self, _: &str, _: &u32) -> Result<u64, PriceError> {
            Ok(0)
        }

        async fn broken(&self, _: Vec<String>) -> Result<(), PriceError> {
            Ok(())
        }
    }

    let objects: [Arc<dyn Prices>; 2] = [Arc::new(Free), Arc::new(PricesClient::local(Free))];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    for prices in objects {
        assert_eq!(runtime.block_on(prices.of("mug", &1)), Ok(0));
    }
}
