//! The caller's end of a call, in the ledger.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use crate::ledger::{Answer, CallId, Event, How, Method};

use super::{
    ledger,
    order::{Receipt, Trouble},
};

/// How long after its deadline a call without an answer is taken for lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// A call that was made and has no answer yet.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) call: CallId,
    give_up: Instant,
    told: bool,
}

impl Attempt {
    /// Makes a call of `method` that may take so long.
    pub(super) fn ask(call: CallId, method: Method, deadline: Duration) -> Self {
        ledger().note(Event::Asked {
            call,
            method,
            deadline_us: u64::try_from(deadline.as_micros()).unwrap_or(u64::MAX),
        });
        Self {
            call,
            give_up: Instant::now() + deadline + PATIENCE,
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
        let Ok(answer) = timeout_at(attempt.give_up, answer).await else {
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
