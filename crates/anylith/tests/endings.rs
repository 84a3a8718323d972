//! How an application ends.

#![expect(missing_docs, reason = "a test has no readers of its documentation")]

use std::process::ExitCode;

/// Loses what it should have written at the end.
#[derive(anylith::Component)]
#[component(stop)]
pub struct Ledger {}

impl Ledger {
    async fn stop(&self) {
        panic!("the disk is full");
    }
}

anylith::app! { pub Books = "books" { Ledger } }

#[tokio::test]
async fn a_stop_that_panics_is_a_failure() {
    let running = Books::start().await.unwrap();
    running.stop();
    let code = running.wait().await;
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
}
