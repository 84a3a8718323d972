//! The caller's end of a call, in the ledger.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::ledger::{Answer, CallId, Event, How, Method};

use super::{
    ledger,
    order::{Receipt, Trouble},
};

/// How long after its deadline a call without an answer is taken for lost: so many times this long. A process that was
/// stopped for seconds has waited once.
const PATIENCE: (u32, Duration) = (40, Duration::from_millis(50));

/// A call that was made and has no answer yet.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) call: CallId,
    deadline: Instant,
    told: bool,
}

impl Attempt {
    /// Makes a call of `method` that may take so long, `within` another one if it is made for that.
    pub(super) fn ask(
        call: CallId,
        method: Method,
        deadline: Duration,
        within: Option<CallId>,
    ) -> Self {
        ledger().note(Event::Asked {
            call,
            method,
            deadline_us: u64::try_from(deadline.as_micros()).unwrap_or(u64::MAX),
            within,
        });
        Self {
            call,
            deadline: Instant::now() + deadline,
            told: false,
        }
    }

    /// Waits for the answer, and writes it down. Takes the call back after `regret`, if there is one.
    pub(super) async fn settle<T>(
        self,
        answer: impl Future<Output = Result<T, Trouble>>,
        regret: Option<Duration>,
        wrong: impl FnOnce(&T) -> Option<String>,
    ) -> Option<Result<T, Trouble>> {
        let mut attempt = self;
        let answer = async {
            match regret {
                None => Some(answer.await),
                Some(regret) => timeout(regret, answer).await.ok(),
            }
        };
        let Some(answer) = in_patience(attempt.deadline, answer).await else {
            attempt.tell(Answer::Nothing);
            return None;
        };
        // One that was taken back says so when it is dropped.
        let answer = answer?;
        attempt.tell(match &answer {
            Ok(value) => wrong(value).map_or(Answer::Right, |text| Answer::Wrong { text }),
            Err(Trouble::Below(_)) => Answer::Right,
            Err(Trouble::Call(error)) => Answer::Failed {
                execution: error.execution(),
                how: How::of(error),
                text: error.to_string(),
            },
        });
        Some(answer)
    }

    fn tell(&mut self, answer: Answer) {
        self.told = true;
        let call = self.call;
        ledger().note(Event::Told { call, answer });
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.told {
            self.tell(Answer::Dropped);
        }
    }
}

/// The answer, unless it does not come long after `deadline`.
async fn in_patience<T>(deadline: Instant, answer: impl Future<Output = T>) -> Option<T> {
    // A task of its own: to look at the answer again and again would be to wake who should have been woken.
    let mut patience = JoinSet::new();
    patience.spawn(async move {
        sleep_until(deadline).await;
        let (times, rest) = PATIENCE;
        for _ in 0..times {
            sleep(rest).await;
        }
    });
    tokio::select! {
        biased;
        _ = patience.join_next() => None,
        answer = answer => Some(answer),
    }
}

/// What is wrong with a receipt that should be `expected`.
pub(super) fn mistake(receipt: &Receipt, expected: &Receipt) -> Option<String> {
    let bytes = |receipt: &Receipt| receipt.body.len();
    (receipt != expected).then(|| {
        format!(
            "the answer of call {:x}, number {}, with {} bytes, in place of that of call {:x}, number {}, with {} bytes",
            receipt.call,
            receipt.number,
            bytes(receipt),
            expected.call,
            expected.number,
            bytes(expected),
        )
    })
}
