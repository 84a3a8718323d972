//! tarpc, as its own examples use it: a task for each request, bincode, length-delimited frames.

use std::sync::Arc;

use anyhow::{Context, Result};
use anylith_core::Endpoint;
use bytes::Bytes;
use futures_util::StreamExt;
use tarpc::{
    ClientMessage, Response, client, context,
    serde_transport::Transport,
    server::{BaseChannel, Channel},
    tokio_serde::formats::Bincode,
    tokio_util::codec::LengthDelimitedCodec,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

use super::Calls;
use crate::payload::{self, Lookup, Product};

#[tarpc::service]
trait Store {
    async fn get(lookup: Lookup) -> Option<Product>;
    async fn list(page: u32) -> Vec<Product>;
    async fn echo(body: Bytes) -> Bytes;
}

#[derive(Clone)]
struct Server {
    products: Arc<Vec<Product>>,
}

impl Store for Server {
    async fn get(self, _: context::Context, lookup: Lookup) -> Option<Product> {
        self.products
            .iter()
            .find(|product| product.id == lookup.product_id)
            .cloned()
    }

    async fn list(self, _: context::Context, _page: u32) -> Vec<Product> {
        self.products.to_vec()
    }

    async fn echo(self, _: context::Context, body: Bytes) -> Bytes {
        body
    }
}

/// Serves for ever; `ready` is called once the socket is bound.
pub(crate) async fn serve(endpoint: &Endpoint, ready: impl FnOnce()) -> Result<()> {
    let server = Server {
        products: Arc::new(payload::products()),
    };
    match endpoint {
        Endpoint::Unix(path) => {
            let listener = UnixListener::bind(path)?;
            ready();
            loop {
                tokio::spawn(answer(listener.accept().await?.0, server.clone()));
            }
        }
        Endpoint::Tcp(address) => {
            let listener = TcpListener::bind(address).await?;
            ready();
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::spawn(answer(stream, server.clone()));
            }
        }
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, server: Server) {
    let transport: Transport<_, ClientMessage<StoreRequest>, Response<StoreResponse>, _> =
        tarpc::serde_transport::new(
            LengthDelimitedCodec::builder().new_framed(stream),
            Bincode::default(),
        );
    let requests = BaseChannel::with_defaults(transport).execute(server.serve());
    requests
        .for_each(|request| async {
            tokio::spawn(request);
        })
        .await;
}

/// A client, and what it sends.
#[derive(Clone)]
pub(crate) struct Client {
    store: StoreClient,
    lookup: Lookup,
    blob: Bytes,
}

/// Connects to a server at `endpoint`.
pub(crate) async fn connect(endpoint: &Endpoint) -> Result<Client> {
    let store = match endpoint {
        Endpoint::Unix(path) => start(UnixStream::connect(path).await?),
        Endpoint::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            start(stream)
        }
    };
    Ok(Client {
        store,
        lookup: payload::lookup(),
        blob: payload::blob(),
    })
}

fn start(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> StoreClient {
    let transport = tarpc::serde_transport::new(
        LengthDelimitedCodec::builder().new_framed(stream),
        Bincode::default(),
    );
    StoreClient::new(client::Config::default(), transport).spawn()
}

impl Calls for Client {
    fn share(&self) -> Result<Self> {
        Ok(self.clone())
    }

    async fn get(&mut self) -> Result<usize> {
        let product = self
            .store
            .get(context::current(), self.lookup.clone())
            .await?;
        let product = product.context("no such product")?;
        Ok(product
            .variants
            .iter()
            .map(|variant| variant.sizes.len())
            .sum())
    }

    async fn list(&mut self) -> Result<usize> {
        Ok(self.store.list(context::current(), 1).await?.len())
    }

    async fn blob(&mut self) -> Result<usize> {
        Ok(self
            .store
            .echo(context::current(), self.blob.clone())
            .await?
            .len())
    }
}
