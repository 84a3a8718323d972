//! Defects that the fault suite plants, to see that it finds them.
//!
//! Without the feature `defects`, which nothing but that suite enables, [`planted`] is false at compile time, and what is behind it
//! is not in the program.

use anylith_wire::{Failure, Request};
use bytes::Bytes;

use crate::serve::Serve;

/// Something wrong that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// What may have run is sent again, also where the method is not idempotent.
    RetryUnmarked,
    /// A call is sent again although items of its stream were taken.
    RetryStreams,
    /// Calls that had left when the connection broke are told they were not executed.
    DeniedExecution,
    /// Calls whose time is over are told they were not executed.
    VoidDeadline,
    /// The caller does not end a call whose time is over.
    NoDeadline,
    /// Some answers are delivered to another call.
    MixedAnswers,
    /// Calls in flight are not woken when their connection breaks.
    LostWakeUp,
    /// Some calls are begun twice.
    DoubleDispatch,
    /// A drain does not wait for the calls in flight.
    CuttingDrain,
    /// What is refused as too much is asked again without a bound.
    BudgetIgnored,
    /// Whoever delivers an answer sometimes sleeps, and nobody else on its thread has a turn.
    BlockedThread,
}

/// Whether this process has the defect.
#[cfg(not(feature = "defects"))]
#[inline(always)]
pub const fn planted(_: Defect) -> bool {
    false
}

/// Whether this process has the defect: whether `ANYLITH_DEFECT` names it.
#[cfg(feature = "defects")]
pub fn planted(defect: Defect) -> bool {
    static NAME: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| std::env::var("ANYLITH_DEFECT").unwrap_or_default());
    let name = match defect {
        Defect::RetryUnmarked => "retry-unmarked",
        Defect::RetryStreams => "retry-streams",
        Defect::DeniedExecution => "denied-execution",
        Defect::VoidDeadline => "void-deadline",
        Defect::NoDeadline => "no-deadline",
        Defect::MixedAnswers => "mixed-answers",
        Defect::LostWakeUp => "lost-wake-up",
        Defect::DoubleDispatch => "double-dispatch",
        Defect::CuttingDrain => "cutting-drain",
        Defect::BudgetIgnored => "budget-ignored",
        Defect::BlockedThread => "blocked-thread",
    };
    *NAME == name
}

/// What a caller is told of `failure`.
#[inline(always)]
pub(crate) fn told(failure: Failure) -> Failure {
    use anylith_core::{Execution, Refusal};
    match failure {
        Failure::Unknown(_) if planted(Defect::DeniedExecution) => {
            Failure::NotExecuted(Refusal::NotSent)
        }
        Failure::DeadlineExceeded(_) if planted(Defect::VoidDeadline) => {
            Failure::DeadlineExceeded(Execution::NotExecuted)
        }
        failure => failure,
    }
}

/// The answer that is delivered for `message`.
#[inline(always)]
pub(crate) fn delivered(message: Bytes) -> Bytes {
    if planted(Defect::MixedAnswers) {
        return mix(message);
    }
    if planted(Defect::BlockedThread) && fastrand::u8(..) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(1500));
    }
    message
}

/// One answer of many is kept, and delivered in the place of the next that is.
fn mix(message: Bytes) -> Bytes {
    use std::sync::{Mutex, PoisonError};
    static KEPT: Mutex<Option<Bytes>> = Mutex::new(None);
    if fastrand::u8(..) >= 8 {
        return message;
    }
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.replace(message.clone()).unwrap_or(message)
}

/// Begins one call of many once more, and drops what it answers.
#[inline(always)]
pub(crate) fn begin_twice(service: &dyn Serve, request: &Request) {
    if planted(Defect::DoubleDispatch) && !request.items && fastrand::u8(..) < 8 {
        tokio::spawn(service.call(crate::serve::Incoming {
            component: request.component,
            method: request.method,
            deadline: request.deadline,
            context: request.context.clone(),
            arguments: request.arguments.clone(),
            items: None,
            waited: std::time::Duration::ZERO,
            buffer: Vec::new(),
        }));
    }
}
