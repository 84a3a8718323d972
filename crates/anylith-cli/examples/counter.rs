//! A small application that is real: it counts, in the memory of one component, how often its page was visited.
//!
//! `PUPPET` names the replicas in which the counter does not start, separated by commas. A build of which the file ends in
//! `PUPPET:fail` has one that starts nowhere.

use std::{
    env, fs, io,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anylith::{CallError, Listener, Stopping};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// What the page begins with.
const GREETING: &str = "visit";

/// Why a visit was not counted.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum CountError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the book of visits is not to be found")]
    NoBook,
}

/// Counts visits.
#[anylith::component]
trait Counter {
    /// The number of the visit, from 1.
    async fn visit(&self) -> Result<u64, CountError>;
}

/// What one counter tells the next.
#[derive(Serialize, Deserialize)]
struct Count {
    visits: u64,
}

#[derive(anylith::Component)]
#[component(interface = Counter, singleton, start, hand_over)]
struct InMemory {
    #[init]
    visits: AtomicU64,
}

impl InMemory {
    async fn start(_: InMemoryParts, handed: Option<Count>) -> Result<Self, CountError> {
        if is_to_fail() {
            return Err(CountError::NoBook);
        }
        Ok(Self {
            visits: AtomicU64::new(handed.map_or(0, |count| count.visits)),
        })
    }

    async fn hand_over(&self) -> Count {
        let visits = self.visits.load(Ordering::Relaxed);
        Count { visits }
    }
}

/// Whether a test wants the counter not to start in this process.
fn is_to_fail() -> bool {
    let replica = env::var("ANYLITH_REPLICA").unwrap_or_default();
    let named = env::var("PUPPET").unwrap_or_default();
    let build = fs::read("/proc/self/exe").unwrap_or_default();
    named.split(',').any(|it| it == replica && !it.is_empty()) || build.ends_with(b"PUPPET:fail")
}

impl Counter for InMemory {
    async fn visit(&self) -> Result<u64, CountError> {
        Ok(self.visits.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// The page.
#[derive(anylith::Component)]
#[component(serve)]
struct Web {
    counter: CounterClient,
    #[listener]
    web: Listener,
}

impl Web {
    async fn serve(self: Arc<Self>, mut stopping: Stopping) -> io::Result<()> {
        let listener = self.web.tcp()?;
        let mut visitors = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                came = listener.accept() => {
                    let web = Arc::clone(&self);
                    visitors.spawn(async move { web.answer(came?.0).await });
                }
                Some(_) = visitors.join_next() => {}
                () = &mut stopping => break,
            }
        }
        while visitors.join_next().await.is_some() {}
        Ok(())
    }

    /// Answers one request, and closes the connection.
    async fn answer(&self, mut visitor: TcpStream) -> io::Result<()> {
        let mut request = [0; 1024];
        let mut read = 0;
        while !request[..read].ends_with(b"\r\n\r\n") {
            match visitor.read(&mut request[read..]).await? {
                0 => return Ok(()),
                more => read += more,
            }
        }
        let (status, page) = match self.counter.visit().await {
            Ok(number) => ("200 OK", format!("{GREETING} {number}")),
            Err(error) => ("503 Service Unavailable", error.to_string()),
        };
        let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{page}\n");
        visitor.write_all(answer.as_bytes()).await
    }
}

anylith::app! {
    /// Counts visits.
    App = "counter" { InMemory, Web }
}

#[tokio::main]
async fn main() -> ExitCode {
    App::run().await
}
