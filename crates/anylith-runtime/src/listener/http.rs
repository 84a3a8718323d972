//! HTTP at a listener, so that nobody loses a request when the replica goes.
//!
//! A connection of HTTP/1 that waits for its next request cannot be closed without a doubt: the request may be on its way, and the client would have to
//! find out by itself that nobody has read it. So a connection is closed when its client has been told, by `Connection: close` on an answer.
//! Only one on which nothing comes for a while is closed without that.

use std::{
    convert::Infallible,
    error::Error,
    future::poll_fn,
    io,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::{
    Request, Response, Version,
    body::{Body, Incoming},
    header::{CONNECTION, HeaderValue},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tower_service::Service;

use super::Listener;
use crate::stopping::Stopping;

/// A connection that is silent for so long in a drain is closed. One with a request now and then is told before.
const SILENT: Duration = Duration::from_secs(1);

/// The pause after no connection could be taken in: no file descriptor is left, and one will be.
const CROWDED: Duration = Duration::from_millis(50);

impl Listener {
    /// Serves HTTP with `service`, such as an `axum::Router`, until `stopping` resolves and the requests that came are answered.
    ///
    /// From then on no connection is taken in, which leaves it to the other replicas; every answer says `Connection: close`, so that
    /// the client sends its next request elsewhere; and a connection on which nothing comes for a second is closed. A client
    /// that asks at least once a second loses nothing, however it handles closed connections.
    ///
    /// # Cancellation
    ///
    /// All connections are closed at once.
    ///
    /// # Errors
    ///
    /// If the listener cannot be used.
    pub async fn serve<S, B>(&self, service: S, stopping: Stopping) -> io::Result<()>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let socket = self.tcp()?;
        let mut connections = JoinSet::new();
        let mut asked = pin!(stopping.clone());
        loop {
            tokio::select! {
                biased;
                () = &mut asked => break,
                accepted = socket.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(attend(stream, service.clone(), stopping.clone()));
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        tracing::warn!(target: "anylith", listener = self.name(), %error, "no connection can be taken in");
                        sleep(CROWDED).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
        // Whoever waits there is taken in by others.
        drop(socket);
        while connections.join_next().await.is_some() {}
        Ok(())
    }
}

/// Whether it is the client that went before he was taken in.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

/// What goes on at one connection.
#[derive(Debug)]
struct Traffic {
    /// The requests without an answer.
    open: AtomicUsize,
    /// When a request came last, or was answered.
    last: Mutex<Instant>,
}

impl Traffic {
    fn touch(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits until nothing has come for [`SILENT`], from now on.
    async fn silence(&self) {
        self.touch();
        loop {
            let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let until = last + SILENT;
            if self.open.load(Ordering::Acquire) == 0 && until <= Instant::now() {
                return;
            }
            sleep_until(until.max(Instant::now() + SILENT / 10)).await;
        }
    }
}

/// A request that is being answered.
struct Open(Arc<Traffic>);

impl Open {
    fn new(traffic: &Arc<Traffic>) -> Self {
        traffic.open.fetch_add(1, Ordering::AcqRel);
        traffic.touch();
        Self(Arc::clone(traffic))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.touch();
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Serves one connection to its end. What goes wrong with it is its client's to find out.
async fn attend<S, B>(stream: TcpStream, service: S, stopping: Stopping)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    // The end of an answer should not wait for its beginning to be acknowledged; where it does, nothing is wrong.
    let _ = stream.set_nodelay(true);
    let traffic = Arc::new(Traffic {
        open: AtomicUsize::new(0),
        last: Mutex::new(Instant::now()),
    });
    let answer = |request: Request<Incoming>| {
        let (open, stopping) = (Open::new(&traffic), stopping.clone());
        let mut service = service.clone();
        async move {
            let _open = open;
            let version = request.version();
            poll_fn(|cx| service.poll_ready(cx)).await?;
            let mut answer = service.call(request).await?;
            if stopping.is_asked() && version <= Version::HTTP_11 {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(answer)
        }
    };
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection =
        builder.serve_connection_with_upgrades(TokioIo::new(stream), service_fn(answer));
    let mut connection = pin!(connection);
    let silence = async {
        stopping.clone().await;
        traffic.silence().await;
    };
    tokio::select! {
        // What has come is read before anybody finds that nothing has.
        biased;
        _ = &mut connection => return,
        () = silence => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

#[cfg(test)]
mod tests;
