//! The component that makes the calls: at a pace that no answer holds up, of all kinds, the same for the same seed.

use std::{fs, io, sync::Arc, time::Duration};

use anylith::Stopping;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{
    GO,
    attempt::{Attempt, mistake},
    canary, home, ledger, new_call,
    order::{Order, Receipt, Trouble, pattern},
    relay::{Relay as _, RelayClient},
    target::{Target as _, TargetClient},
};
use crate::{
    clock::now_ns,
    ledger::{Event, Method},
};

/// How often it looks whether the load is to begin.
const LOOK: Duration = Duration::from_millis(5);

/// The most calls without an answer. More than a run ever has, unless answers fail to come: no bound on the pace.
const MOST_OPEN: usize = 20_000;

/// `[components.Driver]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DriverConfig {
    /// What the load is drawn from.
    pub(crate) seed: u64,
    /// Calls in a second.
    pub(crate) rate: u32,
    /// For how long.
    pub(crate) load_ms: u64,
    /// How long a call may take, as `[edges]` says.
    pub(crate) deadline_ms: u64,
    /// Of 1000 calls, so many have payloads of some hundred kilobytes.
    pub(crate) large_permille: u32,
    /// Of 1000 calls, so many are taken back by their caller.
    pub(crate) regret_permille: u32,
    /// How long an execution takes, at most.
    pub(crate) work_us: u32,
    /// Calls in a second during bursts.
    #[serde(default)]
    pub(crate) burst_rate: u32,
    /// The begin and the end of each burst, in milliseconds of the load.
    #[serde(default)]
    pub(crate) bursts: Vec<(u64, u64)>,
}

impl DriverConfig {
    /// The pause between two calls on average, so long after the begin.
    fn pause(&self, since: Duration) -> Duration {
        let mut bursts = self.bursts.iter();
        let in_burst =
            bursts.any(|(begin, end)| (*begin..*end).contains(&(since.as_millis() as u64)));
        let rate = if in_burst { self.burst_rate } else { self.rate };
        Duration::from_secs(1) / rate.max(1)
    }
}

/// Makes calls, and keeps the ledger of what it was told.
#[derive(anylith::Component)]
#[component(serve)]
pub(super) struct Driver {
    target: TargetClient,
    relay: RelayClient,
    #[config]
    config: DriverConfig,
}

impl Driver {
    async fn serve(self: Arc<Self>, mut stopping: Stopping) -> io::Result<()> {
        let canary = canary::watch();
        let begin = loop {
            if let Some(begin) = begin()? {
                break begin;
            }
            if stopping.is_asked() {
                return Ok(());
            }
            sleep(LOOK).await;
        };
        let mut dice = fastrand::Rng::with_seed(self.config.seed);
        let end = begin + Duration::from_millis(self.config.load_ms);
        let mut next = begin;
        let mut calls = JoinSet::new();
        // One that was started again begins where the load is by now.
        while next < end {
            let order = Wish::draw(&self.config, &mut dice);
            next += self.config.pause(next - begin).mul_f64(2.0 * dice.f64());
            if next < Instant::now() - LOOK * 10 {
                continue;
            }
            tokio::select! {
                biased;
                () = &mut stopping => break,
                () = sleep_until(next) => {}
            }
            while calls.try_join_next().is_some() {}
            if calls.len() < MOST_OPEN {
                calls.spawn(self.clone().make(order));
            }
        }
        while calls.join_next().await.is_some() {}
        ledger().note(Event::Finished);
        stopping.await;
        canary.abort();
        Ok(())
    }

    /// Makes one call, and writes down what comes of it.
    async fn make(self: Arc<Self>, wish: Wish) {
        let call = new_call();
        let order = Order {
            call,
            payload: pattern(call, wish.payload_bytes),
            ..wish.order
        };
        let deadline = Duration::from_millis(self.config.deadline_ms);
        let attempt = Attempt::ask(call, wish.method, deadline, None);
        let items = order.items;
        let sent = order.clone();
        let pause = Duration::from_micros(order.work_us.into()) / items.max(1);
        let sent = stream::iter(0..items).then(move |number| {
            let item = sent.receipt(number);
            async move {
                if !pause.is_zero() {
                    sleep(pause).await;
                }
                Ok(item)
            }
        });
        let answer = async {
            match wish.method {
                Method::Look => self.target.look(&order).await,
                Method::Charge => self.target.charge(&order).await,
                Method::List => self.list(&order).await,
                Method::Upload => self.target.upload(&order, sent).await,
                Method::LookOn => self.relay.look_on(&order).await,
                Method::ChargeOn => self.relay.charge_on(&order).await,
            }
        };
        let expected = order.receipt(match wish.method {
            Method::List | Method::Upload => items,
            _ => 0,
        });
        attempt
            .settle(answer.boxed(), wish.regret, |it| mistake(it, &expected))
            .await;
    }

    /// Reads an answer that is a stream to its end.
    async fn list(&self, order: &Order) -> Result<Receipt, Trouble> {
        let mut items = self.target.list(order).await?;
        let mut number = 0;
        while let Some(item) = items.next().await {
            let item = item?;
            if item != order.receipt(number) {
                return Ok(item);
            }
            number += 1;
        }
        Ok(order.receipt(number))
    }
}

/// When the load begins, or began; `None` if nobody has said so yet.
fn begin() -> io::Result<Option<Instant>> {
    let text = match fs::read_to_string(home().join(GO)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok(begin_ns) = text.parse::<u64>() else {
        return Ok(None); // It is being written.
    };
    let now = now_ns();
    let distance = Duration::from_nanos(begin_ns.abs_diff(now));
    Ok(Some(match begin_ns > now {
        true => Instant::now() + distance,
        false => Instant::now() - distance,
    }))
}

/// A call that is to be made.
#[derive(Debug)]
struct Wish {
    method: Method,
    order: Order,
    payload_bytes: usize,
    /// After which its caller takes it back.
    regret: Option<Duration>,
}

impl Wish {
    fn draw(config: &DriverConfig, dice: &mut fastrand::Rng) -> Self {
        let method = Method::ALL[dice.usize(..Method::ALL.len())];
        // Half of all executions are over at once, on the connection's own task.
        let work_us = match dice.bool() {
            true => 0,
            false => dice.u32(..=config.work_us),
        };
        let large = dice.u32(..1000) < config.large_permille;
        let [payload_bytes, reply_bytes] = std::array::from_fn(|_| match large {
            true => dice.u32(..300 * 1024),
            false => dice.u32(..600),
        });
        let regret = dice.u32(..1000) < config.regret_permille;
        Self {
            method,
            order: Order {
                call: 0,
                work_us,
                reply_bytes,
                items: dice.u32(..6),
                panics: dice.u32(..200) == 0,
                payload: bytes::Bytes::new(),
            },
            payload_bytes: payload_bytes as usize,
            regret: regret
                .then(|| Duration::from_micros(dice.u64(..u64::from(config.work_us) + 1))),
        }
    }
}
