use std::{
    future::{Ready, ready},
    net::SocketAddr,
    task::{Context, Poll},
};

use anylith_core::Name;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::watch,
    task::JoinHandle,
};

use super::*;

/// Answers everything with `well`.
#[derive(Debug, Clone)]
struct Well;

impl Service<Request<Incoming>> for Well {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Incoming>) -> Self::Future {
        ready(Ok(Response::new("well".to_owned())))
    }
}

/// A listener that is served, where it is, and what stops it.
fn served() -> (JoinHandle<io::Result<()>>, SocketAddr, watch::Sender<bool>) {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = Listener::new(Name::new("web").unwrap(), Arc::new(socket));
    let address = listener.address().unwrap();
    let (stop, stopping) = watch::channel(false);
    let stopping = Stopping::new(stopping);
    let serving = tokio::spawn(async move { listener.serve(Well, stopping).await });
    (serving, address, stop)
}

/// Sends a request and returns the answer's head, in small letters.
async fn ask(connection: &mut TcpStream) -> String {
    let request = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";
    connection.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"well") {
        assert_ne!(connection.read_buf(&mut answer).await.unwrap(), 0);
    }
    String::from_utf8(answer).unwrap().to_lowercase()
}

#[tokio::test]
async fn an_open_connection_is_told_with_an_answer_before_it_is_closed() {
    let (serving, address, stop) = served();
    let mut connection = TcpStream::connect(address).await.unwrap();
    assert!(!ask(&mut connection).await.contains("connection: close"));
    stop.send_replace(true);
    assert!(ask(&mut connection).await.contains("connection: close"));
    assert_eq!(
        connection.read_u8().await.unwrap_err().kind(),
        io::ErrorKind::UnexpectedEof
    );
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_silent_connection_keeps_nobody_from_stopping() {
    let (serving, address, stop) = served();
    let mut connection = TcpStream::connect(address).await.unwrap();
    ask(&mut connection).await;
    let begun = Instant::now();
    stop.send_replace(true);
    serving.await.unwrap().unwrap();
    assert!(begun.elapsed() >= SILENT, "it was closed at once");
}

#[tokio::test]
async fn nobody_is_taken_in_once_it_stops() {
    let (serving, address, stop) = served();
    let mut open = TcpStream::connect(address).await.unwrap();
    ask(&mut open).await;
    stop.send_replace(true);
    tokio::task::yield_now().await;
    // It waits in the queue of the socket, which is still open elsewhere, or finds nobody.
    if let Ok(mut late) = TcpStream::connect(address).await {
        let _ = late
            .write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
            .await;
        let mut answer = Vec::new();
        let _ = late.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{answer:?}");
    }
    serving.await.unwrap().unwrap();
}
