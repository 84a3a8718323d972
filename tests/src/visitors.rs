//! Visitors who keep their connections, and notice if one request is lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};

/// Connections that are kept open, each by a client that thinks for a time of its own between two requests.
const CONNECTIONS: u32 = 48;

/// The shortest of these times, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(3)];

/// Connections that are used at the beginning, and then not until the end.
const SLEEPERS: u32 = 8;

/// Clients that keep their connections, and do not try again: a request that is not answered is lost, and so is a connection
/// that the server closes.
#[derive(Debug)]
pub struct Visitors {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: JoinSet<anyhow::Result<()>>,
}

impl Visitors {
    /// Begins to visit the shop at `url`.
    pub fn begin(url: &str) -> Self {
        let mut visitors = Self {
            over: Arc::default(),
            answered: Arc::default(),
            clients: JoinSet::new(),
        };
        let [shortest, longest] = PAUSES;
        for number in 0..CONNECTIONS + SLEEPERS {
            let pause = (number < CONNECTIONS)
                .then(|| shortest + (longest - shortest) / (CONNECTIONS - 1) * number);
            let client = Client {
                address: url.trim_start_matches("http://").to_owned(),
                pause,
                over: Arc::clone(&visitors.over),
                answered: Arc::clone(&visitors.answered),
            };
            visitors.clients.spawn(async move {
                let lost = || format!("connection {number}, with pauses of {pause:?}");
                client.visit().await.with_context(lost)
            });
        }
        visitors
    }

    /// Waits until so many more requests are answered.
    ///
    /// # Errors
    ///
    /// The first request that was not answered, or a connection that was closed; or if nobody is answered any more.
    pub async fn have_seen(&mut self, more: usize) -> anyhow::Result<()> {
        let wanted = self.answered.load(Ordering::Acquire) + more;
        let seen = async {
            while self.answered.load(Ordering::Acquire) < wanted {
                if let Some(ended) = self.clients.try_join_next() {
                    ended??;
                }
                sleep(Duration::from_millis(5)).await;
            }
            anyhow::Ok(())
        };
        let patience = Duration::from_secs(60);
        tokio::time::timeout(patience, seen)
            .await
            .context("nobody is answered any more")?
    }

    /// Ends them, each after one more request; returns how many requests were answered, if all were.
    ///
    /// # Errors
    ///
    /// The first request that was not, or a connection that was closed.
    pub async fn end(mut self) -> anyhow::Result<usize> {
        self.over.store(true, Ordering::Release);
        while let Some(ended) = self.clients.join_next().await {
            ended??;
        }
        Ok(self.answered.load(Ordering::Acquire))
    }
}

struct Client {
    address: String,
    /// Between two requests; `None` if there are two, at the beginning and at the end.
    pause: Option<Duration>,
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

impl Client {
    /// Asks again and again, always on the same connection.
    async fn visit(self) -> anyhow::Result<()> {
        let mut connection = BufReader::new(TcpStream::connect(&self.address).await?);
        loop {
            let is_last = self.over.load(Ordering::Acquire);
            let stays = ask(&mut connection).await?;
            self.answered.fetch_add(1, Ordering::AcqRel);
            if is_last {
                return Ok(());
            }
            ensure!(stays, "it was told to go elsewhere");
            match self.pause {
                Some(pause) => sleep(pause).await,
                None => {
                    while !self.over.load(Ordering::Acquire) {
                        sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        }
    }
}

/// Sends one request and reads its answer; returns whether the connection stays.
async fn ask(connection: &mut BufReader<TcpStream>) -> anyhow::Result<bool> {
    let request = b"GET /cart HTTP/1.1\r\nhost: shop\r\n\r\n";
    connection.write_all(request).await?;
    let (mut line, mut length, mut stays) = (String::new(), None, true);
    connection.read_line(&mut line).await?;
    ensure!(!line.is_empty(), "it was closed by the server");
    ensure!(line.starts_with("HTTP/1.1 200"), "{line:?}");
    loop {
        line.clear();
        ensure!(connection.read_line(&mut line).await? > 0, "it ends early");
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name {
            "content-length" => length = Some(value.parse()?),
            "connection" => stays = value != "close",
            _ => {}
        }
    }
    let mut page = vec![0; length.context("a page without a length")?];
    connection.read_exact(&mut page).await?;
    Ok(stays)
}
