//! The online shop, run by the `anylith` command as its users run it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;

use crate::{
    build::{program, repository},
    leftovers,
};

/// How long a shop may take to be ready. Generous: other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

/// How to start a [`Shop`].
#[derive(Debug, Clone, Default)]
pub struct Start {
    arguments: Vec<String>,
}

impl Start {
    /// `--topology NAME`.
    #[must_use]
    pub fn topology(self, name: &str) -> Self {
        self.argument("--topology").argument(name)
    }

    /// `--replicas COUNTS`.
    #[must_use]
    pub fn replicas(self, counts: &str) -> Self {
        self.argument("--replicas").argument(counts)
    }

    /// Another argument of `anylith run`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts the shop, in a folder and with a database of its own, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// Everything that the command said, if the shop does not get ready.
    pub fn start(self) -> anyhow::Result<Shop> {
        self.start_in(App::copy()?)
    }

    /// Starts the shop whose folder is `app`.
    ///
    /// # Errors
    ///
    /// As [`Start::start`].
    pub fn start_in(self, app: App) -> anyhow::Result<Shop> {
        let (child, output, new_lines) = self.run(&app)?;
        // From here on, dropping it stops what was started.
        let mut shop = Shop {
            url: String::new(),
            start: self,
            app,
            child,
            output,
        };
        shop.url = shop.wait_until_ready(&new_lines)?;
        Ok(shop)
    }

    /// Runs the command; returns it, what it has written, and each line of that as it comes.
    fn run(
        &self,
        app: &App,
    ) -> anyhow::Result<(Child, Arc<Mutex<String>>, mpsc::Receiver<String>)> {
        let mut command = app.command()?;
        command
            .arg("run")
            .args(&self.arguments)
            .args(["--listen", "web=127.0.0.1:0"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot run the command")?;
        let (lines, new_lines) = mpsc::channel();
        let output = Arc::new(Mutex::new(String::new()));
        let pipes: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("it is piped")),
            Box::new(child.stderr.take().expect("it is piped")),
        ];
        for pipe in pipes {
            collect(pipe, Arc::clone(&output), lines.clone());
        }
        Ok((child, output, new_lines))
    }
}

/// How long a page waits for its advertisement, in milliseconds: here no page does without.
const AD_LIMIT_MS: i64 = 30_000;

/// A copy of the shop's folder, with the `anylith.toml` that users get, but for where the program is,
/// where the carts are kept, and that a busy machine takes no advertisement off a page. Nothing runs yet.
#[derive(Debug)]
pub struct App {
    /// Holds everything: the run folder of the command, and the folder of the shop.
    home: TempDir,
    folder: PathBuf,
}

impl App {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn copy() -> anyhow::Result<Self> {
        let home = TempDir::new().context("cannot make a temporary folder")?;
        let folder = home.path().join("app");
        let text = fs::read_to_string(repository().join("examples/boutique/anylith.toml"))?;
        let mut file: toml::Table = text.parse()?;
        let app = table(&mut file, &["app"])?;
        app.remove("package");
        app.insert(
            "binary".into(),
            program("boutique")?.display().to_string().into(),
        );
        let database = format!("sqlite:{}", folder.join("carts.db").display());
        table(&mut file, &["components", "Cart"])?.insert("database".into(), database.into());
        table(&mut file, &["components", "Frontend"])?
            .insert("ad_limit_ms".into(), AD_LIMIT_MS.into());
        table(&mut file, &["edges", "Frontend -> Ad"])?
            .insert("deadline".into(), format!("{AD_LIMIT_MS}ms").into());
        fs::create_dir(&folder)?;
        fs::write(folder.join("anylith.toml"), toml::to_string(&file)?)?;
        Ok(Self { home, folder })
    }

    /// Adds sections to its `anylith.toml`.
    ///
    /// # Errors
    ///
    /// If it cannot be read or written.
    pub fn add_settings(&self, sections: &str) -> anyhow::Result<()> {
        let file = self.folder.join("anylith.toml");
        let text = fs::read_to_string(&file)?;
        fs::write(&file, text + sections)?;
        Ok(())
    }

    /// The program of the shop.
    ///
    /// # Errors
    ///
    /// If it does not build.
    pub fn program(&self) -> anyhow::Result<PathBuf> {
        program("boutique")
    }

    /// The folder with the `anylith.toml`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The `anylith` command, in that folder and with a run folder of its own.
    ///
    /// # Errors
    ///
    /// If it does not build.
    pub fn command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(program("anylith")?);
        command.current_dir(&self.folder).stdin(Stdio::null());
        command
            .env("XDG_RUNTIME_DIR", self.home.path())
            .env(leftovers::MARK, self.home.path());
        command.env_remove("RUST_LOG").env("NO_COLOR", "1");
        // Should this test itself run inside an application, its children start from nothing all the same.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ANYLITH_") {
                command.env_remove(name);
            }
        }
        Ok(command)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // Where nothing goes wrong there is nothing, or what was told to go on by itself.
        leftovers::kill(self.home.path());
    }
}

/// The table at `path`, made if it is not there.
fn table<'a>(file: &'a mut toml::Table, path: &[&str]) -> anyhow::Result<&'a mut toml::Table> {
    path.iter().try_fold(file, |table, key| {
        let entry = table
            .entry(*key)
            .or_insert_with(|| toml::Table::new().into());
        entry
            .as_table_mut()
            .with_context(|| format!("`{key}` of anylith.toml is no table"))
    })
}

/// Adds every line of `pipe` to `output`, and sends it to whoever still listens.
fn collect(pipe: Box<dyn Read + Send>, output: Arc<Mutex<String>>, lines: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut output = output.lock().expect("nobody panics while adding a line");
            output.push_str(&line);
            output.push('\n');
            drop(output);
            let _ = lines.send(line); // After the start, nobody listens.
        }
    });
}

/// A shop that runs until it is dropped.
#[derive(Debug)]
pub struct Shop {
    /// Where its pages are, without a slash at the end.
    pub url: String,
    start: Start,
    child: Child,
    output: Arc<Mutex<String>>,
    /// After the command: what is left of it is killed when this is dropped.
    app: App,
}

/// One process of a shop, as `anylith status --json` has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Replica {
    /// Its name.
    pub id: String,
    /// Its process; `None` while there is none.
    pub pid: Option<i32>,
    /// `starting`, `ready`, `draining`, `backoff` or `stopped`.
    pub state: String,
    /// How often it was started again.
    pub restarts: u64,
}

#[derive(Deserialize)]
struct Status {
    topology: String,
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    replicas: Vec<Replica>,
}

impl Shop {
    /// How to start one.
    pub fn with() -> Start {
        Start::default()
    }

    fn wait_until_ready(&mut self, lines: &mpsc::Receiver<String>) -> anyhow::Result<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(url) = line.trim().strip_prefix("ready: web ") {
                        return Ok(url.trim_end_matches('/').to_owned());
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!(
                        "the shop is not ready after {PATIENCE:?}:\n{}",
                        self.output()
                    )
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    bail!("the command ended with {status}:\n{}", self.output())
                }
            }
        }
    }

    /// Its folder.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// What the command has written so far, errors included.
    pub fn output(&self) -> String {
        self.output
            .lock()
            .expect("nobody panics while adding a line")
            .clone()
    }

    /// Runs the command with other arguments, in the folder of this shop: `["status", "--json"]`.
    ///
    /// # Errors
    ///
    /// If it cannot be run; one that fails says so in its output.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.app.command()?;
        command.args(arguments);
        command.output().context("cannot run the command")
    }

    /// Every process of the shop.
    ///
    /// # Errors
    ///
    /// If `anylith status` fails, or says what it should not.
    pub fn replicas(&self) -> anyhow::Result<Vec<Replica>> {
        let groups = self.status()?.groups.into_iter();
        Ok(groups.flat_map(|group| group.replicas).collect())
    }

    /// The topology in which it runs.
    ///
    /// # Errors
    ///
    /// As [`Shop::replicas`].
    pub fn topology(&self) -> anyhow::Result<String> {
        Ok(self.status()?.topology)
    }

    fn status(&self) -> anyhow::Result<Status> {
        let output = self.command(&["status", "--json"])?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The one called `id`.
    ///
    /// # Errors
    ///
    /// As [`Shop::replicas`], or if there is none.
    pub fn replica(&self, id: &str) -> anyhow::Result<Replica> {
        let replicas = self.replicas()?;
        replicas
            .into_iter()
            .find(|one| one.id == id)
            .with_context(|| format!("no replica {id}"))
    }

    /// Every line that any replica has logged with the message `message`, as the JSON that it is.
    ///
    /// # Errors
    ///
    /// If the logs cannot be read.
    pub fn logged(&self, message: &str) -> anyhow::Result<Vec<serde_json::Value>> {
        let mut lines = Vec::new();
        for log in self.logs()? {
            let text = fs::read(log)?;
            let text = String::from_utf8_lossy(&text);
            let parsed = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            lines.extend(parsed.filter(|line: &serde_json::Value| line["msg"] == message));
        }
        Ok(lines)
    }

    /// The log of each replica that there is or was, and that of the supervisor.
    ///
    /// # Errors
    ///
    /// If their folder cannot be read.
    pub fn logs(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut logs = Vec::new();
        for app in fs::read_dir(self.app.home.path().join("anylith"))? {
            for log in fs::read_dir(app?.path().join("logs"))? {
                logs.push(log?.path());
            }
        }
        Ok(logs)
    }

    /// Kills the command, which leaves the replicas alone, and runs it again; returns when the shop is ready again.
    ///
    /// # Errors
    ///
    /// As [`Start::start`].
    pub fn replace_supervisor(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        let (child, output, new_lines) = self.start.run(&self.app)?;
        (self.child, self.output) = (child, output);
        self.url = self.wait_until_ready(&new_lines)?;
        Ok(())
    }

    /// Asks it to stop, as Ctrl-C does, and waits for the end; returns whether the command succeeded.
    ///
    /// # Errors
    ///
    /// If it takes longer than it may.
    pub fn stop(mut self) -> anyhow::Result<bool> {
        self.ask_to_stop();
        let status = self.wait(PATIENCE)?;
        status.with_context(|| format!("it does not stop:\n{}", self.output()))
    }

    fn ask_to_stop(&self) {
        if let Some(pid) = pid(self.child.id()) {
            let _ = kill_process(pid, Signal::INT); // It may have ended by itself.
        }
    }

    /// Whether the command succeeded; `None` if it still runs after `patience`.
    fn wait(&mut self, patience: Duration) -> anyhow::Result<Option<bool>> {
        let end = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status.success()));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.ask_to_stop();
        if !matches!(self.wait(Duration::from_secs(15)), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!("── what the command said ──\n{}", self.output());
        }
    }
}

fn pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}
