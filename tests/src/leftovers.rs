//! Finding the processes that a test has started, and that should be gone.

use std::{fs, path::Path};

use rustix::process::{Pid, Signal, kill_process};

/// The variable that marks every process below one that a test starts.
pub(crate) const MARK: &str = "E2E_HOME";

/// Kills every process that was started with [`MARK`] set to `home`, and those that they have started.
pub(crate) fn kill(home: &Path) {
    for pid in processes(home) {
        let _ = kill_process(pid, Signal::KILL); // It may just have ended.
    }
}

fn processes(home: &Path) -> Vec<Pid> {
    let mark = format!("{MARK}={}", home.display()).into_bytes();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(process.path().join("environ")).ok()?;
            let marked = environment.split(|&byte| byte == 0).any(|one| one == mark);
            if marked { Pid::from_raw(pid) } else { None }
        })
        .collect()
}
