//! People who come at a fixed rate, whether or not those before them were served.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep_until, timeout},
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: office\r\n\r\n";

/// Longer waits nobody.
const PATIENCE: Duration = Duration::from_secs(15);

/// So many come in a second, from the end of the part before on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) per_second: f64,
    pub(crate) length: Duration,
}

/// What became of one of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    /// When he came, from the beginning.
    pub(crate) due: Duration,
    /// How long it took, from when he came.
    pub(crate) took: Duration,
    pub(crate) served: bool,
}

/// Connections that nobody uses at the moment.
type Idle = Arc<Mutex<Vec<TcpStream>>>;

/// Lets people come to `address` in each of `parts`; returns all visits in the order in which they came.
pub(crate) async fn come(address: SocketAddr, parts: &[Part], begun: Instant) -> Vec<Visit> {
    let (idle, mut visits) = (Idle::default(), JoinSet::new());
    let mut begins = Duration::ZERO;
    for part in parts {
        let people = (part.per_second * part.length.as_secs_f64()) as u32;
        for number in 0..people {
            let due = begins + part.length * number / people;
            sleep_until((begun + due).into()).await;
            let idle = Arc::clone(&idle);
            visits.spawn(async move {
                let served = timeout(PATIENCE, visit(address, &idle)).await;
                Visit {
                    due,
                    took: begun.elapsed().saturating_sub(due),
                    served: matches!(served, Ok(Ok(()))),
                }
            });
        }
        begins += part.length;
    }
    let mut visits = visits.join_all().await;
    visits.sort_by_key(|visit| visit.due);
    visits
}

/// One visit, over a connection that is kept.
async fn visit(address: SocketAddr, idle: &Idle) -> Result<()> {
    let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut connection = match kept {
        Some(connection) => connection,
        None => TcpStream::connect(address).await?,
    };
    connection.write_all(REQUEST).await?;
    let mut answer = Vec::with_capacity(512);
    while !is_whole(&answer)? {
        ensure!(connection.read_buf(&mut answer).await? > 0, "hung up on");
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "not served");
    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
    idle.push(connection);
    Ok(())
}

/// Whether all of an answer is there, by its `content-length`.
fn is_whole(answer: &[u8]) -> Result<bool> {
    let text = std::str::from_utf8(answer)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Ok(false);
    };
    let mut lengths = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let length = lengths
        .next_back()
        .context("an answer without its length")?;
    Ok(body.len() >= length)
}
