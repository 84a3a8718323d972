//! An application in several builds, and people who ask it for their parcels all the time.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{build::program, leftovers};

/// `Web` calls `Desk`, which calls `Depot`. Builds: `first`, `second` with another interface of `Depot`, and the broken
/// ones `crashing`, `panicking` and `larger`. It runs until it is dropped.
#[derive(Debug)]
pub struct Parcels {
    /// Where its pages are.
    pub url: String,
    home: TempDir,
    arguments: Vec<String>,
    child: Child,
}

/// One process, as `anylith status --json` has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Parcel {
    /// Its name.
    pub id: String,
    /// Its process; `None` while there is none.
    pub pid: Option<i32>,
    /// The build that it runs.
    #[serde(default)]
    pub build: u32,
}

#[derive(Deserialize)]
struct Status {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    replicas: Vec<Parcel>,
}

impl Parcels {
    /// Starts the build `first` with these arguments of `anylith run`, in a folder of its own.
    ///
    /// # Errors
    ///
    /// If it does not get ready.
    pub fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let home = TempDir::new().context("cannot make a temporary folder")?;
        fs::create_dir(home.path().join("app"))?;
        let arguments = arguments.iter().map(|it| (*it).to_owned()).collect();
        let toml = "[app]\nname = \"parcels\"\nbinary = \"parcels\"\n\n\
                    [topologies.pair]\ngroups.front = { components = [\"Web\", \"Desk\"], replicas = 2 }\n\
                    groups.back = { components = [\"*\"], replicas = 2 }\n\n\
                    [topologies.drowsy]\ngroups.web = { components = [\"Web\"] }\n\
                    groups.desk = { components = [\"Desk\"], replicas = { min = 0, max = 2, cooldown = \"1s\" } }\n\
                    groups.depot = { components = [\"Depot\"], replicas = { min = 0, max = 2, cooldown = \"1s\" } }\n\n\
                    [topologies.nodding]\ngroups.front = { components = [\"Web\", \"Desk\"], replicas = 2 }\n\
                    groups.depot = { components = [\"Depot\"], replicas = { min = 0, max = 2, cooldown = \"1s\" } }\n";
        fs::write(home.path().join("app/anylith.toml"), toml)?;
        let mut parcels = Self {
            url: String::new(),
            child: Command::new("true").spawn()?,
            arguments,
            home,
        };
        parcels.is_built_as("first")?;
        parcels.run()?;
        Ok(parcels)
    }

    /// The binary of a build, where it was built.
    ///
    /// # Errors
    ///
    /// If it does not build.
    pub fn binary(build: &str) -> anyhow::Result<String> {
        let path = program(&format!("parcels-{build}"))?;
        Ok(path.display().to_string())
    }

    /// Puts a build where the application's binary is, in the place of the one that is there, as cargo does.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn is_built_as(&self, build: &str) -> anyhow::Result<()> {
        let (path, new) = (self.app().join("parcels"), self.app().join("parcels.new"));
        fs::copy(Self::binary(build)?, &new)?;
        fs::rename(new, path)?;
        Ok(())
    }

    /// Exchanges the copy of the first build that an upgrade keeps to go back to: for what cannot run, or for that build.
    ///
    /// # Errors
    ///
    /// If there is none, or it cannot be written.
    pub fn first_is_kept(&self, whole: bool) -> anyhow::Result<()> {
        let runs = fs::read_dir(self.home.path().join("anylith"))?;
        for run in runs {
            let builds = fs::read_dir(run?.path().join("builds"))?;
            for build in builds {
                // The others are called as their files are.
                let (path, new) = (build?.path().join("parcels"), self.app().join("kept"));
                if !path.is_file() {
                    continue;
                }
                match whole {
                    true => drop(fs::copy(Self::binary("first")?, &new)?),
                    false => {
                        fs::write(&new, "exit 3\n")?;
                        fs::set_permissions(&new, fs::Permissions::from_mode(0o700))?;
                    }
                }
                fs::rename(new, path)?;
                return Ok(());
            }
        }
        bail!("the first build is not kept")
    }

    fn app(&self) -> PathBuf {
        self.home.path().join("app")
    }

    /// `anylith run`, as it was started first.
    fn runs(&self) -> anyhow::Result<Command> {
        let mut run = self.command()?;
        run.arg("run").args(&self.arguments);
        run.args(["--listen", "web=127.0.0.1:0"]);
        Ok(run)
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let _ = self.child.wait();
        let mut run = self.runs()?;
        run.stdout(Stdio::piped());
        run.stderr(File::create(self.home.path().join("said"))?);
        self.child = run.spawn()?;
        let out = self.child.stdout.take().expect("it is piped");
        for line in BufReader::new(out).lines() {
            if let Some(url) = line?.strip_prefix("ready: web ") {
                self.url = url.trim_end_matches('/').to_owned();
                return Ok(());
            }
        }
        bail!("it does not start:\n{}", self.said())
    }

    /// Kills the supervisor, and starts another one in the same way.
    ///
    /// # Errors
    ///
    /// If it does not get ready.
    pub fn replace_supervisor(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.run()
    }

    /// Kills the supervisor, and starts another one in the same way, but in the background; returns what that has said.
    ///
    /// # Errors
    ///
    /// If it cannot be run.
    pub fn replace_supervisor_in_background(&mut self) -> anyhow::Result<Output> {
        self.child.kill()?;
        self.child.wait()?;
        let mut run = self.runs()?;
        run.arg("--detach")
            .output()
            .context("cannot run the command")
    }

    /// What the supervisor has said.
    pub fn said(&self) -> String {
        fs::read_to_string(self.home.path().join("said")).unwrap_or_default()
    }

    /// The `anylith` command, in its folder.
    ///
    /// # Errors
    ///
    /// If it does not build.
    pub fn command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(program("anylith")?);
        command.current_dir(self.app()).stdin(Stdio::null());
        command
            .env("XDG_RUNTIME_DIR", self.home.path())
            .env(leftovers::MARK, self.home.path());
        command.env_remove("RUST_LOG").env("NO_COLOR", "1");
        Ok(command)
    }

    /// Runs `anylith upgrade` with these arguments; returns how that ended.
    ///
    /// # Errors
    ///
    /// If it cannot be run.
    pub fn upgrade(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.command()?;
        command.arg("upgrade").args(arguments);
        command.output().context("cannot run the command")
    }

    /// Every process.
    ///
    /// # Errors
    ///
    /// If `anylith status` fails.
    pub fn replicas(&self) -> anyhow::Result<Vec<Parcel>> {
        let output = self.command()?.args(["status", "--json"]).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{errors}");
        let status: Status = serde_json::from_slice(&output.stdout)?;
        let groups = status.groups.into_iter();
        Ok(groups.flat_map(|group| group.replicas).collect())
    }

    /// The builds that run.
    ///
    /// # Errors
    ///
    /// As [`Parcels::replicas`].
    pub fn builds(&self) -> anyhow::Result<BTreeSet<u32>> {
        let replicas = self.replicas()?.into_iter();
        Ok(replicas.map(|one| one.build).collect())
    }
}

impl Drop for Parcels {
    fn drop(&mut self) {
        if let Ok(mut stop) = self.command() {
            let _ = stop.args(["stop", "--kill"]).output();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        leftovers::kill(self.home.path());
        if std::thread::panicking() {
            eprintln!("── what the command said ──\n{}", self.said());
        }
    }
}

/// How many people keep a connection, and how many take a new one each time.
const KEEP: u64 = 24;
const RENEW: u64 = 8;

/// People who ask all the time, and look at what they are told.
#[derive(Debug)]
pub struct Askers {
    over: Arc<AtomicBool>,
    account: Arc<Account>,
    people: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Account {
    answered: AtomicUsize,
    wrong: Mutex<Vec<String>>,
    builds: Mutex<BTreeSet<String>>,
    times: Mutex<Vec<Asked>>,
}

/// A request that was answered rightly.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// When it was sent.
    pub begun: Instant,
    /// How long its answer took.
    pub took: Duration,
}

/// What people were told.
#[derive(Debug, Clone)]
pub struct Answers {
    /// How many requests were answered, rightly.
    pub answered: usize,
    /// What was wrong with the others.
    pub wrong: Vec<String>,
    /// The builds that answered.
    pub builds: BTreeSet<String>,
    /// How long the right answers took.
    pub times: Vec<Asked>,
}

impl Askers {
    /// Begins to ask at `url`.
    pub fn begin(url: &str) -> Self {
        let address = url.trim_start_matches("http://").to_owned();
        let (over, account) = (Arc::<AtomicBool>::default(), Arc::<Account>::default());
        let mut people = JoinSet::new();
        for number in 0..KEEP + RENEW {
            let (address, over) = (address.clone(), Arc::clone(&over));
            let account = Arc::clone(&account);
            people.spawn(async move {
                let mut connection = None;
                let mut id = number;
                while !over.load(Ordering::Acquire) {
                    id += 1000;
                    let begun = Instant::now();
                    let asked = timeout(
                        Duration::from_secs(30),
                        ask(&address, &mut connection, id, id % 3000 < 1000),
                    );
                    match asked.await.unwrap_or_else(|_| bail!("no answer in 30 s")) {
                        Ok(build) => {
                            account.answered.fetch_add(1, Ordering::AcqRel);
                            let mut builds = account.builds.lock().expect("nobody panics");
                            builds.insert(build);
                            let took = begun.elapsed();
                            let mut times = account.times.lock().expect("nobody panics");
                            times.push(Asked { begun, took });
                        }
                        Err(error) => {
                            connection = None;
                            let mut wrong = account.wrong.lock().expect("nobody panics");
                            wrong.push(format!("parcel {id}: {error:#}"));
                        }
                    }
                    if number >= KEEP {
                        connection = None;
                    }
                    sleep(Duration::from_millis(20 + number * 2)).await;
                }
            });
        }
        Self {
            over,
            account,
            people,
        }
    }

    /// Waits until so many more requests are answered rightly.
    ///
    /// # Errors
    ///
    /// If nobody is.
    pub async fn have_seen(&self, more: usize) -> anyhow::Result<()> {
        let answered = || self.account.answered.load(Ordering::Acquire);
        let wanted = answered() + more;
        let seen = async {
            while answered() < wanted {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let seen = timeout(Duration::from_secs(60), seen).await;
        seen.with_context(|| format!("nobody is answered any more: {:?}", self.told()))
    }

    /// What they were told since this was last asked.
    pub fn told(&self) -> Answers {
        Answers {
            answered: self.account.answered.swap(0, Ordering::AcqRel),
            wrong: std::mem::take(&mut self.account.wrong.lock().expect("nobody panics")),
            builds: std::mem::take(&mut self.account.builds.lock().expect("nobody panics")),
            times: std::mem::take(&mut self.account.times.lock().expect("nobody panics")),
        }
    }

    /// Ends them, each after its request.
    pub async fn end(mut self) -> Answers {
        self.over.store(true, Ordering::Release);
        while self.people.join_next().await.is_some() {}
        self.told()
    }
}

/// Asks for parcel `id`; returns the build that answered.
async fn ask(
    address: &str,
    connection: &mut Option<tokio::io::BufReader<TcpStream>>,
    id: u64,
    once: bool,
) -> anyhow::Result<String> {
    if connection.is_none() {
        let stream = TcpStream::connect(address).await?;
        *connection = Some(tokio::io::BufReader::new(stream));
    }
    let stream = connection.as_mut().expect("it is there now");
    let method = if once { "POST" } else { "GET" };
    let request = format!("{method} /{id} HTTP/1.1\r\nhost: parcels\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = stream.read_line(&mut head).await?;
        ensure!(read > 0, "the connection was closed after {head:?}");
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut page = vec![0; length.context("a page without a length")?.parse()?];
    stream.read_exact(&mut page).await?;
    let page = String::from_utf8(page)?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{page}");
    if head.contains("connection: close") {
        *connection = None;
    }
    let parts: Vec<&str> = page.split(' ').collect();
    let [number, weight, desk, depot] = parts[..] else {
        bail!("it reads {page:?}");
    };
    // The others have one interface, and may call each other.
    let is_one_build = (desk == "second") == (depot == "second");
    let is_right = number.parse() == Ok(id) && weight.parse() == Ok(id * 3) && is_one_build;
    ensure!(is_right, "it reads {page:?}");
    Ok(desk.to_owned())
}
