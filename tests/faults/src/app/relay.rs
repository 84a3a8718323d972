//! The component in the middle of a chain: executes an order by passing it on.

use std::time::{Duration, Instant};

use super::{
    attempt::{Attempt, mistake},
    canary,
    execution::Execution,
    new_call,
    order::{Order, Receipt, Trouble, pattern},
    target::{Target as _, TargetClient},
};
use crate::ledger::Method;

/// Passes orders on.
#[anylith::component]
pub trait Relay {
    /// Twice is as good as once.
    #[idempotent]
    async fn look_on(&self, order: &Order) -> Result<Receipt, Trouble>;
    /// Once at most.
    async fn charge_on(&self, order: &Order) -> Result<Receipt, Trouble>;
}

/// Calls the target, each time in a call of its own.
#[derive(anylith::Component)]
#[component(interface = Relay, start)]
pub(super) struct Chain {
    target: TargetClient,
    #[config]
    config: ChainConfig,
}

/// `[components.Relay]`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChainConfig {
    /// How long a call to the target may take, as `[edges]` says.
    deadline_ms: u64,
}

impl Chain {
    async fn start(parts: ChainParts) -> Result<Self, std::convert::Infallible> {
        canary::watch();
        Ok(Self {
            target: parts.target,
            config: parts.config,
        })
    }

    /// The order that is passed on, and the time that is left for it.
    fn pass_on(&self, order: &Order, method: Method) -> (Order, Attempt) {
        let call = new_call();
        let own = Duration::from_millis(self.config.deadline_ms);
        let left =
            anylith::context::deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let (of, time) = (order.call, left.map_or(own, |left| left.min(own)));
        let order = Order {
            call,
            payload: pattern(call, order.payload.len()),
            ..order.clone()
        };
        (order, Attempt::ask(call, method, time, Some(of)))
    }
}

impl Relay for Chain {
    async fn look_on(&self, order: &Order) -> Result<Receipt, Trouble> {
        let execution = Execution::begin(order);
        let (further, attempt) = self.pass_on(order, Method::Look);
        let answer = self.target.look(&further);
        let answer = attempt
            .settle(answer, None, |it| mistake(it, &further.receipt(0)))
            .await;
        execution.end();
        finish(order, answer)
    }

    async fn charge_on(&self, order: &Order) -> Result<Receipt, Trouble> {
        let execution = Execution::begin(order);
        let (further, attempt) = self.pass_on(order, Method::Charge);
        let answer = self.target.charge(&further);
        let answer = attempt
            .settle(answer, None, |it| mistake(it, &further.receipt(0)))
            .await;
        execution.end();
        finish(order, answer)
    }
}

/// The answer to `order`, by what came of the call that was made for it.
fn finish(order: &Order, answer: Option<Result<Receipt, Trouble>>) -> Result<Receipt, Trouble> {
    match answer {
        Some(Ok(_)) => Ok(order.receipt(0)),
        Some(Err(trouble)) => Err(Trouble::Below(trouble.to_string())),
        None => Err(Trouble::Below("no answer came".to_owned())),
    }
}
