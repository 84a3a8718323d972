//! Answers those who watch over a replica from outside: whether it lives, whether it is ready, what it has counted.
//!
//! It speaks as much of HTTP/1.1 as that takes: one request on a connection, of which only the first line counts. A probe is
//! asked of the process itself, on the threads that serve calls: where none of them gets on, nobody answers.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anylith_core::Name;
use anylith_telemetry::{Survey, prometheus};
use anylith_wire::control::ComponentState;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::replica::{Replica, States};

/// How long somebody may take to ask and to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many may ask at a time. More wait in the queue of the socket.
const MOST_ASKERS: usize = 16;

/// The longest head of a request, in bytes.
const MOST_HEAD: usize = 8 * 1024;

/// The pause after the system had no descriptor for one more connection.
const BREATHER: Duration = Duration::from_millis(100);

/// Where a replica answers probes, and who it says it is.
#[derive(Debug)]
pub(crate) struct Probed {
    pub(crate) socket: TcpListener,
    pub(crate) app: Name,
    pub(crate) replica: Name,
    pub(crate) group: Name,
}

impl Probed {
    pub(crate) fn bind(at: SocketAddr) -> io::Result<TcpListener> {
        let socket = TcpListener::bind(at)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Answers for `replica`, for as long as it lives.
    pub(crate) async fn answer(self, replica: Arc<Replica>) {
        let Self {
            socket,
            app,
            replica: name,
            group,
        } = self;
        let socket = match tokio::net::TcpListener::from_std(socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(target: "anylith", %error, "probes cannot be answered");
                return;
            }
        };
        let survey: Arc<dyn Fn() -> Survey + Send + Sync> = {
            let replica = Arc::clone(&replica);
            Arc::new(move || {
                Survey::of_one(app.clone(), name.clone(), group.clone(), replica.report())
            })
        };
        let mut askers = JoinSet::new();
        loop {
            tokio::select! {
                accepted = socket.accept(), if askers.len() < MOST_ASKERS => match accepted {
                    Ok((stream, _)) => {
                        let (replica, survey) = (Arc::clone(&replica), Arc::clone(&survey));
                        askers.spawn(async move {
                            let _ = timeout(PATIENCE, converse(stream, &replica, &*survey)).await;
                        });
                    }
                    Err(_) => sleep(BREATHER).await,
                },
                Some(_) = askers.join_next() => {}
            }
        }
    }
}

async fn converse(
    mut stream: TcpStream,
    replica: &Replica,
    survey: &(dyn Fn() -> Survey + Send + Sync),
) -> io::Result<()> {
    let mut head = Vec::with_capacity(1024);
    let asked = loop {
        if let Some(asked) = Asked::read(&head) {
            break asked;
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    };
    let reply = match asked {
        Asked::Live => Reply::said(200, "it lives\n"),
        Asked::Ready => readiness(&replica.states().borrow(), replica.is_stopping()),
        Asked::Metrics => Reply {
            content: prometheus::CONTENT_TYPE,
            ..Reply::said(200, prometheus::render(&survey()))
        },
        Asked::Other => Reply::said(404, "here are /livez, /readyz and /metrics\n"),
        Asked::Wrongly => Reply::said(400, "this is no GET of HTTP/1.1\n"),
    };
    stream.write_all(reply.text().as_bytes()).await?;
    stream.shutdown().await
}

/// What somebody wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Whether anything goes on in the process.
    Live,
    /// Whether every component takes calls.
    Ready,
    /// What was counted.
    Metrics,
    /// Something that there is not.
    Other,
    /// It is no question.
    Wrongly,
}

impl Asked {
    /// Reads `head`; `None` while it goes on.
    fn read(head: &[u8]) -> Option<Self> {
        let ends = head.windows(4).position(|end| end == b"\r\n\r\n");
        if ends.is_none() && head.len() <= MOST_HEAD {
            return None;
        }
        let line = ends.and_then(|end| head[..end].split(|byte| *byte == b'\r').next());
        let line = line.and_then(|line| std::str::from_utf8(line).ok());
        let mut words = line.unwrap_or_default().split(' ');
        Some(
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some("GET"), Some(path), Some("HTTP/1.1" | "HTTP/1.0"), None) => {
                    match path.split('?').next() {
                        Some("/livez") => Self::Live,
                        Some("/readyz") => Self::Ready,
                        Some("/metrics") => Self::Metrics,
                        _ => Self::Other,
                    }
                }
                _ => Self::Wrongly,
            },
        )
    }
}

/// What is answered.
#[derive(Debug)]
struct Reply {
    status: u16,
    content: &'static str,
    body: String,
}

impl Reply {
    fn said(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            content: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }

    fn text(&self) -> String {
        let Self {
            status,
            content,
            body,
        } = self;
        let reason = match status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            _ => "Service Unavailable",
        };
        format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {content}\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

/// Whether every component is ready, and which ones are not. One that drains is not, nor is one that says that it is not
/// well.
fn readiness(states: &States, is_stopping: bool) -> Reply {
    let mut body = String::new();
    let mut status = 200;
    if is_stopping {
        status = 503;
        body.push_str("it stops\n");
    }
    for (component, standing) in states {
        let word = match standing.state {
            ComponentState::Ready => continue,
            ComponentState::Waiting => "waits for what it is dependent on",
            ComponentState::Starting => "starts",
            ComponentState::Unhealthy => "is not well",
            ComponentState::Draining => "drains",
            ComponentState::Stopped => "has stopped",
        };
        status = 503;
        body.push_str(&format!("{component} {word}\n"));
    }
    if status == 200 {
        body.push_str("all components are ready\n");
    }
    Reply::said(status, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_what_is_asked() {
        for (head, wanted) in [
            ("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", Asked::Live),
            ("GET /readyz?verbose HTTP/1.0\r\n\r\n", Asked::Ready),
            ("GET /metrics HTTP/1.1\r\n\r\n", Asked::Metrics),
            ("GET / HTTP/1.1\r\n\r\n", Asked::Other),
            ("GET /livez/.. HTTP/1.1\r\n\r\n", Asked::Other),
            ("POST /livez HTTP/1.1\r\n\r\n", Asked::Wrongly),
            ("GET /livez\r\n\r\n", Asked::Wrongly),
            ("GET  /livez HTTP/1.1\r\n\r\n", Asked::Wrongly),
            ("\r\n\r\n", Asked::Wrongly),
            ("PRI * HTTP/2.0\r\n\r\n", Asked::Wrongly),
        ] {
            assert_eq!(Asked::read(head.as_bytes()), Some(wanted), "{head:?}");
        }
        assert_eq!(Asked::read(b"GET /livez HTTP/1.1\r\nHost: a\r\n"), None);
        assert_eq!(Asked::read(b"\xff\xfe\r\n\r\n"), Some(Asked::Wrongly));
    }

    #[test]
    fn a_head_without_an_end_is_not_read_for_ever() {
        let head = vec![b'a'; MOST_HEAD + 1];
        assert_eq!(Asked::read(&head), Some(Asked::Wrongly));
    }

    #[test]
    fn whatever_byte_of_a_head_is_another_it_is_a_question_or_none() {
        let head = b"GET /readyz HTTP/1.1\r\nHost: 10.0.0.7:7401\r\n\r\n";
        for at in 0..head.len() {
            for byte in 0..=u8::MAX {
                let mut other = head.to_vec();
                other[at] = byte;
                let cut = Asked::read(&other[..at]);
                assert_eq!(cut, None, "{at}");
                if let Some(asked) = Asked::read(&other) {
                    // What comes behind the first line is nobody's business.
                    let is_beyond = at > b"GET /readyz HTTP/1.1".len();
                    assert!(!is_beyond || asked == Asked::Ready, "{at} {byte} {asked:?}");
                }
            }
        }
    }

    #[test]
    fn only_where_every_component_is_ready_the_replica_is() {
        use ComponentState::{Draining, Ready, Starting, Unhealthy, Waiting};
        let of = |states: &[ComponentState]| -> States {
            let numbered = states.iter().enumerate();
            numbered
                .map(|(at, state)| (Name::new(format!("C{at}")).unwrap(), (*state).into()))
                .collect()
        };
        assert_eq!(readiness(&of(&[Ready, Ready]), false).status, 200);
        for other in [Waiting, Starting, Unhealthy, Draining] {
            let reply = readiness(&of(&[Ready, other]), false);
            assert!(
                reply.status == 503 && reply.body.starts_with("C1 "),
                "{reply:?}"
            );
        }
        assert_eq!(readiness(&of(&[Ready]), true).status, 503);
    }
}
