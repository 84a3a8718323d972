//! The lock that says which process is the supervisor of a run folder.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    time::{Duration, Instant},
};

use crate::run_folder::RunFolder;

/// Why there is no lock.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Process `pid` has it, or 0 if it did not say who it is.
    Held {
        pid: u32,
    },
    Unusable(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::Unusable(error)
    }
}

/// How long a lock may be held by nobody who runs: a child of the supervisor before, between its fork and its
/// exec, or a supervisor that has answered a stop and is about to exit.
const LOCK_WITHIN: Duration = Duration::from_millis(300);

/// Takes the lock that says: this process is the supervisor here. The kernel gives it back when the process
/// is gone, however it went.
pub(crate) async fn take(folder: &RunFolder) -> Result<File, LockError> {
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(folder.lock())?;
    let until = Instant::now() + LOCK_WITHIN;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                let pid = pid.parse().unwrap_or(0);
                return Err(LockError::Held { pid });
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    let own = std::process::id().to_string();
    file.set_len(0)?;
    // On a full disk it is locked all the same; who asks is not told by whom.
    if file.write_all(own.as_bytes()).is_err() {
        let _ = file.set_len(0);
    }
    Ok(file)
}
