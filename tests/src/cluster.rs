//! The shop as pods: rendered by `anylith render kubernetes`, and run as a node would, without a cluster.
//!
//! Each pod is a process in a network namespace with an address of its own. What a cluster does besides is done here: mounts, the
//! environment, names in the DNS (which lag behind as those of a cluster do), probes, and a Secret that changes under a pod.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use netns::{Host, Lan};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Visitor,
    probe::{ask, until},
    rendered::{Mount, Rendered, Variable},
};

/// How long a pod may take. Generous: other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(90);

/// The shop as pods.
#[derive(Debug)]
pub struct Cluster {
    /// The pods. Dropped first, since they run on the hosts.
    pub pods: Vec<Pod>,
    /// The node's own host is the first; each pod has one more.
    pub lan: Arc<Lan>,
    /// What names mean.
    names: Names,
    rendered: Rendered,
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
        let rendered = Rendered::of(topology, replicas, &[])?;
        let workloads = rendered.workloads.iter();
        let groups = workloads.map(|(group, workload)| (group.clone(), workload.replicas));
        let groups: Vec<(String, usize)> = groups.collect();
        let pods: usize = groups.iter().map(|(_, replicas)| replicas).sum();
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
            rendered,
            next_host: 1,
            _resolvers: resolvers,
        };
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
        let workload = &self.rendered.workloads[group];
        let host = self.next_host;
        ensure!(host < self.lan.hosts().len(), "no room for one more pod");
        self.next_host += 1;
        let address = self.lan.host(host).address();
        let home = self.rendered.app.folder();
        let folder = home.join(format!("pods/{group}-{host}"));
        fs::create_dir_all(folder.join("work"))?;
        // No host has an /etc of its own: what is mounted is in the folder of the pod, and whatever leads to it leads there.
        let here = folder.display().to_string();
        let moved = |text: &str| {
            let paths = workload.mounts.iter();
            let paths = paths.filter(|(_, mount)| !matches!(mount, Mount::Empty));
            paths.fold(text.to_owned(), |text, (path, _)| {
                text.replace(path, &format!("{here}{path}"))
            })
        };
        for (path, mount) in &workload.mounts {
            let mount = match mount {
                Mount::ConfigMap(files) => {
                    let files = files.iter();
                    let moved = files.map(|(name, text)| (name.clone(), moved(text)));
                    Mount::ConfigMap(moved.collect())
                }
                Mount::Secret { .. } | Mount::Empty => mount.clone(),
            };
            self.rendered.mount(&mount, &at(&folder, path), None)?;
        }
        let log = File::create(folder.join("log"))?;
        let mut command = self.lan.host(host).command(self.rendered.app.program()?);
        for (name, value) in &workload.environment {
            command.env(
                name,
                match value {
                    Variable::Text(text) => moved(text),
                    Variable::Address => address.to_string(),
                },
            );
        }
        let child = command
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
        for service in &self.rendered.workloads[group].services {
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
        for index in 0..self.pods.len() {
            until(PATIENCE, || {
                let workload = &self.rendered.workloads[&self.pods[index].group];
                let said = self.ask(index, workload.readiness()?);
                if said.as_ref().is_ok_and(|(status, _)| *status == 200) {
                    return Ok(Ok(()));
                }
                let pod = &mut self.pods[index];
                if let Some(status) = pod.child.try_wait()? {
                    bail!("{} ended with {status}: {}", pod.group, pod.log());
                }
                Ok(Err(format!("{}: {said:?}\n{}", pod.group, pod.log())))
            })?;
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
        let port = self.rendered.workloads[&pod.group].health_port()?;
        // A probe comes from the node.
        let at = SocketAddr::new(pod.address.into(), port);
        ask(self.lan.host(0), at, path)
    }

    /// Where the pages are, by what the name of the listener's Service means; waits until it means anybody.
    ///
    /// # Errors
    ///
    /// It does not, in time.
    pub fn pages(&self) -> anyhow::Result<String> {
        let (_, service, port) = self.rendered.pages()?;
        until(PATIENCE, || match self.names.known(service).is_empty() {
            true => Ok(Err("nobody serves the pages".to_owned())),
            false => Ok(Ok(())),
        })?;
        Ok(format!("http://{}:{port}", self.names.known(service)[0]))
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
    pub fn renew_certificates(&mut self) -> anyhow::Result<()> {
        self.rendered.certify()?;
        for pod in &self.pods {
            for (path, mount) in &self.rendered.workloads[&pod.group].mounts {
                if matches!(mount, Mount::Secret { .. }) {
                    let folder = at(&pod.folder, path);
                    self.rendered.mount(mount, &folder, None)?;
                }
            }
        }
        Ok(())
    }
}

/// Where in the folder of a pod is what it would find at `path`.
fn at(folder: &Path, path: &str) -> PathBuf {
    folder.join(path.trim_start_matches('/'))
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
