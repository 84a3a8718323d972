//! What is done about the answers of a collector: a machine without a clock or a socket.

use std::time::Duration;

/// The first pause before something is sent again, which doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What was sent so often in vain is dropped: nobody is there for some minutes.
const ATTEMPTS: u32 = 8;

/// How far one request has come.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    failed: u32,
}

/// What has become of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// There was no answer.
    Unreachable,
    /// There was one with this status, and perhaps it says how long to wait.
    Answered(u16, Option<Duration>),
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It was taken.
    Done,
    /// It will never be taken, or was sent too often.
    Drop,
    /// It is to be sent again after this pause.
    Again(Duration),
}

impl Delivery {
    /// Takes what became of an attempt; `share`, from 0 to 1, is drawn, so that not all senders come at once.
    pub(super) fn on(&mut self, attempt: Attempt, share: f64) -> Step {
        let asked = match attempt {
            Attempt::Answered(200..=299, _) => return Step::Done,
            // Those that the protocol says may be tried again.
            Attempt::Answered(429 | 502 | 503 | 504, asked) => asked,
            Attempt::Answered(..) => return Step::Drop,
            Attempt::Unreachable => None,
        };
        self.failed += 1;
        if self.failed >= ATTEMPTS {
            return Step::Drop;
        }
        let pause = FIRST_PAUSE * 2_u32.pow((self.failed - 1).min(16));
        let pause = pause
            .min(LONGEST_PAUSE)
            .mul_f64(0.5 + share.clamp(0.0, 1.0) / 2.0);
        // Who says how long is believed, but not for ever.
        Step::Again(asked.unwrap_or(pause).min(LONGEST_PAUSE * 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_sent_again_is_after_a_growing_pause_and_not_for_ever() {
        let mut delivery = Delivery::default();
        let steps: Vec<Step> = (0..ATTEMPTS)
            .map(|_| delivery.on(Attempt::Unreachable, 1.0))
            .collect();
        let seconds = |seconds| Step::Again(Duration::from_secs(seconds));
        assert_eq!(steps[..6], [1, 2, 4, 8, 16, 30].map(seconds));
        assert_eq!(steps.last(), Some(&Step::Drop));
    }

    #[test]
    fn a_collector_is_obeyed() {
        let minute = Some(Duration::from_secs(60));
        let on = |attempt| Delivery::default().on(attempt, 0.0);
        assert_eq!(on(Attempt::Answered(200, None)), Step::Done);
        assert_eq!(on(Attempt::Answered(400, minute)), Step::Drop);
        assert_eq!(on(Attempt::Answered(500, None)), Step::Drop);
        let again = Step::Again(Duration::from_secs(60));
        assert_eq!(on(Attempt::Answered(429, minute)), again);
        let half = Step::Again(Duration::from_millis(500));
        assert_eq!(on(Attempt::Answered(503, None)), half);
        let day = Some(Duration::from_secs(86_400));
        let most = Step::Again(LONGEST_PAUSE * 4);
        assert_eq!(on(Attempt::Answered(503, day)), most);
    }
}
