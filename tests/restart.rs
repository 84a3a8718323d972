//! Processes that are replaced while people shop, and nobody notices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use boutique_load::{Load, Pace};
use e2e::Shop;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    task::{JoinSet, block_in_place},
    time::sleep,
};

/// Tasks that begin in a second, whatever the shop does.
const RATE: f64 = 25.0;

/// Connections that are kept open, each by a client that thinks for a time of its own between two requests.
const CONNECTIONS: u32 = 48;

/// The shortest of these times, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(3)];

/// Connections that are used at the beginning, and then not until the end.
const SLEEPERS: u32 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_and_a_scale_down_under_load_fail_no_request() -> anyhow::Result<()> {
    let shop = Shop::with()
        .topology("micro")
        .replicas("Frontend=2,Cart=2")
        .start()?;
    let visitors = Visitors::begin(&shop.url);
    let load = Load {
        shop: shop.url.clone(),
        pace: Pace::Rate {
            tasks_per_second: RATE,
            users: 40,
        },
        length: Duration::from_secs(600),
        warm_up: Duration::ZERO,
        seed: 1,
        reads_pages: true,
    };
    let over = Arc::new(AtomicBool::new(false));
    let loaded = tokio::spawn({
        let over = Arc::clone(&over);
        async move {
            let stop = async {
                while !over.load(Ordering::Acquire) {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            load.run(stop, |_| {}).await
        }
    });
    visitors.have_seen(100).await?;
    let before = shop.replicas()?;
    for arguments in [
        &["scale", "Frontend=3", "Cart=3"][..],
        &["restart"],
        &["scale", "Frontend=1", "Cart=1"],
    ] {
        let done = block_in_place(|| shop.command(arguments))?;
        ensure!(
            done.status.success(),
            "{arguments:?}: {}\n{}",
            String::from_utf8_lossy(&done.stderr),
            shop.output()
        );
        visitors.have_seen(50).await?;
    }
    let after = shop.replicas()?;
    ensure!(after.len() == before.len() - 2, "{after:?}");
    for replica in &after {
        let old = before.iter().find(|one| one.id == replica.id);
        let old = old.context("a replica that was not there")?;
        ensure!(old.pid != replica.pid, "{} was not renewed", replica.id);
    }
    over.store(true, Ordering::Release);
    let report = loaded.await??;
    let seen = visitors.end().await?;
    println!("{seen} requests on {CONNECTIONS} connections that were kept, and\n{report}");
    ensure!(report.failed() == 0, "{report}");
    ensure!(report.requests() > 100, "{report}");
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_outlive_a_supervisor_and_then_all_of_its_replicas() -> anyhow::Result<()> {
    let start = Shop::with().topology("micro").replicas("Frontend=2");
    let mut shop = start.start()?;
    let visitors = Visitors::begin(&shop.url);
    visitors.have_seen(100).await?;
    let before = shop.replicas()?;
    block_in_place(|| shop.replace_supervisor())?;
    let after = shop.replicas()?;
    ensure!(before == after, "they were not taken over: {after:?}");
    for arguments in [&["restart"][..], &["scale", "Frontend=1"]] {
        let done = block_in_place(|| shop.command(arguments))?;
        ensure!(done.status.success(), "{arguments:?}: {}", shop.output());
        visitors.have_seen(50).await?;
    }
    for replica in &shop.replicas()? {
        let old = before.iter().find(|one| one.id == replica.id);
        let old = old.context("a replica that was not there")?;
        ensure!(old.pid != replica.pid, "{} was not renewed", replica.id);
    }
    visitors.end().await?;
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

/// Clients that keep their connections, and do not try again: a request that is not answered is lost, and so is a connection
/// that the server closes.
struct Visitors {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: JoinSet<anyhow::Result<()>>,
}

impl Visitors {
    fn begin(url: &str) -> Self {
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
    async fn have_seen(&self, more: usize) -> anyhow::Result<()> {
        let wanted = self.answered.load(Ordering::Acquire) + more;
        let seen = async {
            while self.answered.load(Ordering::Acquire) < wanted {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let patience = Duration::from_secs(60);
        tokio::time::timeout(patience, seen)
            .await
            .context("nobody is answered any more")
    }

    /// Ends them, each after one more request; returns how many requests were answered, if all were.
    async fn end(mut self) -> anyhow::Result<usize> {
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
