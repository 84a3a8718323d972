//! A small application that is real: a mill that grinds two sacks at a time in each process, and a page where one asks for it.

use std::{
    hint, io, process,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anylith::{CallError, Listener, Stopping};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
    task::yield_now,
    time::sleep,
};

/// How many sacks a process grinds at a time. The others wait.
const STONES: usize = 2;

/// How long one takes.
const GRINDING: Duration = Duration::from_millis(20);

/// How long a thread of the process is busy with sifting one.
const SIFTING: Duration = Duration::from_millis(50);

/// Why a sack was not ground.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum MillError {
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Grinds.
#[anylith::component]
trait Mill {
    /// Grinds a sack, and says which process that was.
    #[idempotent]
    async fn grind(&self) -> Result<u32, MillError>;

    /// The same, for who wants all of his sacks ground in one process.
    #[idempotent]
    #[routed(by = farmer)]
    async fn grind_for(&self, farmer: u32) -> Result<u32, MillError>;

    /// Sifts a sack, which is all computing, on the thread that the call is on; says which process that was.
    #[idempotent]
    async fn sift(&self) -> Result<u32, MillError>;
}

#[derive(anylith::Component)]
#[component(interface = Mill)]
struct WaterMill {
    #[init(default)]
    stones: Stones,
}

struct Stones(Semaphore);

impl Default for Stones {
    fn default() -> Self {
        Self(Semaphore::new(STONES))
    }
}

impl Mill for WaterMill {
    async fn grind(&self) -> Result<u32, MillError> {
        let _stone = self.stones.0.acquire().await;
        sleep(GRINDING).await;
        Ok(process::id())
    }

    async fn grind_for(&self, _farmer: u32) -> Result<u32, MillError> {
        self.grind().await
    }

    async fn sift(&self) -> Result<u32, MillError> {
        // Else it would be over when it was read, and never under way.
        yield_now().await;
        let until = Instant::now() + SIFTING;
        while Instant::now() < until {
            hint::spin_loop();
        }
        Ok(process::id())
    }
}

/// The page: `/` for a sack that is ground, `/7` for one of farmer 7, and `/fine` for one that is sifted.
#[derive(anylith::Component)]
#[component(serve)]
struct Web {
    mill: MillClient,
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
        let line = String::from_utf8_lossy(&request[..read]);
        let path = line.split(' ').nth(1).unwrap_or("/");
        let path = path.trim_start_matches('/');
        let ground = match path.parse() {
            Ok(farmer) => self.mill.grind_for(farmer).await,
            Err(_) if path == "fine" => self.mill.sift().await,
            Err(_) => self.mill.grind().await,
        };
        let (status, page) = match ground {
            Ok(mill) => ("200 OK", format!("ground by {mill}")),
            Err(error) => ("503 Service Unavailable", error.to_string()),
        };
        let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{page}\n");
        visitor.write_all(answer.as_bytes()).await
    }
}

anylith::app! {
    /// Grinds.
    App = "mill" { WaterMill, Web }
}

#[tokio::main]
async fn main() -> ExitCode {
    App::run().await
}
