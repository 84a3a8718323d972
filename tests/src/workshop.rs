//! The shop as somebody works on it: a copy of its sources, under `anylith dev`.

use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    build::{program, repository, target_folder},
    leftovers,
    visitor::Visitor,
};

/// What the copy is called, so that its program is not written over the shop's own.
const PACKAGE: &str = "boutique-workshop";

/// How long a build may take, the first one too, and then what is made of it.
const PATIENCE: Duration = Duration::from_secs(600);

/// A shop that somebody works on, until it is dropped.
#[derive(Debug)]
pub struct Workshop {
    /// Where its pages are, without a slash at the end.
    pub url: String,
    home: TempDir,
    app: PathBuf,
    child: Child,
    _claim: File,
}

impl Workshop {
    /// Copies the shop, and works on it in `topology`. Comes back when it is served. There is one of each topology at a time:
    /// they have their folders among what is built, so that what one has built of it is not built anew by the next.
    ///
    /// # Errors
    ///
    /// What the command said, if it does not get ready.
    pub fn open(topology: &str) -> anyhow::Result<Self> {
        let home = TempDir::new().context("cannot make a temporary folder")?;
        let folder = target_folder().join("workshops");
        fs::create_dir_all(&folder)?;
        let claim = File::create(folder.join(format!("{topology}.lock")))?;
        claim.lock()?;
        let app = folder.join(topology);
        if app.exists() {
            fs::remove_dir_all(&app)?;
        }
        let shop = repository().join("examples/boutique");
        for folder in ["src", "templates", "static", "data"] {
            copy_all(&shop.join(folder), &app.join(folder))?;
        }
        fs::write(app.join("Cargo.toml"), manifest(&shop)?)?;
        // The versions that are here already.
        fs::copy(repository().join("Cargo.lock"), app.join("Cargo.lock"))?;
        let settings = fs::read_to_string(shop.join("anylith.toml"))?;
        let package = "package = \"boutique\"";
        ensure!(settings.contains(package), "the shop's settings are others");
        let settings = settings.replace(package, &format!("package = {PACKAGE:?}"));
        fs::write(app.join("anylith.toml"), settings)?;
        stopwatch(home.path())?;
        let mut workshop = Self {
            url: String::new(),
            child: dev(home.path(), &app, topology)?,
            home,
            app,
            _claim: claim,
        };
        let out = workshop.child.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(out).lines();
        for line in lines.by_ref() {
            if let Some(url) = line?.strip_prefix("ready: web ") {
                workshop.url = url.trim_end_matches('/').to_owned();
                // What it says from here on nobody waits for.
                thread::spawn(move || lines.for_each(drop));
                return Ok(workshop);
            }
        }
        bail!("it does not start:\n{}", workshop.said())
    }

    /// Exchanges words of one of its sources, as an editor would.
    ///
    /// # Errors
    ///
    /// If they are not there, or the file cannot be written.
    pub fn edit(&self, file: &str, before: &str, after: &str) -> anyhow::Result<()> {
        let path = self.app.join(file);
        let text = fs::read_to_string(&path)?;
        ensure!(text.contains(before), "{file} has no {before:?}");
        fs::write(path, text.replace(before, after))?;
        Ok(())
    }

    /// What the command has said to people, and cargo beside it.
    pub fn said(&self) -> String {
        fs::read_to_string(self.home.path().join("said")).unwrap_or_default()
    }

    /// Waits until the command has said `words` so many times.
    ///
    /// # Errors
    ///
    /// What it has said, if it takes too long.
    pub async fn until_said(&self, words: &str, times: usize) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        while self.said().matches(words).count() < times {
            ensure!(Instant::now() < end, "never: {words}\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// How long each build has taken, from the first one on: the time for which cargo has run.
    ///
    /// # Errors
    ///
    /// If nobody has measured it.
    pub fn builds(&self) -> anyhow::Result<Vec<Duration>> {
        let text = fs::read_to_string(self.home.path().join("builds"))?;
        let build = |line: &str| {
            let (begun, ended) = line.split_once(' ')?;
            let took = ended.parse::<u64>().ok()? - begun.parse::<u64>().ok()?;
            Some(Duration::from_nanos(took))
        };
        let builds: Option<Vec<_>> = text.lines().map(build).collect();
        builds.context("no times")
    }

    /// Drains it, as Ctrl-C does; returns whether the command succeeded.
    ///
    /// # Errors
    ///
    /// If it cannot be waited for.
    pub fn close(mut self) -> anyhow::Result<bool> {
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT); // It may have ended.
        Ok(self.child.wait()?.success())
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // Its supervisor is in the same process: the replicas are found by their mark.
        let _ = self.child.kill();
        let _ = self.child.wait();
        leftovers::kill(self.home.path());
        if thread::panicking() {
            eprintln!("── what the command said ──\n{}", self.said());
        }
    }
}

fn dev(home: &Path, app: &Path, topology: &str) -> anyhow::Result<Child> {
    let mut command = Command::new(program("anylith")?);
    command
        .args(["dev", "--topology", topology])
        .args(["--listen", "web=127.0.0.1:0"])
        .current_dir(app)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(home.join("said"))?);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("ANYLITH_") {
            command.env_remove(name);
        }
    }
    command
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1")
        .env("XDG_RUNTIME_DIR", home)
        .env(leftovers::MARK, home)
        .env("CARGO", home.join("cargo"))
        .env("CARGO_TARGET_DIR", target_folder())
        .env("CARGO_NET_OFFLINE", "true");
    command.spawn().context("cannot run the command")
}

/// Puts a cargo into `home` that notes from when to when it builds.
fn stopwatch(home: &Path) -> anyhow::Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let script = format!(
        "#!/bin/sh\n\
         begun=$(date +%s%N)\n\
         '{cargo}' \"$@\"\n\
         code=$?\n\
         [ \"$1\" = build ] && echo \"$begun $(date +%s%N)\" >> '{builds}'\n\
         exit $code\n",
        cargo = PathBuf::from(cargo).display(),
        builds = home.join("builds").display(),
    );
    let path = home.join("cargo");
    fs::write(&path, script)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    Ok(())
}

/// The manifest of `shop`, as that of a package which lies elsewhere: what it has of the workspace comes along.
fn manifest(shop: &Path) -> anyhow::Result<String> {
    let read = |path: PathBuf| -> anyhow::Result<toml::Table> {
        let text = fs::read_to_string(&path)?;
        text.parse().with_context(|| path.display().to_string())
    };
    let mut root = read(repository().join("Cargo.toml"))?;
    let mut own = read(shop.join("Cargo.toml"))?;
    let package = own.get_mut("package").and_then(toml::Value::as_table_mut);
    let package = package.context("the shop is no package")?;
    package.insert("name".into(), PACKAGE.into());
    own.remove("dev-dependencies");
    let library = [("name", "boutique"), ("path", "src/lib.rs")];
    let library = library.map(|(key, value)| (key.to_owned(), toml::Value::from(value)));
    own.insert("lib".into(), toml::Table::from_iter(library).into());
    let workspace = root.remove("workspace");
    let mut workspace: toml::Table = workspace.context("no workspace")?.try_into()?;
    workspace.remove("members");
    workspace.remove("exclude");
    let dependencies = workspace.get_mut("dependencies");
    let dependencies = dependencies.and_then(toml::Value::as_table_mut);
    for (_, dependency) in dependencies.context("no dependencies")? {
        if let Some(path) = dependency.get_mut("path") {
            let there = repository().join(path.as_str().unwrap_or_default());
            *path = there.display().to_string().into();
        }
    }
    own.insert("workspace".into(), workspace.into());
    if let Some(profile) = root.remove("profile") {
        own.insert("profile".into(), profile);
    }
    Ok(toml::to_string(&own)?)
}

fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_all(&entry.path(), &to)?,
            false => drop(fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}

/// What is in the cart of `visitor`: `SKU #OLJCESPC7Z`, `Quantity: 3`, and so on.
///
/// # Errors
///
/// If it is not shown.
pub async fn cart_of(visitor: &mut Visitor) -> anyhow::Result<Vec<String>> {
    let page = visitor.get("/cart").await?;
    ensure!(page.status == 200, "the cart is not shown: {}", page.body);
    let of_line = |line: &&str| line.contains("SKU #") || line.contains("Quantity: ");
    let lines = page.body.lines().filter(of_line);
    let text = |line: &str| line.replace("<p class=\"faint\">", "").replace("<p>", "");
    Ok(lines
        .map(|line| text(line).replace("</p>", "").trim().to_owned())
        .collect())
}
