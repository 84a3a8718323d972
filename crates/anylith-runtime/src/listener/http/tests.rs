use std::{
    future::ready,
    net::SocketAddr,
    os::unix::net::UnixDatagram,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use anylith_core::Name;
use bytes::Bytes;
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{line::SILENT, reception::KNOCKS, *};
use crate::{listener::Passage, relay::Relay};

/// Nothing that is waited for here takes so long, unless it never happens.
const HANG: Duration = Duration::from_secs(20);

/// Answers everything with its name: `/slow` when it is told to, `/late` with a body that ends when it is told to, and `/up` by speaking
/// something else from then on. It leaves bodies of requests unread, but for that of `/read`.
#[derive(Debug, Clone)]
struct House {
    name: &'static str,
    /// Requests that have begun.
    begun: Arc<AtomicUsize>,
    may_end: Arc<Notify>,
}

/// The body of an answer: its words, and then what has to happen before its end.
struct Words {
    words: Option<&'static str>,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Body for Words {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.words.take() {
            Some(words) => Poll::Ready(Some(Ok(Frame::data(words.into())))),
            None => self.end.as_mut().poll(cx).map(|()| None),
        }
    }
}

impl Service<Request<Incoming>> for House {
    type Response = Response<Words>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Words>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let house = self.clone();
        Box::pin(async move {
            house.begun.fetch_add(1, Ordering::AcqRel);
            let mut end: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(ready(()));
            match request.uri().path() {
                "/slow" => house.may_end.notified().await,
                "/late" => end = Box::pin(async move { house.may_end.notified().await }),
                "/read" => {
                    let mut body = pin!(request.into_body());
                    while let Some(Ok(_)) =
                        std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await
                    {
                    }
                }
                "/up" => {
                    let upgrade = hyper::upgrade::on(&mut request);
                    tokio::spawn(async move {
                        let mut stream = TokioIo::new(upgrade.await.unwrap());
                        let mut word = [0; 4];
                        stream.read_exact(&mut word).await.unwrap();
                        stream.write_all(&word).await.unwrap();
                    });
                    let mut answer = Response::new(Words { words: None, end });
                    *answer.status_mut() = hyper::StatusCode::SWITCHING_PROTOCOLS;
                    let headers = answer.headers_mut();
                    headers.insert("connection", "upgrade".parse().unwrap());
                    headers.insert("upgrade", "echo".parse().unwrap());
                    return Ok(answer);
                }
                _ => {}
            }
            let words = Some(house.name);
            Ok(Response::new(Words { words, end }))
        })
    }
}

/// A listener that several replicas serve in turn or side by side.
struct Door {
    socket: Arc<std::net::TcpListener>,
    relay: Arc<Relay>,
}

/// One of them.
struct Served {
    serving: JoinHandle<io::Result<()>>,
    stop: watch::Sender<bool>,
    others_stay: watch::Sender<bool>,
    house: House,
}

impl Door {
    fn new() -> Self {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (give, take) = UnixDatagram::pair().unwrap();
        give.set_nonblocking(true).unwrap();
        take.set_nonblocking(true).unwrap();
        Self {
            socket: Arc::new(socket),
            relay: Arc::new(Relay::new(give, take)),
        }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    fn listener(&self, relay: bool) -> (Listener, watch::Sender<bool>) {
        let others_stay = watch::Sender::new(false);
        let passage = Passage {
            relay: relay.then(|| Arc::clone(&self.relay)),
            others_stay: others_stay.subscribe(),
            listeners: 1,
        };
        let socket = Arc::clone(&self.socket);
        (
            Listener::new(Name::new("web").unwrap(), socket, passage, None),
            others_stay,
        )
    }

    fn serve(&self, name: &'static str) -> Served {
        let (listener, others_stay) = self.listener(true);
        Served::begin(name, listener, others_stay)
    }
}

impl Served {
    fn begin(name: &'static str, listener: Listener, others_stay: watch::Sender<bool>) -> Self {
        let (stop, stopping) = watch::channel(false);
        let stopping = Stopping::new(stopping);
        let house = House {
            name,
            begun: Arc::default(),
            may_end: Arc::default(),
        };
        let own = house.clone();
        Self {
            serving: tokio::spawn(async move { listener.serve(own, stopping).await }),
            stop,
            others_stay,
            house,
        }
    }

    /// Has it go while others stay.
    fn passes_on(&self) {
        self.others_stay.send_replace(true);
        self.stop.send_replace(true);
    }

    /// Has it go as the last one.
    fn closes(&self) {
        self.stop.send_replace(true);
    }

    /// Until it takes nobody in any more, and its connections know that it goes. It looks then whether others stay, with a
    /// receiver of its own besides that of its listener.
    async fn has_seen_the_stop(&self) {
        soon(async {
            while self.others_stay.receiver_count() < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn has_begun(&self, requests: usize) {
        soon(async {
            while self.house.begun.load(Ordering::Acquire) < requests {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn ends(self) {
        soon(self.serving).await.unwrap().unwrap();
    }
}

async fn soon<F: Future>(it: F) -> F::Output {
    timeout(HANG, it).await.expect("it hangs")
}

async fn say(connection: &mut TcpStream, words: &str) {
    connection.write_all(words.as_bytes()).await.unwrap();
}

/// Reads an answer to its end, which is `name`, and returns its head in small letters.
async fn hear(connection: &mut TcpStream, name: &str) -> String {
    let mut answer = Vec::new();
    soon(async {
        while !answer.ends_with(name.as_bytes()) && !answer.ends_with(b"\r\n0\r\n\r\n") {
            assert_ne!(connection.read_buf(&mut answer).await.unwrap(), 0);
        }
    })
    .await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains(name), "{answer}");
    answer.to_lowercase()
}

/// Asks for a page, and hears that `name` answers.
async fn ask(connection: &mut TcpStream, name: &str) -> String {
    say(connection, "GET / HTTP/1.1\r\nhost: here\r\n\r\n").await;
    hear(connection, name).await
}

fn says_close(answer: &str) -> bool {
    answer.contains("connection: close")
}

async fn is_closed(mut connection: TcpStream) {
    let end = soon(connection.read_u8()).await.unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn an_idle_connection_is_passed_on_to_a_replica_that_stays() {
    let door = Door::new();
    let first = door.serve("first");
    let mut fresh = TcpStream::connect(door.address()).await.unwrap();
    let mut used = TcpStream::connect(door.address()).await.unwrap();
    ask(&mut used, "first").await;
    first.passes_on();
    first.ends().await;
    let second = door.serve("second");
    for connection in [&mut fresh, &mut used] {
        assert!(!says_close(&ask(connection, "second").await));
    }
    // And once more, back and forth.
    let third = door.serve("third");
    second.passes_on();
    second.ends().await;
    assert!(!says_close(&ask(&mut used, "third").await));
    third.closes();
    assert!(says_close(&ask(&mut used, "third").await));
    third.ends().await;
}

#[tokio::test]
async fn what_was_read_of_a_request_goes_along() {
    let door = Door::new();
    for already in [false, true] {
        let first = door.serve("first");
        let mut connection = TcpStream::connect(door.address()).await.unwrap();
        if already {
            ask(&mut connection, "first").await;
        }
        // The last word of it is somewhere between the client and hyper.
        for piece in ["GET / HTT", "P/1.1\r\nho", "st: here\r"] {
            say(&mut connection, piece).await;
            tokio::task::yield_now().await;
        }
        first.passes_on();
        first.ends().await;
        let second = door.serve("second");
        say(&mut connection, "\n\r\n").await;
        assert!(!says_close(&hear(&mut connection, "second").await));
        ask(&mut connection, "second").await;
        second.closes();
        second.ends().await;
    }
}

#[tokio::test]
async fn a_request_under_way_is_answered_first_and_its_connection_passed_on() {
    for path in ["/slow", "/late"] {
        let door = Door::new();
        let first = door.serve("first");
        let mut connection = TcpStream::connect(door.address()).await.unwrap();
        // Another one is behind it already.
        let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\nGET /next HT");
        say(&mut connection, &request).await;
        first.has_begun(1).await;
        first.passes_on();
        let second = door.serve("second");
        first.has_seen_the_stop().await;
        assert!(!first.serving.is_finished());
        first.house.may_end.notify_one();
        assert!(!says_close(&hear(&mut connection, "first").await));
        first.ends().await;
        say(&mut connection, "TP/1.1\r\nhost: here\r\n\r\n").await;
        hear(&mut connection, "second").await;
        second.closes();
        second.ends().await;
    }
}

#[tokio::test]
async fn the_rest_of_a_body_is_never_taken_for_a_request() {
    // Read to its end, or not at all: then the connection cannot go on anywhere.
    for (path, goes_on) in [("/read", true), ("/slow", false)] {
        let door = Door::new();
        let first = door.serve("first");
        let mut connection = TcpStream::connect(door.address()).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: here\r\ncontent-length: 200000\r\n\r\n");
        say(&mut connection, &head).await;
        first.has_begun(1).await;
        first.passes_on();
        let second = door.serve("second");
        let begun = Arc::clone(&second.house.begun);
        first.house.may_end.notify_one();
        let smuggled = "GET / HTTP/1.1\r\nhost: here\r\n\r\n";
        let body = smuggled.repeat(200_000 / smuggled.len() + 1);
        // Where it is not read, the server may close it first.
        let sent = connection.write_all(&body.as_bytes()[..200_000]).await;
        if goes_on {
            sent.unwrap();
            hear(&mut connection, "first").await;
            first.ends().await;
            assert_eq!(begun.load(Ordering::Acquire), 0);
            ask(&mut connection, "second").await;
        } else {
            first.ends().await;
            assert_eq!(begun.load(Ordering::Acquire), 0);
        }
        second.closes();
        second.ends().await;
        assert_eq!(begun.load(Ordering::Acquire), usize::from(goes_on));
    }
}

#[tokio::test]
async fn a_connection_of_http_2_is_told_to_go_elsewhere() {
    let door = Door::new();
    let first = door.serve("first");
    let mut connection = TcpStream::connect(door.address()).await.unwrap();
    // An empty frame of settings, type 4, has to follow.
    say(
        &mut connection,
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    )
    .await;
    let mut first_frame = [0; 9];
    soon(connection.read_exact(&mut first_frame)).await.unwrap();
    assert_eq!(first_frame[3], 4);
    first.passes_on();
    let (mut heard, is_goaway) = (Vec::new(), |frames: &[u8]| {
        // A frame is its length in three bytes, its type, flags and a stream in five.
        let mut rest = frames;
        while let [a, b, c, kind, ..] = rest {
            if *kind == 7 {
                return true;
            }
            let length = 9 + u32::from_be_bytes([0, *a, *b, *c]) as usize;
            rest = rest.get(length..).unwrap_or_default();
        }
        false
    });
    // The first frame goes on with its settings.
    let length = u32::from_be_bytes([0, first_frame[0], first_frame[1], first_frame[2]]);
    soon(connection.read_exact(&mut vec![0; length as usize]))
        .await
        .unwrap();
    soon(async {
        while !is_goaway(&heard) {
            assert_ne!(
                connection.read_buf(&mut heard).await.unwrap(),
                0,
                "{heard:?}"
            );
        }
    })
    .await;
    drop(connection);
    first.ends().await;
}

#[tokio::test]
async fn an_upgraded_connection_stays_where_it_is() {
    let door = Door::new();
    let first = door.serve("first");
    let mut connection = TcpStream::connect(door.address()).await.unwrap();
    let request = "GET /up HTTP/1.1\r\nhost: here\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    say(&mut connection, request).await;
    let mut head = Vec::new();
    soon(async {
        while !head.ends_with(b"\r\n\r\n") {
            assert_ne!(connection.read_buf(&mut head).await.unwrap(), 0);
        }
    })
    .await;
    assert!(head.starts_with(b"HTTP/1.1 101"), "{head:?}");
    first.passes_on();
    let second = door.serve("second");
    first.ends().await;
    say(&mut connection, "echo").await;
    let mut word = [0; 4];
    soon(connection.read_exact(&mut word)).await.unwrap();
    assert_eq!(&word, b"echo");
    second.closes();
    second.ends().await;
}

#[tokio::test]
async fn an_open_connection_is_told_with_an_answer_where_nobody_stays() {
    let door = Door::new();
    for relay in [true, false] {
        let (listener, others_stay) = door.listener(relay);
        // Without a relay it does not help that they stay.
        others_stay.send_replace(!relay);
        let last = Served::begin("last", listener, others_stay);
        let mut connection = TcpStream::connect(door.address()).await.unwrap();
        assert!(!says_close(&ask(&mut connection, "last").await));
        last.closes();
        assert!(says_close(&ask(&mut connection, "last").await));
        is_closed(connection).await;
        last.ends().await;
    }
}

#[tokio::test]
async fn a_silent_connection_keeps_nobody_from_stopping() {
    let door = Door::new();
    let last = door.serve("last");
    let mut connection = TcpStream::connect(door.address()).await.unwrap();
    ask(&mut connection, "last").await;
    let begun = Instant::now();
    last.closes();
    last.ends().await;
    assert!(begun.elapsed() >= SILENT, "it was closed at once");
}

#[tokio::test]
async fn who_was_to_pass_on_and_is_left_alone_closes() {
    let door = Door::new();
    let first = door.serve("first");
    let mut connection = TcpStream::connect(door.address()).await.unwrap();
    say(&mut connection, "GET /slow HTTP/1.1\r\nhost: here\r\n\r\n").await;
    first.has_begun(1).await;
    first.passes_on();
    first.has_seen_the_stop().await;
    first.others_stay.send_replace(false);
    // One thread runs all of this in turn: who serves is woken before its connection, and tells it so.
    first.house.may_end.notify_one();
    assert!(says_close(&hear(&mut connection, "first").await));
    is_closed(connection).await;
    first.ends().await;
}

#[tokio::test]
async fn the_last_one_takes_what_was_passed_on_before_it_goes() {
    let door = Door::new();
    let first = door.serve("first");
    let mut connection = TcpStream::connect(door.address()).await.unwrap();
    ask(&mut connection, "first").await;
    first.passes_on();
    first.ends().await;
    let last = door.serve("last");
    last.closes();
    assert!(says_close(&ask(&mut connection, "last").await));
    last.ends().await;
}

#[tokio::test]
async fn nobody_is_taken_in_once_it_stops() {
    let door = Door::new();
    let last = door.serve("last");
    let mut open = TcpStream::connect(door.address()).await.unwrap();
    ask(&mut open, "last").await;
    last.closes();
    last.has_seen_the_stop().await;
    // It waits in the queue of the socket, which is still open elsewhere.
    let mut late = TcpStream::connect(door.address()).await.unwrap();
    say(&mut late, "GET / HTTP/1.1\r\nhost: here\r\n\r\n").await;
    last.ends().await;
    let next = door.serve("next");
    hear(&mut late, "next").await;
    next.closes();
    next.ends().await;
}

impl Door {
    /// One that has two places.
    fn serve_two(&self) -> Served {
        let (listener, others_stay) = self.listener(true);
        Served::begin("house", listener.with_connections(2), others_stay)
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }
}

#[tokio::test]
async fn who_comes_when_all_places_are_idle_gets_that_of_the_one_idle_for_longest() {
    let door = Door::new();
    let house = door.serve_two();
    let (mut first, mut second) = (door.connect().await, door.connect().await);
    ask(&mut first, "house").await;
    ask(&mut second, "house").await;
    // Whoever is first had the last word.
    ask(&mut first, "house").await;
    let mut third = door.connect().await;
    ask(&mut third, "house").await;
    is_closed(second).await;
    assert!(!says_close(&ask(&mut first, "house").await));
    assert!(!says_close(&ask(&mut third, "house").await));
    house.closes();
    house.ends().await;
}

#[tokio::test]
async fn whoever_owes_a_request_goes_before_somebody_who_has_had_one() {
    for begins in ["", "GET /", "PRI * HTT"] {
        let door = Door::new();
        let house = door.serve_two();
        let mut idle = door.connect().await;
        ask(&mut idle, "house").await;
        let mut owes = door.connect().await;
        say(&mut owes, begins).await;
        // Less than this and it may be slow.
        sleep(SILENT + Duration::from_millis(200)).await;
        let mut third = door.connect().await;
        ask(&mut third, "house").await;
        is_closed(owes).await;
        ask(&mut idle, "house").await;
        house.closes();
        house.ends().await;
    }
}

#[tokio::test]
async fn who_comes_when_all_places_are_busy_waits_for_one() {
    let door = Door::new();
    let house = door.serve_two();
    let mut busy = [door.connect().await, door.connect().await];
    say(&mut busy[0], "GET /slow HTTP/1.1\r\nhost: here\r\n\r\n").await;
    // Its head is answered, and its body has begun.
    say(&mut busy[1], "GET /late HTTP/1.1\r\nhost: here\r\n\r\n").await;
    house.has_begun(2).await;
    let mut late = door.connect().await;
    say(&mut late, "GET / HTTP/1.1\r\nhost: here\r\n\r\n").await;
    sleep(KNOCKS * 10).await;
    assert_eq!(house.house.begun.load(Ordering::Acquire), 2, "let in");
    house.house.may_end.notify_waiters();
    for connection in &mut busy {
        assert!(!says_close(&hear(connection, "house").await));
    }
    // Now that they are idle, one of them is closed.
    hear(&mut late, "house").await;
    house.closes();
    house.ends().await;
}

#[tokio::test]
async fn an_idle_connection_of_http_2_gives_its_place_up() {
    let door = Door::new();
    let house = door.serve_two();
    let mut old = [door.connect().await, door.connect().await];
    for connection in &mut old {
        // An empty frame of settings has to follow, and nothing ever does.
        let words = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        say(connection, words).await;
    }
    let mut third = door.connect().await;
    ask(&mut third, "house").await;
    house.closes();
    house.ends().await;
}

#[tokio::test(start_paused = true)]
async fn who_takes_too_long_for_the_head_of_a_request_is_closed() {
    let door = Door::new();
    let house = door.serve("house");
    for (already, begins) in [
        (false, ""),
        (false, "PRI * HTT"),
        (false, "GET /"),
        (true, "GET /"),
    ] {
        let mut connection = TcpStream::connect(door.address()).await.unwrap();
        if already {
            ask(&mut connection, "house").await;
        }
        let begun = Instant::now();
        say(&mut connection, begins).await;
        let mut byte = [0];
        assert_eq!(connection.read(&mut byte).await.unwrap(), 0, "{begins:?}");
        let waited = begun.elapsed();
        let right = line::HEAD..line::HEAD * 2;
        assert!(right.contains(&waited), "{begins:?} after {waited:?}");
    }
    house.closes();
    house.ends().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_for_longer_than_clients_keep_it() {
    let door = Door::new();
    let house = door.serve("house");
    let mut connection = TcpStream::connect(door.address()).await.unwrap();
    for _ in 0..3 {
        ask(&mut connection, "house").await;
        sleep(Duration::from_secs(10 * 60 + 30)).await;
    }
    ask(&mut connection, "house").await;
    let begun = Instant::now();
    let mut byte = [0];
    assert_eq!(connection.read(&mut byte).await.unwrap(), 0);
    assert!(begun.elapsed() >= line::IDLE);
    house.closes();
    house.ends().await;
}
