//! Takes connections in and serves them, with a bound for everything that somebody else could make large.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tower::ServiceExt as _;

use crate::{impatient::Impatient, line::Line};

/// Connections at a time. A page has two or three; more wait until one of these is closed.
const MOST_CONNECTIONS: usize = 128;

/// Who has connected has this long for the head of a request, and for that of each further one.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// Who takes nothing of what is sent for so long does not read.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// The head of a request has at most so many bytes and headers; hyper refuses a larger one with 431.
const HEAD_BYTES: usize = 32 * 1024;
const HEADERS: usize = 64;

/// After a connection could not be taken in, as where no file descriptors are left.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes in connections for ever. Dropped, it closes them.
pub(crate) async fn accept(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut served = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        // Those that are over: at most as many as there are places.
        while served.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                served.spawn(async move {
                    // How one ends concerns nobody but the other side.
                    let _ = serve(stream, router).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn serve(stream: TcpStream, router: Router) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let line = Line::new(stream.local_addr()?);
    let own = line.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, line) = (router.clone(), own.clone());
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(line);
            let answer = router.oneshot(request).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|never| match never {}))
        }
    });
    let stream = Impatient::new(stream, READ_WITHIN);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        served = served => served.map_err(io::Error::other),
        () = line.cut() => Ok(()),
    }
}
