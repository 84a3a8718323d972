//! Bytes to and fro: what the kernel and tokio take for themselves.
//!
//! A request begins with a byte that says which one it is, and so how long it and its answer are.

use anyhow::{Context, Result, bail};
use anylith_core::Endpoint;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

use super::Calls;
use crate::payload;

const GET: u8 = b'g';
const LIST: u8 = b'l';
const BLOB: u8 = b'b';

/// Request and answer lengths, in bytes: those of the encoded payloads.
fn lengths(request: u8) -> Result<(usize, usize)> {
    Ok(match request {
        GET => (57, 275),
        LIST => (2, 8251),
        BLOB => (payload::BLOB_BYTES, payload::BLOB_BYTES),
        other => bail!("no request begins with {other}"),
    })
}

/// Both kinds of stream.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Answers one connection after the other, for ever; `ready` is called once the socket is bound.
pub(crate) async fn serve(endpoint: &Endpoint, ready: impl FnOnce()) -> Result<()> {
    match endpoint {
        Endpoint::Unix(path) => {
            let listener = UnixListener::bind(path)?;
            ready();
            loop {
                answer(listener.accept().await?.0).await?;
            }
        }
        Endpoint::Tcp(address) => {
            let listener = TcpListener::bind(address).await?;
            ready();
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                answer(stream).await?;
            }
        }
    }
}

async fn answer(mut stream: impl Stream) -> Result<()> {
    let mut buffer = vec![0; payload::BLOB_BYTES];
    loop {
        let mut filled = stream.read(&mut buffer).await?;
        if filled == 0 {
            return Ok(());
        }
        let (request, answer) = lengths(buffer[0])?;
        while filled < request {
            filled += stream.read(&mut buffer[filled..request]).await?;
        }
        stream.write_all(&buffer[..answer]).await?;
    }
}

/// A connection for one call at a time.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

/// Connects to a server at `endpoint`.
pub(crate) async fn connect(endpoint: &Endpoint) -> Result<Client> {
    let stream: Box<dyn Stream> = match endpoint {
        Endpoint::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Endpoint::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
    };
    Ok(Client {
        stream,
        buffer: vec![0; payload::BLOB_BYTES],
    })
}

impl Client {
    async fn exchange(&mut self, request: u8) -> Result<()> {
        let (sent, answer) = lengths(request)?;
        self.buffer[0] = request;
        self.stream.write_all(&self.buffer[..sent]).await?;
        let came = self.stream.read_exact(&mut self.buffer[..answer]).await;
        came.context("the server is gone").map(drop)
    }
}

impl Calls for Client {
    fn share(&self) -> Result<Self> {
        bail!("a raw socket carries one call at a time")
    }

    async fn get(&mut self) -> Result<usize> {
        self.exchange(GET).await?;
        Ok(6)
    }

    async fn list(&mut self) -> Result<usize> {
        self.exchange(LIST).await?;
        Ok(payload::PRODUCTS)
    }

    async fn blob(&mut self) -> Result<usize> {
        self.exchange(BLOB).await?;
        Ok(payload::BLOB_BYTES)
    }
}
