//! The application on which faults are tried: a driver that makes calls, a relay that passes some of them on, and the target of all.
//!
//! It uses nothing but what any application uses. All that is special is the ledger, in which both ends of each call
//! write down what they saw.

mod attempt;
mod canary;
mod driver;
mod execution;
mod order;
mod relay;
mod target;

use std::{
    env,
    path::PathBuf,
    process::ExitCode,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::ledger::{CallId, Ledger};

use self::{driver::Driver, relay::Chain, target::Counter};

pub(crate) use self::driver::DriverConfig;

/// Where a run keeps everything; set for every process of it, and so its mark.
pub(crate) const ENV_HOME: &str = "FAULTS_HOME";

/// How a process is called that is a replica.
const ENV_REPLICA: &str = "ANYLITH_REPLICA";

/// How many threads the application has.
pub(crate) const ENV_THREADS: &str = "FAULTS_THREADS";

/// The file that says when the load begins.
pub(crate) const GO: &str = "go";

anylith::app! {
    /// What faults are tried on.
    Faults = "faults" { Driver, Chain, Counter }
}

/// The `main` of the application.
pub fn main() -> ExitCode {
    // Who cannot keep account ends before it is asked anything: there may be room for no file later.
    if env::var_os(ENV_REPLICA).is_some() {
        ledger();
    }
    let threads = env::var(ENV_THREADS).is_ok_and(|threads| threads == "2");
    let mut runtime = if threads {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = runtime.worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts").block_on(Faults::run())
}

/// The home of the run that this process belongs to.
fn home() -> PathBuf {
    env::var_os(ENV_HOME)
        .map(PathBuf::from)
        .expect("the suite sets it")
}

/// The ledger of this process.
fn ledger() -> &'static Ledger {
    static LEDGER: LazyLock<Ledger> = LazyLock::new(|| {
        let replica = env::var(ENV_REPLICA).unwrap_or_else(|_| "alone".to_owned());
        Ledger::open(&home(), &replica).expect("the ledger opens")
    });
    &LEDGER
}

/// A number that no other call has, in any process.
fn new_call() -> CallId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    u64::from(std::process::id()) << 32 | NEXT.fetch_add(1, Relaxed)
}
