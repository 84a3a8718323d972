//! How fast calls are, without serde and without a component model: a quick look while working on the
//! data plane. The real benchmarks, with peers to compare with, are in `bench/`.
//!
//! ```text
//! cargo run --release -p anylith-rpc --example pace            # both ends on CPU 0, current-thread
//! cargo run --release -p anylith-rpc --example pace -- multi   # multi-thread runtimes, not pinned
//! ```

use std::{
    error::Error,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anylith_core::{Address, CallContext, Directory, Endpoint, Fingerprint, Limits, Name};
use anylith_rpc::{
    Answer, Answering, Callee, Incoming, Network, Reply, Request, Serve, ServedComponent,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const REQUEST: usize = 57;
const ANSWER: usize = 275;
const BLOB: usize = 64 * 1024;
const LIST: usize = 8300;

/// Method 0 answers with 275 bytes, 1 echoes, 2 is pending once, 3 answers with 8.3 KB.
struct Shop;

impl Serve for Shop {
    fn components(&self) -> Vec<ServedComponent> {
        let name = Name::new("Shop").expect("it is a name");
        vec![ServedComponent {
            name,
            fingerprint: Fingerprint(1),
            methods: 4,
        }]
    }

    fn call(&self, call: Incoming) -> Answering {
        Box::pin(async move {
            let mut answer = call.buffer;
            match call.method {
                0 => answer.resize(ANSWER, 7),
                1 => answer.extend_from_slice(&call.arguments),
                2 => {
                    tokio::task::yield_now().await;
                    answer.resize(ANSWER, 7);
                }
                _ => answer.resize(LIST, 7),
            }
            Answer::Message(answer)
        })
    }
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let multi = arguments.iter().any(|argument| argument == "multi");
    let runtime = if multi {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
    } else {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
    };
    if let Some(at) = arguments.iter().position(|argument| argument == "serve") {
        return runtime.block_on(serve(&arguments[at + 1]));
    }
    let folder = std::env::temp_dir().join(format!("anylith-pace-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("s").display().to_string();
    let server = Server::start(&path, multi)?;
    let outcome = runtime.block_on(measure(&path, &server));
    drop(server);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

async fn serve(path: &str) -> Outcome<()> {
    let network = Network::new(Name::new("Shop-1")?, Limits::default());
    let endpoint: Endpoint = format!("unix:{path}").parse()?;
    let _server = network.serve(&endpoint, Arc::new(Shop))?;
    let bare = UnixListener::bind(format!("{path}.bare"))?;
    std::io::stdout().write_all(b"!")?;
    std::io::stdout().flush()?;
    loop {
        let (mut socket, _) = bare.accept().await?;
        tokio::spawn(async move {
            let mut bytes = vec![0; BLOB];
            let (Ok(request), Ok(answer)) = (socket.read_u32().await, socket.read_u32().await)
            else {
                return;
            };
            while socket
                .read_exact(&mut bytes[..request as usize])
                .await
                .is_ok()
            {
                if socket.write_all(&bytes[..answer as usize]).await.is_err() {
                    break;
                }
            }
        });
    }
}

struct Server(Child);

impl Server {
    fn start(path: &str, multi: bool) -> Outcome<Self> {
        let me = std::env::current_exe()?;
        let mut command = Command::new(me);
        if multi {
            command.arg("multi");
        }
        let mut child = command
            .args(["serve", path])
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(ready) = &mut child.stdout {
            ready.read_exact(&mut [0])?;
        }
        Ok(Self(child))
    }

    /// Processor time of both ends.
    fn used(&self) -> Outcome<Duration> {
        Ok(used(&self.0.id().to_string())? + used("self")?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Processor time of a process, from its scheduler statistics: nanoseconds on a CPU, of all threads.
fn used(pid: &str) -> Outcome<Duration> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        total += text.split(' ').next().unwrap_or("0").parse::<u64>()?;
    }
    Ok(Duration::from_nanos(total))
}

async fn measure(path: &str, server: &Server) -> Outcome<()> {
    let network = Network::new(Name::new("Caller-1")?, Limits::default());
    let (name, replica) = (Name::new("Shop")?, Name::new("Shop-1")?);
    let address = Address {
        replica,
        endpoint: format!("unix:{path}").parse()?,
    };
    network.update(Directory::new(1, [(name.clone(), vec![address])]));
    let callee = network.callee(name, Fingerprint(1));
    for round in 0..3 {
        println!("round {round}");
        bare(path, server, REQUEST, ANSWER).await?;
        bare(path, server, BLOB, BLOB).await?;
        run("get", &callee, server, 0, REQUEST, 1, 20_000).await?;
        run("get", &callee, server, 0, REQUEST, 64, 300_000).await?;
        run("get", &callee, server, 0, REQUEST, 512, 300_000).await?;
        run("get, pending", &callee, server, 2, REQUEST, 64, 100_000).await?;
        run("list", &callee, server, 3, REQUEST, 64, 60_000).await?;
        run("blob", &callee, server, 1, BLOB, 1, 10_000).await?;
        run("blob", &callee, server, 1, BLOB, 8, 20_000).await?;
        run("blob", &callee, server, 1, BLOB, 64, 20_000).await?;
    }
    Ok(())
}

/// The same bytes without any protocol, one exchange at a time.
async fn bare(path: &str, server: &Server, request: usize, answer: usize) -> Outcome<()> {
    let mut socket = UnixStream::connect(format!("{path}.bare")).await?;
    socket.write_u32(request as u32).await?;
    socket.write_u32(answer as u32).await?;
    let (request, mut answer) = (vec![1; request], vec![0; answer]);
    let count = 20_000;
    let (begun, before) = (Instant::now(), server.used()?);
    for _ in 0..count {
        socket.write_all(&request).await?;
        socket.read_exact(&mut answer).await?;
    }
    report("bare", 1, count, begun.elapsed(), server.used()? - before);
    Ok(())
}

async fn run(
    what: &str,
    callee: &Callee,
    server: &Server,
    method: u16,
    size: usize,
    at_once: u32,
    count: u32,
) -> Outcome<()> {
    let (begun, before) = (Instant::now(), server.used()?);
    let callers: Vec<_> = (0..at_once)
        .map(|_| tokio::spawn(call(callee.clone(), method, size, count / at_once)))
        .collect();
    for caller in callers {
        caller.await??;
    }
    let made = count / at_once * at_once;
    report(
        what,
        at_once,
        made,
        begun.elapsed(),
        server.used()? - before,
    );
    Ok(())
}

async fn call(callee: Callee, method: u16, size: usize, count: u32) -> Outcome<()> {
    let context = CallContext::default();
    let body = vec![1; size];
    let arguments = |buffer: &mut Vec<u8>| {
        buffer.extend_from_slice(&body);
        Ok(())
    };
    for _ in 0..count {
        let request = Request {
            method,
            idempotent: false,
            deadline: Some(Instant::now() + Duration::from_secs(10)),
            context: &context,
            key: None,
            hedge: None,
            arguments: &arguments,
            items: None,
            streaming_answer: false,
            lead: None,
            repeated: &|_| {},
        };
        let Reply::Message(_) = callee.call(request).await? else {
            return Err("a stream came".into());
        };
    }
    Ok(())
}

fn report(what: &str, at_once: u32, count: u32, wall: Duration, used: Duration) {
    let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(count);
    println!(
        "{what:>14} × {at_once:<3} {:8.2} µs each, {:8.2} µs CPU",
        each(wall),
        each(used)
    );
}
