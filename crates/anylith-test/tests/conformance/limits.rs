//! How large a message may be.

use anylith::{BadAnswer, CallError, Execution, Refusal, Stream};
use anylith_test::Cluster;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Call(#[from] CallError),
}

#[anylith::component]
pub trait Store {
    async fn put(&self, bytes: &[u8]) -> Result<u64, StoreError>;
    async fn get(&self, bytes: u64) -> Result<Bytes, StoreError>;
    async fn list(
        &self,
        sizes: Vec<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, StoreError>>, StoreError>;
    async fn fill(
        &self,
        items: impl Stream<Item = Result<Bytes, StoreError>>,
    ) -> Result<u64, StoreError>;
    async fn measure(&self, chain: Chain) -> Result<u64, StoreError>;
    async fn forge(&self, links: u64) -> Result<Chain, StoreError>;
}

/// A value that is nested as deep as it is long.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    next: Option<Box<Chain>>,
}

impl Chain {
    fn of(links: u64) -> Self {
        let longer = |chain, _| Self {
            next: Some(Box::new(chain)),
        };
        (0..links).fold(Self { next: None }, longer)
    }

    fn links(&self) -> u64 {
        std::iter::successors(self.next.as_ref(), |it| it.next.as_ref()).count() as u64
    }
}

impl Drop for Chain {
    /// Link by link: one within the other would take a stack of any size.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut link) = next {
            next = link.next.take();
        }
    }
}

#[derive(anylith::Component)]
#[component(interface = Store)]
pub struct Shelf {}

fn bytes(count: u64) -> Bytes {
    Bytes::from(vec![1; count as usize])
}

impl Store for Shelf {
    async fn put(&self, bytes: &[u8]) -> Result<u64, StoreError> {
        Ok(bytes.len() as u64)
    }

    async fn get(&self, count: u64) -> Result<Bytes, StoreError> {
        Ok(bytes(count))
    }

    async fn list(
        &self,
        sizes: Vec<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, StoreError>> + use<>, StoreError> {
        Ok(stream::iter(sizes).map(|size| Ok(bytes(size))))
    }

    async fn fill(
        &self,
        items: impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static,
    ) -> Result<u64, StoreError> {
        let mut items = std::pin::pin!(items);
        let mut sum = 0;
        while let Some(item) = items.next().await {
            sum += item?.len() as u64;
        }
        Ok(sum)
    }

    async fn measure(&self, chain: Chain) -> Result<u64, StoreError> {
        Ok(chain.links())
    }

    async fn forge(&self, links: u64) -> Result<Chain, StoreError> {
        Ok(Chain::of(links))
    }
}

anylith::app! {
    /// A component that keeps bytes.
    pub Warehouse = "warehouse" { Shelf }
}

const SMALL: &str = "[limits]\nmessage = \"64KiB\"";
const OVER: u64 = 100 * 1024;

/// Within a process nothing is encoded, so nothing is too large.
fn is_limited(cluster: &Cluster<Warehouse>) -> bool {
    cluster.topology().is_remote()
}

#[anylith::test(Warehouse, settings = SMALL)]
async fn arguments_over_the_limit_are_not_executed(
    store: StoreClient,
    cluster: &Cluster<Warehouse>,
) {
    let ended = store.put(&bytes(OVER)).await;
    if !is_limited(cluster) {
        assert_eq!(ended, Ok(OVER));
        return;
    }
    let Err(StoreError::Call(CallError::NotExecuted { reason, .. })) = ended else {
        panic!("it came back as {ended:?}");
    };
    let Refusal::TooLarge { size, limit } = reason else {
        panic!("it was refused as {reason:?}");
    };
    assert!(size >= limit && limit == 64 * 1024, "{size} of {limit}");
}

#[anylith::test(Warehouse, settings = SMALL)]
async fn an_answer_over_the_limit_was_executed(store: StoreClient, cluster: &Cluster<Warehouse>) {
    let ended = store.get(OVER).await;
    if !is_limited(cluster) {
        assert_eq!(ended.unwrap().len() as u64, OVER);
        return;
    }
    let Err(StoreError::Call(error)) = ended else {
        panic!("it came back");
    };
    assert_eq!(error.execution(), Execution::Executed);
    let CallError::Executed { reason, .. } = error else {
        panic!("it came back as {error:?}");
    };
    assert!(
        matches!(reason, BadAnswer::TooLarge { limit: 65536, .. }),
        "{reason:?}"
    );
}

#[anylith::test(Warehouse, settings = SMALL)]
async fn an_item_over_the_limit_ends_its_stream(store: StoreClient, cluster: &Cluster<Warehouse>) {
    let items = store.list(vec![10, OVER, 10]).await.unwrap();
    let items: Vec<_> = items.collect().await;
    assert_eq!(items[0].as_ref().map(Bytes::len), Ok(10));
    if !is_limited(cluster) {
        assert_eq!(items.len(), 3);
        return;
    }
    assert_eq!(items.len(), 2);
    let Err(StoreError::Call(error)) = &items[1] else {
        panic!("it came through");
    };
    assert_eq!(error.execution(), Execution::Executed);
}

#[anylith::test(Warehouse, settings = SMALL)]
async fn an_item_of_an_argument_over_the_limit_fails_the_call(
    store: StoreClient,
    cluster: &Cluster<Warehouse>,
) {
    let ended = store
        .fill(stream::iter([10, OVER]).map(|size| Ok(bytes(size))))
        .await;
    if is_limited(cluster) {
        assert!(matches!(ended, Err(StoreError::Call(_))), "{ended:?}");
    } else {
        assert_eq!(ended, Ok(10 + OVER));
    }
}

#[anylith::test(Warehouse, settings = SMALL)]
async fn calls_go_on_after_a_message_that_was_too_large(store: StoreClient) {
    for _ in 0..3 {
        let _ = store.put(&bytes(OVER)).await;
        let _ = store.get(OVER).await;
        assert_eq!(store.put(&bytes(1000)).await, Ok(1000));
        assert_eq!(store.get(1000).await, Ok(bytes(1000)));
    }
}

#[anylith::test(Warehouse, settings = SMALL)]
async fn a_message_just_below_the_limit_arrives(store: StoreClient) {
    // The length of the bytes and of the call's frame are part of the message.
    let most = 64 * 1024 - 64;
    assert_eq!(store.put(&bytes(most)).await, Ok(most));
    assert_eq!(store.get(most).await, Ok(bytes(most)));
}

#[anylith::test(Warehouse)]
async fn eight_mebibytes_fit_where_no_limit_is_set(store: StoreClient) {
    let size = 8 * 1024 * 1024;
    assert_eq!(store.put(&bytes(size)).await, Ok(size));
    assert_eq!(store.get(size).await.unwrap().len() as u64, size);
}

#[anylith::test(Warehouse)]
async fn a_value_that_is_nested_too_deep_fails_its_own_call_and_no_other(
    store: StoreClient,
    cluster: &Cluster<Warehouse>,
) {
    const DEEP: u64 = 200_000;
    assert_eq!(store.measure(Chain::of(100)).await, Ok(100));
    assert_eq!(store.forge(100).await.unwrap().links(), 100);
    let measured = store.measure(Chain::of(DEEP)).await;
    let forged = store.forge(DEEP).await;
    if !is_limited(cluster) {
        assert_eq!(measured, Ok(DEEP));
        assert_eq!(forged.unwrap().links(), DEEP);
        return;
    }
    let Err(StoreError::Call(CallError::NotExecuted { reason, .. })) = measured else {
        panic!("it came back as {measured:?}");
    };
    assert!(matches!(reason, Refusal::Unencodable(_)), "{reason:?}");
    assert!(reason.to_string().contains("nested too deep"), "{reason}");
    let Err(StoreError::Call(CallError::Executed { reason, .. })) = forged else {
        panic!("it came back");
    };
    assert!(matches!(reason, BadAnswer::Unencodable(_)), "{reason:?}");
    assert_eq!(store.measure(Chain::of(100)).await, Ok(100));
}
