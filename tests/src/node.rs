//! A machine that runs containers: podman, and runc below it, as Debian has them.
//!
//! Podman keeps much in fixed places. So the machine is made of namespaces: it has a network, mounts and processes of its own,
//! and sees neither the containers of whoever runs the tests nor their network, as these don't see it. Its first process ends
//! when the test does, however that ends, and everything that runs there ends with it.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context as _, ensure};
use netns::{Host, Lan};
use tempfile::TempDir;

/// What has to be there, and where podman looks for it besides the search path.
const PROGRAMS: [&str; 5] = ["podman", "runc", "netavark", "aardvark-dns", "iptables"];
const HELPERS: [&str; 4] = [
    "/usr/local/libexec/podman",
    "/usr/local/lib/podman",
    "/usr/libexec/podman",
    "/usr/lib/podman",
];

/// The network of all containers, and what its addresses begin with.
pub(crate) const NETWORK: &str = "pods";
const PREFIX: [u8; 3] = [10, 89, 0];

/// How the machine begins, given where podman is to keep images and containers. It has no `/run`, `/var/lib` and `/dev/shm` of others.
const BEGIN: &str = "set -e
for folder in /run /var/lib /dev/shm; do mount -t tmpfs tmpfs $folder; done
mkdir -p /run/netns /var/lib/containers
mount --bind \"$1\" /var/lib/containers
echo begun
cat
exit";

/// What podman is told. Debian's crun cannot do with cgroups of both versions.
const SETTINGS: &str = r#"
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
network_config_dir = "/run/containers/networks-wanted"
"#;

/// Where it keeps them.
const STORAGE: &str = r#"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
"#;

/// What making the machine takes, and the number of each in the kernel.
const PRIVILEGES: [(&str, u32); 6] = [
    ("CAP_SYS_ADMIN", 21),
    ("CAP_NET_ADMIN", 12),
    ("CAP_SYS_CHROOT", 18),
    ("CAP_MKNOD", 27),
    ("CAP_SETUID", 7),
    ("CAP_CHOWN", 0),
];

/// Why there are no containers: a program is not there, or the machine does not permit them. A test that needs them is
/// skipped, and says this.
#[derive(Debug, thiserror::Error)]
#[error("no container can run here: {0}")]
pub struct NoContainers(String);

/// The machine.
#[derive(Debug)]
pub struct Node {
    first: Child,
    /// While it is open the first process goes on.
    stays: Option<ChildStdin>,
    lan: Lan,
    home: TempDir,
}

impl Node {
    /// Makes one, with a network for its containers, and sees that a container can run on it.
    ///
    /// # Errors
    ///
    /// It cannot; nothing is left behind then.
    pub fn new() -> Result<Self, NoContainers> {
        let missing = PROGRAMS.iter().filter(|name| !is_there(name));
        let missing: Vec<&str> = missing.copied().collect();
        if !missing.is_empty() {
            let missing = missing.join(" ");
            return Err(NoContainers(format!(
                "install what Debian calls {missing} (`cargo xtask test` does, for root)"
            )));
        }
        let privileges = lacking();
        if !privileges.is_empty() {
            let lacking = privileges.join(", ");
            return Err(NoContainers(format!("this user lacks {lacking}")));
        }
        let refused = |error: anyhow::Error| NoContainers(format!("{error:#}"));
        let lan = Lan::new(1).map_err(|error| NoContainers(error.to_string()))?;
        let mut node = Self::begin(lan).map_err(refused)?;
        // Where one file system lies above another already, nothing can be laid above that.
        let settled = node.settle("overlay");
        settled.or_else(|_| node.settle("vfs")).map_err(refused)?;
        node.try_out().map_err(refused)?;
        Ok(node)
    }

    fn begin(lan: Lan) -> anyhow::Result<Self> {
        let home = TempDir::new()?;
        fs::create_dir(home.path().join("containers"))?;
        fs::write(home.path().join("containers.conf"), SETTINGS)?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--pid", "--fork"]);
        command.args(["--kill-child", "--mount-proc", "sh", "-c", BEGIN, "node"]);
        command.arg(home.path().join("containers"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(fs::File::create(home.path().join("said"))?);
        let mut first = lan.host(0).enter(|| command.spawn())??;
        let stays = first.stdin.take();
        let output = first.stdout.take().context("it is piped")?;
        let node = Self {
            first,
            stays,
            lan,
            home,
        };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let said = fs::read_to_string(node.home.path().join("said"))?;
        ensure!(
            line.trim() == "begun",
            "no namespaces of mounts and processes: {said}"
        );
        Ok(node)
    }

    /// Has podman keep images with `driver`, and makes the network.
    fn settle(&mut self, driver: &str) -> anyhow::Result<()> {
        let settings = format!("[storage]\ndriver = {driver:?}\n{STORAGE}");
        fs::write(self.home.path().join("storage.conf"), settings)?;
        let subnet = format!("{}/24", Self::address(0));
        let create = ["network", "create", "--internal", "--subnet", &subnet];
        self.podman(create.into_iter().chain([NETWORK])).map(drop)
    }

    /// Runs a container that has nothing to do with what is tested, so that what fails is the machine.
    fn try_out(&self) -> anyhow::Result<()> {
        let root = self.home.path().join("trial");
        fs::create_dir(&root)?;
        let mut arguments = vec!["run".to_owned(), "--rm".to_owned()];
        for folder in ["usr", "bin", "lib", "lib64"] {
            let on_host = Path::new("/").join(folder);
            if on_host.exists() {
                fs::create_dir(root.join(folder))?;
                let on_host = fs::canonicalize(on_host)?;
                arguments.push(format!("--volume={}:/{folder}:ro", on_host.display()));
            }
        }
        arguments.extend([
            format!("--network={NETWORK}"),
            "--memory=64m".to_owned(),
            "--rootfs".to_owned(),
            root.display().to_string(),
            "/bin/true".to_owned(),
        ]);
        self.podman(arguments).map(drop)
    }

    /// The address on the network with this number. The machine itself has the first.
    pub(crate) fn address(number: u8) -> Ipv4Addr {
        let [first, second, third] = PREFIX;
        Ipv4Addr::new(first, second, third, number)
    }

    /// The machine as a host: whoever is there reaches all containers.
    pub fn host(&self) -> &Host {
        self.lan.host(0)
    }

    /// Podman, yet to be run.
    pub fn command<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Command {
        let of = format!("/proc/{}/ns", self.first.id());
        let mut command = Command::new("nsenter");
        command.args([
            format!("--mount={of}/mnt"),
            format!("--net={of}/net"),
            format!("--pid={of}/pid_for_children"),
            "--wd=/".to_owned(),
        ]);
        // It waits for locks, for which nobody may have to wait for ever.
        command
            .args(["timeout", "300", "podman"])
            .args(arguments)
            .stdin(Stdio::null());
        for (name, file) in [
            ("CONTAINERS_CONF", "containers.conf"),
            ("CONTAINERS_STORAGE_CONF", "storage.conf"),
        ] {
            command.env(name, self.home.path().join(file));
        }
        command
    }

    /// Runs podman, and returns what it said.
    ///
    /// # Errors
    ///
    /// It fails, or does not end.
    pub fn podman<I: IntoIterator<Item: AsRef<OsStr>>>(
        &self,
        arguments: I,
    ) -> anyhow::Result<String> {
        let arguments: Vec<_> = arguments.into_iter().collect();
        let output = self.command(&arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let asked: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        ensure!(
            output.status.success(),
            "podman {}: {}",
            asked.join(OsStr::new(" ")).display(),
            said.trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // In good order, so that no cgroup is left. Whatever does not end so ends with the first process.
        let _ = self.podman(["rm", "--all", "--force", "--time", "0"]);
        drop(self.stays.take());
        let _ = self.first.wait();
    }
}

/// Whether there is a program called `name`.
fn is_there(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let helpers = HELPERS.iter().map(PathBuf::from);
    let mut folders = env::split_paths(&path).chain(helpers);
    folders.any(|folder| folder.join(name).is_file())
}

/// What this process may not do of what is needed.
fn lacking() -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let has = lines.find_map(|line| line.strip_prefix("CapEff:"));
    let has = has.and_then(|has| u64::from_str_radix(has.trim(), 16).ok());
    let has = has.unwrap_or_default();
    let lacking = PRIVILEGES.iter().filter(|(_, bit)| has >> bit & 1 == 0);
    lacking.map(|(name, _)| *name).collect()
}
