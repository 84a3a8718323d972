//! The application of `bench autoscale`: a window that people come to, and clerks of whom each does a few things at a time.
//!
//! A clerk waits for something, as for a database with a few connections; the machine is not what is short. So what is
//! measured is how soon there are enough replicas, on a machine of any size.

use std::{io, process::ExitCode, sync::Arc, time::Duration};

use anylith::{CallError, Listener, Stopping};
use axum::{Router, http::StatusCode, routing::get};
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, time::sleep};

/// Why somebody was not served.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum ServiceError {
    #[error("the office is closed")]
    Closed,
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Serves people.
#[anylith::component]
trait Clerk {
    /// Serves one, and returns the process that did.
    #[idempotent]
    async fn one(&self) -> Result<u32, ServiceError>;
}

/// How a clerk works.
#[derive(Debug, Deserialize)]
struct Habits {
    /// How many are served at a time; the others wait.
    at_once: usize,
    /// How long each takes.
    takes_ms: u64,
}

/// A clerk.
#[derive(anylith::Component)]
#[component(interface = Clerk, start)]
struct Desk {
    #[config]
    habits: Habits,
    #[init]
    seats: Semaphore,
}

impl Desk {
    async fn start(parts: DeskParts) -> io::Result<Self> {
        let seats = Semaphore::new(parts.habits.at_once);
        Ok(Self {
            habits: parts.habits,
            seats,
        })
    }
}

impl Clerk for Desk {
    async fn one(&self) -> Result<u32, ServiceError> {
        let _seat = self
            .seats
            .acquire()
            .await
            .map_err(|_| ServiceError::Closed)?;
        sleep(Duration::from_millis(self.habits.takes_ms)).await;
        Ok(std::process::id())
    }
}

/// Where people come to.
#[derive(anylith::Component)]
#[component(serve)]
struct Window {
    clerk: ClerkClient,
    #[listener]
    web: Listener,
}

impl Window {
    async fn serve(self: Arc<Self>, stopping: Stopping) -> io::Result<()> {
        let clerk = self.clerk.clone();
        let page = async move || match clerk.one().await {
            Ok(process) => (StatusCode::OK, process.to_string()),
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        };
        self.web
            .serve(Router::new().route("/", get(page)), stopping)
            .await
    }
}

anylith::app! {
    /// An office.
    Office = "office" { Desk, Window }
}

#[tokio::main]
async fn main() -> ExitCode {
    Office::run().await
}
