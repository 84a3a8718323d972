//! Notices when this process gets no time: then a late answer is the machine's fault, or ours who stopped it.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    clock::{in_ns, now_ns},
    ledger::Event,
};

use super::ledger;

/// How long it sleeps.
const REST: Duration = Duration::from_millis(5);

/// By how much it has to be late before that is written down.
const LATE: Duration = Duration::from_millis(4);

/// Sleeps over and over, and writes down when it woke up late.
pub(super) async fn sing() {
    loop {
        let since_ns = now_ns();
        sleep(REST).await;
        if now_ns() > since_ns + in_ns(REST) + in_ns(LATE) {
            ledger().note(Event::Paused { since_ns });
        }
    }
}
