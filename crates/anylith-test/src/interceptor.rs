//! A place between two replicas, where a test can break things.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream, unix},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

/// Stands between a replica and those who connect to it, passes on what they say, and breaks it off when told.
///
/// Only connections that are made after it was put there go through it. Dropping it closes those.
#[derive(Debug)]
pub struct Interceptor {
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    /// Where the replica's own socket is now.
    behind: PathBuf,
    /// How many bytes may yet pass, to the replica and from it; then the connection they are on is cut.
    allowance: [AtomicU64; 2],
    passed: [watch::Sender<u64>; 2],
    /// Grows with each cut.
    cuts: watch::Sender<u64>,
    /// Whether connections are refused.
    closed: watch::Sender<bool>,
    /// How many were refused.
    refused: watch::Sender<u64>,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    In = 0,
    Out = 1,
}

impl Interceptor {
    pub(crate) fn before(socket: &Path) -> io::Result<Self> {
        let behind = socket.with_extension("behind");
        fs::rename(socket, &behind)?;
        let listener = UnixListener::bind(socket)?;
        let unlimited = || AtomicU64::new(u64::MAX);
        let shared = Arc::new(Shared {
            behind,
            allowance: [unlimited(), unlimited()],
            passed: [watch::Sender::new(0), watch::Sender::new(0)],
            cuts: watch::Sender::new(0),
            closed: watch::Sender::new(false),
            refused: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(Arc::clone(&shared), listener)).abort_handle();
        Ok(Self { shared, accepting })
    }

    /// Cuts every connection that goes through it, at once.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Lets `bytes` more through to the replica, then cuts the connection they are on. Later connections are whole.
    pub fn cut_after_bytes_in(&self, bytes: u64) {
        self.shared.allowance[Way::In as usize].store(bytes, Ordering::Relaxed);
    }

    /// Lets `bytes` more through from the replica, then cuts the connection they are on. Later connections are whole.
    pub fn cut_after_bytes_out(&self, bytes: u64) {
        self.shared.allowance[Way::Out as usize].store(bytes, Ordering::Relaxed);
    }

    /// From now on connections are closed as soon as they are made, until [`Interceptor::open`].
    pub fn close(&self) {
        self.shared.closed.send_replace(true);
        self.cut();
    }

    /// Lets connections through again.
    pub fn open(&self) {
        self.shared.closed.send_replace(false);
    }

    /// Waits until a connection was refused.
    ///
    /// # Cancellation
    ///
    /// Nothing happens.
    pub async fn until_refused(&self) {
        let mut refused = self.shared.refused.subscribe();
        // The sender lives as long as `self`.
        let _ = refused.wait_for(|refused| *refused > 0).await;
    }

    /// How often connections were cut.
    pub fn cuts(&self) -> u64 {
        *self.shared.cuts.borrow()
    }
}

impl Drop for Interceptor {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Takes connections. Their tasks end with this one.
async fn accept(shared: Arc<Shared>, listener: UnixListener) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if *shared.closed.borrow() {
            drop(near);
            shared.refused.send_modify(|refused| *refused += 1);
        } else {
            connections.spawn(connect(Arc::clone(&shared), near));
        }
    }
}

async fn connect(shared: Arc<Shared>, near: UnixStream) -> io::Result<()> {
    let mut cuts = shared.cuts.subscribe();
    let far = UnixStream::connect(&shared.behind).await?;
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        biased;
        _ = cuts.changed() => Ok(()),
        broken = pass(&shared, Way::In, near_in, far_out) => broken,
        broken = pass(&shared, Way::Out, far_in, near_out) => broken,
    }
}

/// Passes bytes on until one side closes, or no more may pass.
async fn pass(
    shared: &Shared,
    way: Way,
    mut from: unix::OwnedReadHalf,
    mut to: unix::OwnedWriteHalf,
) -> io::Result<()> {
    let allowance = &shared.allowance[way as usize];
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut bytes).await?;
        let allowed = allowance.load(Ordering::Relaxed);
        let passing = read.min(usize::try_from(allowed).unwrap_or(usize::MAX));
        to.write_all(&bytes[..passing]).await?;
        shared.passed[way as usize].send_modify(|passed| *passed += passing as u64);
        if allowed != u64::MAX {
            allowance.store(allowed - passing as u64, Ordering::Relaxed);
        }
        if passing < read {
            allowance.store(u64::MAX, Ordering::Relaxed);
            shared.cuts.send_modify(|cuts| *cuts += 1);
            return Ok(());
        }
        if read == 0 {
            return Ok(());
        }
    }
}
