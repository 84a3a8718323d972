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

/// Connections that are kept open, each with a request now and then.
const CONNECTIONS: usize = 24;

/// Between two requests on one of them.
const PAUSE: Duration = Duration::from_millis(150);

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
    println!("{seen} requests on kept connections, and\n{report}");
    ensure!(report.failed() == 0, "{report}");
    ensure!(report.requests() > 100, "{report}");
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

/// Clients that keep their connections, and do not try again: a request that is not answered is lost.
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
        for number in 0..CONNECTIONS {
            let address = url.trim_start_matches("http://").to_owned();
            let over = Arc::clone(&visitors.over);
            let answered = Arc::clone(&visitors.answered);
            visitors.clients.spawn(async move {
                // Not all at once.
                sleep(PAUSE / CONNECTIONS as u32 * number as u32).await;
                let mut connection = None;
                while !over.load(Ordering::Acquire) {
                    let mut open = match connection.take() {
                        Some(open) => open,
                        None => BufReader::new(TcpStream::connect(&address).await?),
                    };
                    let stays = ask(&mut open)
                        .await
                        .with_context(|| format!("connection {number} lost a request"))?;
                    answered.fetch_add(1, Ordering::AcqRel);
                    connection = stays.then_some(open);
                    sleep(PAUSE).await;
                }
                Ok(())
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

    /// Ends them; returns how many requests were answered, if all were.
    async fn end(mut self) -> anyhow::Result<usize> {
        self.over.store(true, Ordering::Release);
        while let Some(ended) = self.clients.join_next().await {
            ended??;
        }
        Ok(self.answered.load(Ordering::Acquire))
    }
}

/// Sends one request and reads its answer; returns whether the connection stays.
async fn ask(connection: &mut BufReader<TcpStream>) -> anyhow::Result<bool> {
    let request = b"GET /cart HTTP/1.1\r\nhost: shop\r\n\r\n";
    connection.write_all(request).await?;
    let (mut line, mut length, mut stays) = (String::new(), None, true);
    connection.read_line(&mut line).await?;
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
