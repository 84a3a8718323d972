//! A PostgreSQL server of a test's own, in a folder of its own, reached through a Unix socket there.

use std::{
    env, fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// Where it is set to `required`, a machine without PostgreSQL fails the tests instead of skipping them.
const ENV_POSTGRES: &str = "ANYLITH_TEST_POSTGRES";

/// A running server. It is stopped, and its folder removed, when this is dropped.
pub(crate) struct Postgres {
    server: Child,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    folder: TempDir,
}

impl Postgres {
    /// Starts a server; `None` if this machine has none.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            let required = env::var(ENV_POSTGRES).is_ok_and(|value| value == "required");
            assert!(
                !required,
                "PostgreSQL is not installed: apt-get install postgresql"
            );
            eprintln!("skipped: PostgreSQL is not installed");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let user = unprivileged();
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let command = |name: &str| command(&programs, name, user, folder.path());
        let made = command("initdb")
            .args([
                "--auth=trust",
                "--username=shop",
                "--encoding=UTF8",
                "--no-sync",
                "-D",
                "data",
            ])
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let server = command("postgres")
            .args(["-D", "data", "-k"])
            .arg(folder.path())
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=off",
                "-c",
                "max_connections=120",
            ])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let server = Self {
            server,
            programs,
            user,
            folder,
        };
        server.wait_until_ready();
        Some(server)
    }

    fn command(&self, name: &str) -> Command {
        command(&self.programs, name, self.user, self.folder.path())
    }

    fn wait_until_ready(&self) {
        for _ in 0..200 {
            let asked = self
                .command("pg_isready")
                .args(["-q", "-d", "postgres", "-U", "shop", "-t", "5", "-h"])
                .arg(self.folder.path())
                .status();
            if asked.unwrap().success() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("PostgreSQL does not get ready: {log}");
    }

    /// Makes a database and returns its URL.
    pub(crate) fn create_database(&self, name: &str) -> String {
        let folder = self.folder.path();
        let mut command = self.command("createdb");
        command.arg("-h").arg(folder).args(["-U", "shop", name]);
        assert!(
            command.status().unwrap().success(),
            "no database {name} could be made"
        );
        format!("postgres://shop@localhost/{name}?host={}", folder.display())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Not a kill: that would leave shared memory behind.
        let stop = ["stop", "-s", "-D", "data", "-m", "immediate"];
        if !self
            .command("pg_ctl")
            .args(stop)
            .status()
            .is_ok_and(|status| status.success())
        {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

/// One of PostgreSQL's programs, run in `folder` by `user`.
fn command(programs: &Path, name: &str, user: Option<(u32, u32)>, folder: &Path) -> Command {
    let mut command = Command::new(programs.join(name));
    command.current_dir(folder).stdin(Stdio::null());
    if let Some((uid, gid)) = user {
        command.gid(gid).uid(uid);
    }
    command
}

/// The folder with PostgreSQL's own programs, which Debian does not put on the `PATH`.
fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let all = ["createdb", "initdb", "pg_ctl", "pg_isready", "postgres"];
    folders
        .into_iter()
        .find(|folder| all.iter().all(|name| folder.join(name).exists()))
}

/// PostgreSQL refuses to run as root: then it runs as `nobody`.
fn unprivileged() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    let own = fs::metadata("/proc/self").ok()?.uid();
    (own == 0).then_some((65_534, 65_534))
}
