//! Asking a pod how it is, as the node that it runs on does.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use netns::Host;

/// Asks who listens at `at` for `path`, from `node`. Returns the status and what it said.
pub(crate) fn ask(node: &Host, at: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = node.enter(|| {
        let stream = TcpStream::connect_timeout(&at, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok::<_, io::Error>(stream)
    })??;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status.context("no status")?, body.to_owned()))
}

/// Waits, for `patience`, until `is_so`, which says what it has seen in the place of that, or that it never will be.
///
/// # Errors
///
/// It is not so in time, or never will be.
pub fn until(
    patience: Duration,
    mut is_so: impl FnMut() -> anyhow::Result<Result<(), String>>,
) -> anyhow::Result<()> {
    let end = Instant::now() + patience;
    while let Err(seen) = is_so()? {
        ensure!(Instant::now() < end, "{seen}");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
