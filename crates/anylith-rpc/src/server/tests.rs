use std::path::Path;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

use super::*;
use crate::{
    serve::{Answer, Answering, Incoming},
    trust::Membership,
};

/// Has nothing to be called.
struct Nothing;

impl Serve for Nothing {
    fn components(&self) -> Vec<anylith_wire::ServedComponent> {
        Vec::new()
    }

    fn call(&self, _: Incoming) -> Answering {
        Box::pin(std::future::ready(Answer::Message(Vec::new())))
    }
}

/// A connection, if it is greeted.
async fn greeted(path: &Path) -> Option<UnixStream> {
    let hello = anylith_wire::Hello {
        message_bytes: 1 << 26,
        calls: 10,
        window_bytes: 1,
        replica: Name::new("Caller-1").unwrap(),
        components: Vec::new(),
    };
    let mut stream = UnixStream::connect(path).await.unwrap();
    // Who is turned away may notice only here, or while it reads.
    stream.write_all(&hello.encode()).await.ok()?;
    let mut answer = [0; 1024];
    let read = stream.read(&mut answer).await.ok()?;
    (read > 0).then_some(stream)
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_finds_room_when_another_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.sock");
    let _server = Server::start(
        Arc::new(Trust::new(
            Membership::of(Name::new("Server-1").unwrap()),
            Arc::default(),
        )),
        Limits::default(),
        &Endpoint::Unix(path.clone()),
        Arc::new(Nothing),
        Room {
            greeted: 2,
            ungreeted: 2,
        },
        Arc::default(),
    )
    .unwrap();
    let first = greeted(&path).await.unwrap();
    let _second = greeted(&path).await.unwrap();
    assert!(greeted(&path).await.is_none(), "there was room for a third");
    drop(first);
    let found = async { while greeted(&path).await.is_none() {} };
    timeout(Duration::from_secs(20), found).await.unwrap();
}
