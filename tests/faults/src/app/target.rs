//! The component that all calls end at.

use std::time::Duration;

use anylith::{Stream, Streaming};
use futures_util::stream;
use tokio::time::sleep;

use super::{
    execution::Execution,
    order::{Order, Receipt, Trouble},
};

/// Executes orders, in every form that a call can have.
#[anylith::component]
pub trait Target {
    /// Twice is as good as once.
    #[idempotent]
    async fn look(&self, order: &Order) -> Result<Receipt, Trouble>;
    /// Once at most.
    async fn charge(&self, order: &Order) -> Result<Receipt, Trouble>;
    /// A stream as the answer.
    #[idempotent]
    async fn list(
        &self,
        order: &Order,
    ) -> Result<impl Stream<Item = Result<Receipt, Trouble>>, Trouble>;
    /// A stream as an argument, once at most.
    async fn upload(
        &self,
        order: &Order,
        items: impl Stream<Item = Result<Receipt, Trouble>>,
    ) -> Result<Receipt, Trouble>;
}

/// Keeps the ledger of what it executes.
#[derive(anylith::Component)]
#[component(interface = Target)]
pub(super) struct Counter {}

impl Target for Counter {
    async fn look(&self, order: &Order) -> Result<Receipt, Trouble> {
        Ok(execute(order).await)
    }

    async fn charge(&self, order: &Order) -> Result<Receipt, Trouble> {
        Ok(execute(order).await)
    }

    async fn list(
        &self,
        order: &Order,
    ) -> Result<impl Stream<Item = Result<Receipt, Trouble>> + use<>, Trouble> {
        let order = order.clone();
        let execution = Execution::begin(&order);
        let pause = work(&order) / order.items.max(1);
        Ok(stream::unfold(Some((execution, 0)), move |state| {
            let order = order.clone();
            async move {
                let (execution, number) = state?;
                if !pause.is_zero() {
                    sleep(pause).await;
                }
                if number == order.items {
                    execution.end();
                    return None;
                }
                Some((Ok(order.receipt(number)), Some((execution, number + 1))))
            }
        }))
    }

    async fn upload(
        &self,
        order: &Order,
        items: impl Stream<Item = Result<Receipt, Trouble>> + Send + 'static,
    ) -> Result<Receipt, Trouble> {
        receive(order, items).await
    }
}

/// Works for as long as the order says.
async fn execute(order: &Order) -> Receipt {
    let execution = Execution::begin(order);
    assert!(!order.panics, "it was ordered to");
    let work = work(order);
    if !work.is_zero() {
        sleep(work).await;
    }
    execution.end();
    order.receipt(0)
}

/// Reads all items, and answers with their number.
async fn receive(
    order: &Order,
    items: impl Stream<Item = Result<Receipt, Trouble>> + Send + 'static,
) -> Result<Receipt, Trouble> {
    let execution = Execution::begin(order);
    let mut items = Streaming::new(items);
    let mut number = 0;
    while let Some(item) = items.next().await {
        if item? != order.receipt(number) {
            execution.garbled();
        }
        number += 1;
    }
    execution.end();
    Ok(order.receipt(number))
}

fn work(order: &Order) -> Duration {
    Duration::from_micros(order.work_us.into())
}
