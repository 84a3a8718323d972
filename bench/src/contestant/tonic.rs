//! tonic with its best plain settings: one connection, windows and frames large enough to never stall.

use std::sync::Arc;

use anyhow::Result;
use anylith_core::Endpoint;
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{
    Request, Response, Status,
    transport::{
        Certificate, Channel, ClientTlsConfig, Endpoint as Target, Identity, Server as Grpc,
        ServerTlsConfig, server::TcpIncoming,
    },
};

use super::{
    Calls,
    certificates::{Certificates, HOST},
};
use crate::payload;

/// What `build.rs` made of `proto/store.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod proto {
    tonic::include_proto!("store");
}

const STREAM_WINDOW: u32 = 8 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// The longest frame of HTTP/2, in bytes: tonic's own, or one that takes a blob whole.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Frames {
    /// 16 KiB.
    Default,
    /// 1 MiB.
    Large,
}

impl Frames {
    fn bytes(self) -> Option<u32> {
        match self {
            Self::Default => None,
            Self::Large => Some(1024 * 1024),
        }
    }
}

/// A server of tonic, with large windows.
pub(crate) fn server(frames: Frames) -> Grpc {
    Grpc::builder()
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(frames.bytes())
}

/// What every channel is set to.
fn set(target: Target, frames: Frames) -> Target {
    target
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(frames.bytes())
}

/// A channel of tonic, with large windows, which connects when it is first used.
pub(crate) fn lazy_channel(endpoint: &Endpoint, frames: Frames) -> Result<Channel> {
    Ok(match endpoint {
        Endpoint::Unix(path) => {
            let path = path.clone();
            let connector = tower::service_fn(move |_| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            // The name is not looked up: the connector knows where to go.
            set(Target::from_static("http://unix"), frames).connect_with_connector_lazy(connector)
        }
        Endpoint::Tcp(address) => {
            set(Target::new(format!("http://{address}"))?, frames).connect_lazy()
        }
    })
}

struct Server {
    products: Vec<proto::Product>,
}

#[tonic::async_trait]
impl proto::store_server::Store for Server {
    async fn get(
        &self,
        request: Request<proto::Lookup>,
    ) -> Result<Response<proto::Product>, Status> {
        let wanted = request.into_inner().product_id;
        let found = self.products.iter().find(|product| product.id == wanted);
        found
            .cloned()
            .map(Response::new)
            .ok_or_else(|| Status::not_found("no such product"))
    }

    async fn list(
        &self,
        _: Request<proto::ListRequest>,
    ) -> Result<Response<proto::ListResponse>, Status> {
        Ok(Response::new(proto::ListResponse {
            products: self.products.clone(),
        }))
    }

    async fn echo(&self, request: Request<proto::Blob>) -> Result<Response<proto::Blob>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

/// Serves for ever; `ready` is called once the socket is bound.
///
/// With `certificates` it is over TLS, and who calls must have one, too.
pub(crate) async fn serve(
    endpoint: &Endpoint,
    frames: Frames,
    certificates: Option<&Certificates>,
    ready: impl FnOnce(),
) -> Result<()> {
    let products = payload::products().into_iter().map(Into::into).collect();
    let service = proto::store_server::StoreServer::from_arc(Arc::new(Server { products }));
    let mut server = server(frames);
    if let Some(own) = certificates {
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(&own.certificate, &own.key))
            .client_ca_root(Certificate::from_pem(&own.root));
        server = server.tls_config(tls)?;
    }
    let router = server.add_service(service);
    match endpoint {
        Endpoint::Unix(path) => {
            let incoming = UnixListenerStream::new(UnixListener::bind(path)?);
            ready();
            router.serve_with_incoming(incoming).await?;
        }
        Endpoint::Tcp(address) => {
            let incoming = TcpIncoming::from(TcpListener::bind(address).await?);
            ready();
            router
                .serve_with_incoming(incoming.with_nodelay(Some(true)))
                .await?;
        }
    }
    Ok(())
}

/// A client, and what it sends.
#[derive(Clone)]
pub(crate) struct Client {
    store: proto::store_client::StoreClient<Channel>,
    lookup: proto::Lookup,
    blob: Bytes,
}

/// Connects to a server at `endpoint`.
pub(crate) fn connect(endpoint: &Endpoint, frames: Frames) -> Result<Client> {
    let store = proto::store_client::StoreClient::new(lazy_channel(endpoint, frames)?);
    Ok(Client {
        store,
        lookup: payload::lookup().into(),
        blob: payload::blob(),
    })
}

/// Connects to a server at `endpoint` over TLS, with a certificate.
pub(crate) fn connect_tls(endpoint: &Endpoint, own: &Certificates) -> Result<Client> {
    let Endpoint::Tcp(address) = endpoint else {
        anyhow::bail!("tonic speaks TLS over TCP only");
    };
    let tls = ClientTlsConfig::new()
        .domain_name(HOST)
        .ca_certificate(Certificate::from_pem(&own.root))
        .identity(Identity::from_pem(&own.certificate, &own.key));
    let target = Target::new(format!("https://{address}"))?.tls_config(tls)?;
    let store = proto::store_client::StoreClient::new(set(target, Frames::Default).connect_lazy());
    Ok(Client {
        store,
        lookup: payload::lookup().into(),
        blob: payload::blob(),
    })
}

impl Calls for Client {
    fn share(&self) -> Result<Self> {
        Ok(self.clone())
    }

    async fn get(&mut self) -> Result<usize> {
        let product = self.store.get(self.lookup.clone()).await?.into_inner();
        Ok(product
            .variants
            .iter()
            .map(|variant| variant.sizes.len())
            .sum())
    }

    async fn list(&mut self) -> Result<usize> {
        let answer = self.store.list(proto::ListRequest { page: 1 }).await?;
        Ok(answer.into_inner().products.len())
    }

    async fn blob(&mut self) -> Result<usize> {
        let answer = self
            .store
            .echo(proto::Blob {
                body: self.blob.clone(),
            })
            .await?;
        Ok(answer.into_inner().body.len())
    }
}

impl From<payload::Lookup> for proto::Lookup {
    fn from(lookup: payload::Lookup) -> Self {
        let payload::Lookup {
            product_id,
            session_id,
            currency_code,
            language,
            page,
        } = lookup;
        Self {
            product_id,
            session_id,
            currency_code,
            language,
            page,
        }
    }
}

impl From<payload::Product> for proto::Product {
    fn from(product: payload::Product) -> Self {
        let payload::Money {
            currency_code,
            units,
            nanos,
        } = product.price_usd;
        let variants = product.variants.into_iter().map(|variant| {
            let payload::Variant {
                sku,
                colour,
                stock,
                sizes,
            } = variant;
            proto::Variant {
                sku,
                colour,
                stock,
                sizes,
            }
        });
        Self {
            id: product.id,
            name: product.name,
            description: product.description,
            picture: product.picture,
            price_usd: Some(proto::Money {
                currency_code,
                units,
                nanos,
            }),
            categories: product.categories,
            variants: variants.collect(),
        }
    }
}
