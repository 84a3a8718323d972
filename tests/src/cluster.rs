//! The shop as pods: rendered by `anylith render kubernetes`, and run as a node would, without a cluster.
//!
//! Each pod is a process in a network namespace with an address of its own. What a cluster does besides is done here: mounts, the
//! environment, names in the DNS (which lag behind as those of a cluster do), probes, and a Secret that changes under a pod.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use netns::{Host, Lan};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{Visitor, shop::App};

/// How long a pod may take. Generous: other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(90);

/// Who asks for an image needs to name one; nobody pulls it here.
pub const IMAGE: &str = "registry.example.com/apps/it:1.4.0";

/// The shop as pods.
#[derive(Debug)]
pub struct Cluster {
    /// The pods. Dropped first, since they run on the hosts.
    pub pods: Vec<Pod>,
    /// The node's own host is the first; each pod has one more.
    pub lan: Arc<Lan>,
    /// What names mean.
    names: Names,
    app: App,
    workloads: BTreeMap<String, Workload>,
    next_host: usize,
    _resolvers: Vec<Resolver>,
}

/// A pod.
#[derive(Debug)]
pub struct Pod {
    /// Its group, as labels have it.
    pub group: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The number of its host.
    pub host: usize,
    folder: PathBuf,
    child: Child,
}

/// What is rendered for a group.
#[derive(Debug, Clone)]
struct Workload {
    orders: String,
    environment: BTreeMap<String, String>,
    /// The names under which its pods are found.
    services: Vec<String>,
    replicas: usize,
    secret: Option<BTreeMap<String, String>>,
}

impl Cluster {
    /// Renders the shop in `topology`, and starts each of its pods; names are known so much later than what they mean. There is
    /// room for so many `spare` pods besides. They are not awaited.
    ///
    /// # Errors
    ///
    /// What the command says, or what keeps a pod from starting.
    pub fn start(
        lan: impl FnOnce(u8) -> Option<Lan>,
        (topology, replicas): (&str, &str),
        lag: Duration,
        spare: u8,
    ) -> anyhow::Result<Option<Self>> {
        let app = App::copy()?;
        let workloads = render(&app, topology, replicas)?;
        let pods: usize = workloads.values().map(|workload| workload.replicas).sum();
        let Some(lan) = lan(1 + u8::try_from(pods)? + spare) else {
            return Ok(None);
        };
        let node = lan.host(0);
        let socket = node.enter(|| UdpSocket::bind((node.address(), 53)))??;
        let names = Names::at(socket, lag)?;
        let resolvers = lan.hosts().iter();
        let resolvers = resolvers
            .map(|host| Resolver::of(host, node.address()))
            .collect::<Result<_, _>>()?;
        let mut cluster = Self {
            pods: Vec::new(),
            lan: Arc::new(lan),
            names,
            app,
            workloads,
            next_host: 1,
            _resolvers: resolvers,
        };
        let groups: Vec<(String, usize)> = cluster
            .workloads
            .iter()
            .map(|(group, workload)| (group.clone(), workload.replicas))
            .collect();
        for (group, replicas) in groups {
            for _ in 0..replicas {
                cluster.begin(&group)?;
            }
        }
        Ok(Some(cluster))
    }

    /// Starts one more pod of `group`, and lets its name mean it, too. Returns its index.
    ///
    /// # Errors
    ///
    /// It cannot be started, or there is no room.
    pub fn begin(&mut self, group: &str) -> anyhow::Result<usize> {
        let workload = self.workloads[group].clone();
        let host = self.next_host;
        ensure!(host < self.lan.hosts().len(), "no room for one more pod");
        self.next_host += 1;
        let address = self.lan.host(host).address();
        let folder = self.app.folder().join(format!("pods/{group}-{host}"));
        fs::create_dir_all(folder.join("work"))?;
        // Mounts: what a pod finds in /etc/anylith is in a folder of its own here.
        let etc = folder.join("etc");
        fs::create_dir_all(etc.join("orders"))?;
        let here = etc.display().to_string();
        let orders = workload.orders.replace("/etc/anylith", &here);
        fs::write(etc.join("orders/bootstrap.json"), orders)?;
        if let Some(secret) = &workload.secret {
            mount(&etc.join("tls"), secret)?;
        }
        let log = File::create(folder.join("log"))?;
        let mut command = self.lan.host(host).command(self.app.program()?);
        for (name, value) in &workload.environment {
            command.env(name, value.replace("/etc/anylith", &here));
        }
        let child = command
            .env("ANYLITH_ADDRESS", address.to_string())
            .current_dir(folder.join("work"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.pods.push(Pod {
            group: group.to_owned(),
            address,
            host,
            folder,
            child,
        });
        self.publish(group);
        Ok(self.pods.len() - 1)
    }

    /// Lets the names of `group` mean the pods that it has.
    fn publish(&self, group: &str) {
        let pods = self.pods.iter().filter(|pod| pod.group == group);
        let addresses: Vec<Ipv4Addr> = pods.map(|pod| pod.address).collect();
        for service in &self.workloads[group].services {
            self.names.set(service, addresses.clone());
        }
    }

    /// The index of the first pod of `group`.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn first(&self, group: &str) -> anyhow::Result<usize> {
        let found = self.pods.iter().position(|pod| pod.group == group);
        found.with_context(|| format!("no pod of {group}"))
    }

    /// Tells a pod to stop, and lets its names mean it no more, at the same time; returns when it has ended.
    ///
    /// # Errors
    ///
    /// It does not end in good order.
    pub fn stop(&mut self, index: usize) -> anyhow::Result<()> {
        let mut pod = self.pods.remove(index);
        let group = pod.group.clone();
        pod.signal(Signal::TERM)?;
        self.publish(&group);
        let good = pod.ended()?;
        ensure!(good, "{group} did not stop in good order: {}", pod.log());
        Ok(())
    }

    /// Kills a pod, and puts another one in its place, at another address.
    ///
    /// # Errors
    ///
    /// There is no room for it.
    pub fn replace(&mut self, index: usize) -> anyhow::Result<usize> {
        let mut pod = self.pods.remove(index);
        pod.signal(Signal::KILL)?;
        pod.ended()?;
        self.begin(&pod.group.clone())
    }

    /// Waits until every pod says that it is ready.
    ///
    /// # Errors
    ///
    /// One does not, in time.
    pub fn ready(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        for index in 0..self.pods.len() {
            loop {
                let said = self.ask(index, "/readyz");
                if said.as_ref().is_ok_and(|(status, _)| *status == 200) {
                    break;
                }
                let pod = &mut self.pods[index];
                if let Some(status) = pod.child.try_wait()? {
                    bail!("{} ended with {status}: {}", pod.group, pod.log());
                }
                ensure!(
                    Instant::now() < end,
                    "{}: {said:?}\n{}",
                    pod.group,
                    pod.log()
                );
                thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }

    /// Asks a pod for `path`, as a probe does. Returns the status and what it said.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn ask(&self, index: usize, path: &str) -> anyhow::Result<(u16, String)> {
        let pod = &self.pods[index];
        let at = SocketAddr::new(pod.address.into(), 7401);
        // A probe comes from the node.
        let mut stream = self.lan.host(0).enter(|| {
            let stream = TcpStream::connect_timeout(&at, Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            Ok::<_, std::io::Error>(stream)
        })??;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status.context("no status")?, body.to_owned()))
    }

    /// Where the pages are, by what the name of the listener's Service means; waits until it means anybody.
    ///
    /// # Errors
    ///
    /// It does not, in time.
    pub fn pages(&self) -> anyhow::Result<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(address) = self.names.known("boutique-web").first() {
                return Ok(format!("http://{address}:8080"));
            }
            ensure!(Instant::now() < end, "nobody serves the pages");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Lets somebody visit the shop from the node. Each request goes to one of the pods that the name of the listener's
    /// Service means.
    ///
    /// # Errors
    ///
    /// What `work` returns.
    pub fn visit<T: Send>(
        &self,
        work: impl AsyncFnOnce(&mut Visitor) -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        Visitor::at(self.lan.host(0), &self.pages()?, work)
    }

    /// Issues new certificates to all groups, and lets the Secrets that pods have mounted change, as a kubelet does it.
    ///
    /// # Errors
    ///
    /// What the command says.
    pub fn renew_certificates(&mut self, topology: &str) -> anyhow::Result<()> {
        certify(&self.app, topology, &mut self.workloads)?;
        for pod in &self.pods {
            if let Some(secret) = &self.workloads[&pod.group].secret {
                mount(&pod.folder.join("etc/tls"), secret)?;
            }
        }
        Ok(())
    }
}

impl Pod {
    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// It is not there any more.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_child(&self.child);
        Ok(kill_process(pid, signal)?)
    }

    /// Waits until it has ended; returns whether that was in good order.
    ///
    /// # Errors
    ///
    /// It does not, in time.
    pub fn ended(&mut self) -> anyhow::Result<bool> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.success());
            }
            ensure!(
                Instant::now() < end,
                "{} does not end: {}",
                self.group,
                self.log()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Renders the shop, and reads what came of it as a cluster would.
fn render(app: &App, topology: &str, replicas: &str) -> anyhow::Result<BTreeMap<String, Workload>> {
    let mut command = app.command()?;
    command.args([
        "render",
        "kubernetes",
        "--topology",
        topology,
        "--image",
        IMAGE,
    ]);
    command.args(["--replicas", replicas]);
    said(&mut command)?;
    let mut workloads = BTreeMap::new();
    for entry in fs::read_dir(app.folder().join("kubernetes/groups"))? {
        let path = entry?.path();
        let group = path.file_stem().unwrap_or_default().to_string_lossy();
        let objects: Vec<Value> = serde_saphyr::from_multiple(&fs::read_to_string(&path)?)?;
        workloads.insert(group.into_owned(), workload(&objects)?);
    }
    certify(app, topology, &mut workloads)?;
    Ok(workloads)
}

fn workload(objects: &[Value]) -> anyhow::Result<Workload> {
    let of = |kinds: &[&str]| {
        let found = objects
            .iter()
            .filter(|it| kinds.iter().any(|kind| it["kind"] == *kind));
        found.collect::<Vec<_>>()
    };
    let map = *of(&["ConfigMap"]).first().context("no orders")?;
    let runs = *of(&["Deployment", "StatefulSet"])
        .first()
        .context("nothing runs")?;
    let container = &runs["spec"]["template"]["spec"]["containers"][0];
    let variables = container["env"].as_array().into_iter().flatten();
    let environment = variables.filter_map(|variable| {
        let text = |key: &str| Some(variable[key].as_str()?.to_owned());
        Some((text("name")?, text("value")?))
    });
    let services = of(&["Service"]).into_iter();
    let services = services.filter_map(|it| Some(it["metadata"]["name"].as_str()?.to_owned()));
    Ok(Workload {
        orders: map["data"]["bootstrap.json"]
            .as_str()
            .context("no orders")?
            .to_owned(),
        environment: environment.collect(),
        services: services.collect(),
        replicas: runs["spec"]["replicas"]
            .as_u64()
            .context("no number of replicas")? as usize,
        secret: None,
    })
}

/// Issues certificates, and reads them into `workloads`.
fn certify(
    app: &App,
    topology: &str,
    workloads: &mut BTreeMap<String, Workload>,
) -> anyhow::Result<()> {
    let mut command = app.command()?;
    said(command.args(["certs", "--topology", topology]))?;
    for (group, workload) in workloads {
        let path = app
            .folder()
            .join(format!("certs/boutique-{group}-tls.yaml"));
        if path.exists() {
            let secret: Value = serde_saphyr::from_str(&fs::read_to_string(path)?)?;
            let texts = secret["stringData"].as_object().context("no data")?.iter();
            let texts =
                texts.filter_map(|(key, text)| Some((key.clone(), text.as_str()?.to_owned())));
            workload.secret = Some(texts.collect());
        }
    }
    Ok(())
}

fn said(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(())
}

/// Mounts a Secret at `folder`, or changes the one that is mounted there, as a kubelet does: all files at once, by a link.
fn mount(folder: &Path, files: &BTreeMap<String, String>) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let version = fs::read_dir(folder)?.count();
    let data = folder.join(format!("..version-{version}"));
    fs::create_dir(&data)?;
    for (name, text) in files {
        fs::write(data.join(name), text)?;
        let link = folder.join(name);
        if !link.exists() {
            symlink(Path::new("..data").join(name), link)?;
        }
    }
    let new = folder.join("..data-new");
    symlink(data.file_name().unwrap_or_default(), &new)?;
    fs::rename(new, folder.join("..data"))?;
    Ok(())
}

/// Where the processes of a host look names up.
#[derive(Debug)]
struct Resolver(PathBuf);

impl Resolver {
    fn of(host: &Host, server: Ipv4Addr) -> anyhow::Result<Self> {
        // `ip netns exec` puts what is here into the place of what is in /etc.
        let folder = Path::new("/etc/netns").join(host.namespace());
        fs::create_dir_all(&folder)?;
        fs::write(
            folder.join("resolv.conf"),
            format!("nameserver {server}\noptions timeout:1 attempts:2\n"),
        )?;
        Ok(Self(folder))
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What was said of a name, and when.
type Said = BTreeMap<String, Vec<(Instant, Vec<Ipv4Addr>)>>;

/// The DNS of a cluster, which is told of changes late.
#[derive(Debug)]
struct Names {
    said: Arc<Mutex<Said>>,
    lag: Duration,
}

impl Names {
    /// Answers questions that come to `socket`, until it is dropped.
    fn at(socket: UdpSocket, lag: Duration) -> anyhow::Result<Self> {
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let said = Arc::<Mutex<Said>>::default();
        let asked = Arc::downgrade(&said);
        thread::spawn(move || {
            let mut question = [0; 512];
            while let Some(said) = asked.upgrade() {
                if let Ok((length, from)) = socket.recv_from(&mut question)
                    && let Some(answer) = reply(&question[..length], |name| known(&said, lag, name))
                {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Ok(Self { said, lag })
    }

    fn set(&self, name: &str, addresses: Vec<Ipv4Addr>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let of = said.entry(name.to_owned()).or_default();
        of.push((Instant::now(), addresses));
    }

    /// What `name` means as far as it is known by now.
    fn known(&self, name: &str) -> Vec<Ipv4Addr> {
        known(&self.said, self.lag, name)
    }
}

fn known(said: &Mutex<Said>, lag: Duration, name: &str) -> Vec<Ipv4Addr> {
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    let all = said.get(name).map_or(&[][..], Vec::as_slice);
    let found = all.iter().rev().find(|(since, _)| since.elapsed() >= lag);
    found
        .map(|(_, addresses)| addresses.clone())
        .unwrap_or_default()
}

/// The answer to a question in the format of the DNS (RFC 1035): the addresses of the name, or that there is no such name.
fn reply(question: &[u8], addresses: impl Fn(&str) -> Vec<Ipv4Addr>) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    const A: u16 = 1;
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(question.get(at..at + length)?).into_owned());
        at += length;
    }
    let kind = u16::from_be_bytes([*question.get(at)?, *question.get(at + 1)?]);
    let end = at + 4;
    // The search path of a host may be at its end.
    let found = addresses(labels.first()?);
    let records: BTreeSet<Ipv4Addr> = match kind {
        A => found.iter().copied().collect(),
        _ => BTreeSet::new(),
    };
    let code = if found.is_empty() { 3 } else { 0 };
    let mut answer = question.get(..2)?.to_vec();
    answer.extend([0x85, 0x80 | code]);
    answer.extend(1_u16.to_be_bytes());
    answer.extend((records.len() as u16).to_be_bytes());
    answer.extend([0; 4]);
    answer.extend(question.get(HEADER..end)?);
    for address in records {
        // The name of the question, of this kind, in the Internet, for no second at all.
        answer.extend([0xc0, HEADER as u8, 0, A as u8, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
