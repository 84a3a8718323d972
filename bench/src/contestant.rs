//! The contestants of the benchmarks between two processes: one server, one client, the same three calls.
//!
//! Each contestant keeps the products in its own types and answers with a copy, as a cache would. What each
//! was set to is said by [`Peer::settings`], and printed beside the figures.

use std::future::Future;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::payload;

pub(crate) mod anylith;
pub(crate) mod certificates;
pub(crate) mod raw;
pub(crate) mod store;
pub(crate) mod tarpc;
pub(crate) mod tonic;

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Peer {
    /// Ours, through a client of a component.
    Anylith,
    /// Bytes over a tokio socket, to and fro, without any protocol: nothing can be faster.
    Raw,
    /// tonic: gRPC over HTTP/2.
    Tonic,
    /// tonic with frames that take a blob whole.
    TonicLargeFrames,
    /// tonic over mutual TLS.
    TonicTls,
    /// tarpc.
    Tarpc,
}

impl Peer {
    /// Its name, in the figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anylith => "anylith",
            Self::Raw => "raw socket",
            Self::Tonic => "tonic",
            Self::TonicLargeFrames => "tonic, large frames",
            Self::TonicTls => "tonic with mutual TLS",
            Self::Tarpc => "tarpc",
        }
    }

    /// What it was set to.
    pub(crate) fn settings(self) -> &'static str {
        match self {
            Self::Anylith => {
                "anylith, two replicas of an application, postcard, one connection, defaults"
            }
            Self::Raw => "tokio stream, write_all and read, the same bytes without a header",
            Self::Tonic => {
                "tonic 0.14, prost with Bytes, one connection, nodelay, windows of 8 and 16 MiB"
            }
            Self::TonicLargeFrames => "the same with frames of 1 MiB in place of 16 KiB",
            Self::TonicTls => {
                "tonic 0.14 as above, over rustls with ring, TLS 1.3, ECDSA P-256 certificates at both ends"
            }
            Self::Tarpc => {
                "tarpc 0.38, bincode, length-delimited frames, a task per request, one connection, nodelay"
            }
        }
    }
}

/// The calls that a client makes over its one connection.
pub(crate) trait Calls: Sized + Send + 'static {
    /// Another caller on the same connection.
    ///
    /// # Errors
    ///
    /// If the connection carries one call at a time.
    fn share(&self) -> Result<Self>;

    /// Asks for one product; returns how many sizes it has in all.
    fn get(&mut self) -> impl Future<Output = Result<usize>> + Send;

    /// Asks for all products; returns how many came.
    fn list(&mut self) -> impl Future<Output = Result<usize>> + Send;

    /// Sends a blob and gets it back; returns its length.
    fn blob(&mut self) -> impl Future<Output = Result<usize>> + Send;
}

/// One of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    Get,
    List,
    Blob,
}

impl Method {
    /// Makes the call once, and looks at what came back.
    pub(crate) async fn call(self, calls: &mut impl Calls) -> Result<()> {
        let (came, wanted) = match self {
            Self::Get => (calls.get().await?, 6),
            Self::List => (calls.list().await?, payload::PRODUCTS),
            Self::Blob => (calls.blob().await?, payload::BLOB_BYTES),
        };
        ensure!(
            came == wanted,
            "{self:?} brought {came} where {wanted} were due"
        );
        Ok(())
    }
}
