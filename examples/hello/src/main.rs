//! The smallest application: a component that greets, and one that says so over HTTP.

use std::{io, process::ExitCode, sync::Arc};

use anylith::{CallError, Listener, Stopping};
use axum::{Router, extract::Path, http::StatusCode, routing::get};
use serde::{Deserialize, Serialize};

/// Why somebody was not greeted.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum GreetError {
    #[error("a name has letters, at most 40")]
    NoName,
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Greets people.
#[anylith::component]
trait Greeter {
    #[idempotent]
    async fn greet(&self, name: &str) -> Result<String, GreetError>;
}

#[derive(anylith::Component)]
#[component(interface = Greeter)]
struct Polite {}

impl Greeter for Polite {
    async fn greet(&self, name: &str) -> Result<String, GreetError> {
        if name.len() > 40 || !name.chars().all(char::is_alphabetic) {
            return Err(GreetError::NoName);
        }
        Ok(format!(
            "Hello, {name}! Process {} greets you.\n",
            std::process::id()
        ))
    }
}

/// The door for browsers.
#[derive(anylith::Component)]
#[component(serve)]
struct Web {
    greeter: GreeterClient, // Web is dependent on Greeter
    #[listener]
    web: Listener,
}

impl Web {
    async fn serve(self: Arc<Self>, stopping: Stopping) -> io::Result<()> {
        let greeter = self.greeter.clone();
        let page = async move |Path(name): Path<String>| match greeter.greet(&name).await {
            Ok(greeting) => (StatusCode::OK, greeting),
            Err(error @ GreetError::NoName) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        };
        let router = Router::new().route("/{name}", get(page));
        self.web.serve(router, stopping).await
    }
}

anylith::app! {
    /// Greets whoever asks.
    Hello = "hello" { Polite, Web }
}

#[tokio::main]
async fn main() -> ExitCode {
    Hello::run().await
}
