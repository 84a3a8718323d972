//! One server with a component to be called, and a network that knows it.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "it belongs to tests")]

pub(crate) mod puppet;
pub(crate) mod victim;

use std::{
    future::Future,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant, SystemTime},
};

use anylith_core::{Address, CallContext, Directory, Endpoint, Fingerprint, Limits, Name, Refusal};
use anylith_pki::{Authority, Identity, Lifetimes, Subject};
use anylith_rpc::{
    Answer, Answering, Callee, Failure, Incoming, Items, Lead, Network, Reply, Request, Serve,
    ServedComponent, Server,
};
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;

/// Methods of the component that is served.
pub(crate) const ECHO: u16 = 0;
/// Pending once, then echoes.
pub(crate) const LATER: u16 = 1;
/// Never answers.
pub(crate) const NEVER: u16 = 2;
/// Answers with a stream of as many items as the first four bytes say, each as long as the next four.
pub(crate) const COUNT: u16 = 3;
/// Answers with the number of items and of bytes it was sent.
pub(crate) const SUM: u16 = 4;
/// Sends back every item it is sent.
pub(crate) const MIRROR: u16 = 5;
/// Panics in [`Serve::call`].
pub(crate) const PANIC: u16 = 6;
/// Panics once its future is in a task of its own.
pub(crate) const PANIC_LATER: u16 = 7;
/// Answers with the microseconds that are left, or the maximum.
pub(crate) const LEFT: u16 = 8;
/// Answers when [`Counts::release`] rings.
pub(crate) const HELD: u16 = 9;
/// Takes the first item, and answers.
pub(crate) const FIRST: u16 = 10;
/// Refuses as moved; by a directory with the epoch that the first eight bytes say, if there are any, and then only until
/// [`Counts::arrived`].
pub(crate) const MOVED: u16 = 11;
/// Answers with the `traceparent`.
pub(crate) const TRACE: u16 = 12;
/// Computes for as many microseconds as the first four bytes say, where it was read, and answers with as many bytes as the
/// next four say.
pub(crate) const COMPUTE: u16 = 13;
/// The same, but in a task of its own.
pub(crate) const COMPUTE_APART: u16 = 14;
/// How many methods there are.
pub(crate) const METHODS: u16 = 15;

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// What the service saw.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) begun: AtomicUsize,
    pub(crate) dropped: AtomicUsize,
    pub(crate) finished: AtomicUsize,
    pub(crate) release: Notify,
    /// What has moved is here.
    pub(crate) arrived: AtomicBool,
    pub(crate) changed: Notify,
}

impl Counts {
    pub(crate) fn begun(&self) -> usize {
        self.begun.load(SeqCst)
    }

    /// Waits until `holds`; it is asked again whenever a count changes.
    pub(crate) async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if holds(self) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .expect("it never came true");
    }
}

pub(crate) struct Echo {
    pub(crate) component: Name,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) counts: Arc<Counts>,
}

struct Running(Arc<Counts>, bool);

impl Running {
    fn finish(&mut self) {
        self.1 = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let count = if self.1 {
            &self.0.finished
        } else {
            &self.0.dropped
        };
        count.fetch_add(1, SeqCst);
        self.0.changed.notify_waiters();
    }
}

impl Serve for Echo {
    fn components(&self) -> Vec<ServedComponent> {
        vec![ServedComponent {
            name: self.component.clone(),
            fingerprint: self.fingerprint,
            methods: METHODS,
        }]
    }

    fn call(&self, call: Incoming) -> Answering {
        self.counts.begun.fetch_add(1, SeqCst);
        self.counts.changed.notify_waiters();
        let mut running = Running(self.counts.clone(), false);
        assert_ne!(call.method, PANIC, "told to");
        Box::pin(async move {
            let answer = answer(call, &running.0).await;
            running.finish();
            answer
        })
    }
}

async fn answer(call: Incoming, counts: &Counts) -> Answer {
    let Incoming {
        method,
        deadline,
        arguments,
        items,
        mut buffer,
        context,
        ..
    } = call;
    match method {
        ECHO => {
            buffer.extend_from_slice(&arguments);
            Answer::Message(buffer)
        }
        LATER => {
            tokio::task::yield_now().await;
            Answer::Message(arguments.to_vec())
        }
        NEVER => std::future::pending().await,
        COUNT => {
            let number = |at: usize| u32::from_le_bytes(arguments[at..at + 4].try_into().unwrap());
            let (count, length) = (number(0), number(4) as usize);
            let item = move |index: u32| Ok(vec![index as u8; length].into());
            Answer::Stream(Box::pin(stream::iter(0..count).map(item)))
        }
        SUM => {
            let (mut count, mut bytes) = (0_u32, 0_u32);
            let mut items = items.unwrap();
            while let Some(item) = items.next().await {
                match item {
                    Ok(item) => (count, bytes) = (count + 1, bytes + item.len() as u32),
                    Err(failure) => return Answer::Failed(failure),
                }
            }
            Answer::Message([count.to_le_bytes(), bytes.to_le_bytes()].concat())
        }
        MIRROR => Answer::Stream(items.unwrap()),
        PANIC_LATER => {
            tokio::task::yield_now().await;
            panic!("told to");
        }
        LEFT => {
            let left = deadline.map_or(u64::MAX, |at| {
                at.duration_since(std::time::Instant::now()).as_micros() as u64
            });
            Answer::Message(left.to_le_bytes().to_vec())
        }
        HELD => {
            counts.release.notified().await;
            Answer::Message(arguments.to_vec())
        }
        FIRST => {
            let first = items.unwrap().next().await.unwrap().unwrap();
            Answer::Message(first.to_vec())
        }
        MOVED => {
            let epoch = arguments
                .first_chunk()
                .map_or(0, |it| u64::from_le_bytes(*it));
            match epoch > 0 && counts.arrived.load(SeqCst) {
                true => Answer::Message(b"here".to_vec()),
                false => Answer::Failed(Failure::NotExecuted(Refusal::Moved { epoch })),
            }
        }
        COMPUTE | COMPUTE_APART => {
            if method == COMPUTE_APART {
                tokio::task::yield_now().await;
            }
            let number = |at: usize| u32::from_le_bytes(arguments[at..at + 4].try_into().unwrap());
            let end = Instant::now() + Duration::from_micros(number(0).into());
            while Instant::now() < end {
                std::hint::spin_loop();
            }
            Answer::Message(vec![7; number(4) as usize])
        }
        TRACE => {
            let trace = context
                .trace
                .map(|trace| trace.to_string())
                .unwrap_or_default();
            Answer::Message(trace.into_bytes())
        }
        other => unreachable!("there is no method {other}"),
    }
}

/// An authority of its own for `app`.
pub(crate) fn authority(app: &str) -> Authority {
    Authority::new(name(app), Lifetimes::default(), SystemTime::now()).unwrap()
}

/// What `authority` issues now to `replica` of `app`, with `components`.
pub(crate) fn identity(
    authority: &Authority,
    app: &str,
    replica: &str,
    components: &[&str],
) -> Identity {
    let subject = Subject {
        app: name(app),
        replica: name(replica),
        group: name("group"),
        components: components.iter().map(|it| name(it)).collect(),
    };
    authority.issue(&subject, SystemTime::now()).unwrap()
}

/// How a test's world is set up.
pub(crate) struct World {
    limits: Limits,
    tcp: bool,
    served: Fingerprint,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            limits: Limits::default(),
            tcp: false,
            served: Fingerprint(1),
        }
    }

    pub(crate) fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    pub(crate) fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub(crate) fn served_fingerprint(mut self, fingerprint: Fingerprint) -> Self {
        self.served = fingerprint;
        self
    }

    /// Starts a server, and a network of a caller that has it in its directory.
    pub(crate) fn start(self) -> Started {
        let folder = Folder::new();
        let counts = Arc::new(Counts::default());
        let endpoint = if self.tcp {
            "tcp:127.0.0.1:0".parse().unwrap()
        } else {
            folder.socket("server")
        };
        let service = Arc::new(Echo {
            component: name("Echo"),
            fingerprint: self.served,
            counts: counts.clone(),
        });
        let serving = Network::new(name("Echo-1"), self.limits.clone());
        let network = Network::new(name("Caller-1"), self.limits.clone());
        if self.tcp {
            let authority = authority("shop");
            for (network, replica) in [(&serving, "Echo-1"), (&network, "Caller-1")] {
                let identity = identity(&authority, "shop", replica, &["Echo"]);
                network.set_identity(&identity).unwrap();
            }
        }
        let server = serving.serve(&endpoint, service).unwrap();
        network.update(directory(1, &[&server.endpoint()]));
        let callee = network.callee(name("Echo"), Fingerprint(1));
        Started {
            server,
            serving,
            network,
            callee,
            counts,
            folder,
            limits: self.limits,
        }
    }
}

pub(crate) fn directory(epoch: u64, endpoints: &[&Endpoint]) -> Directory {
    let address = |(at, endpoint): (usize, &&Endpoint)| Address {
        replica: name(&format!("Echo-{}", at + 1)),
        endpoint: (*endpoint).clone(),
    };
    let replicas = endpoints.iter().enumerate().map(address).collect();
    Directory::new(epoch, [(name("Echo"), replicas)])
}

pub(crate) struct Started {
    pub(crate) server: Server,
    /// The network of the server.
    pub(crate) serving: Network,
    pub(crate) network: Network,
    pub(crate) callee: Callee,
    pub(crate) counts: Arc<Counts>,
    pub(crate) folder: Folder,
    pub(crate) limits: Limits,
}

impl Started {
    /// Starts another server with the same counts.
    pub(crate) fn another_server(&self, file: &str) -> Server {
        let service = Arc::new(Echo {
            component: name("Echo"),
            fingerprint: Fingerprint(1),
            counts: self.counts.clone(),
        });
        let network = Network::new(name("Echo-2"), self.limits.clone());
        network.serve(&self.folder.socket(file), service).unwrap()
    }
}

/// A folder of its own for sockets, removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "anylith-rpc-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, SeqCst)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn socket(&self, file: &str) -> Endpoint {
        Endpoint::Unix(self.0.join(file))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One call, with what its parts usually are.
pub(crate) struct Making<'a> {
    callee: &'a Callee,
    method: u16,
    arguments: Vec<u8>,
    deadline: Option<Duration>,
    idempotent: bool,
    context: CallContext,
    items: Option<Items>,
    streaming: bool,
    key: Option<u64>,
    hedge: Option<Duration>,
    lead: Option<Lead>,
}

pub(crate) fn making(callee: &Callee, method: u16, arguments: impl Into<Vec<u8>>) -> Making<'_> {
    Making {
        callee,
        method,
        arguments: arguments.into(),
        deadline: Some(Duration::from_secs(10)),
        idempotent: false,
        context: CallContext::default(),
        items: None,
        streaming: false,
        key: None,
        hedge: None,
        lead: None,
    }
}

impl Making<'_> {
    pub(crate) fn within(mut self, length: Duration) -> Self {
        self.deadline = Some(length);
        self
    }

    pub(crate) fn no_deadline(mut self) -> Self {
        self.deadline = None;
        self
    }

    pub(crate) fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    pub(crate) fn key(mut self, key: u64) -> Self {
        self.key = Some(key);
        self
    }

    pub(crate) fn hedge(mut self, after: Duration) -> Self {
        self.hedge = Some(after);
        self
    }

    pub(crate) fn lead(mut self, lead: Lead) -> Self {
        self.lead = Some(lead);
        self
    }

    pub(crate) fn context(mut self, context: CallContext) -> Self {
        self.context = context;
        self
    }

    pub(crate) fn items(mut self, items: Items) -> Self {
        self.items = Some(items);
        self
    }

    async fn call(self) -> Result<Reply, Failure> {
        let encode = |buffer: &mut Vec<u8>| {
            buffer.extend_from_slice(&self.arguments);
            Ok(())
        };
        let request = Request {
            method: self.method,
            idempotent: self.idempotent,
            deadline: self.deadline.map(|length| Instant::now() + length),
            context: &self.context,
            key: self.key,
            hedge: self.hedge,
            arguments: &encode,
            items: self.items,
            streaming_answer: self.streaming,
            lead: self.lead,
            repeated: &|_| {},
        };
        self.callee.call(request).await
    }

    /// Makes the call, for one message.
    pub(crate) async fn message(self) -> Result<Vec<u8>, Failure> {
        match self.call().await? {
            Reply::Message(message) => Ok(message.to_vec()),
            Reply::Stream(_) => panic!("a stream came"),
        }
    }

    /// Makes the call, for a stream.
    pub(crate) async fn stream(mut self) -> Result<Items, Failure> {
        self.streaming = true;
        match self.call().await? {
            Reply::Message(_) => panic!("a message came"),
            Reply::Stream(items) => Ok(items),
        }
    }
}

/// Fails instead of hanging.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .expect("it hangs")
}

/// The arguments of [`COMPUTE`].
pub(crate) fn computing(length: Duration, answer_bytes: u32) -> Vec<u8> {
    let micros = length.as_micros() as u32;
    [micros.to_le_bytes(), answer_bytes.to_le_bytes()].concat()
}
