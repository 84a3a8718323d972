//! A test's program that was started again, to be a replica.
//!
//! Test programs have no `main` of the application's. So for a replica the program is started anew with the name of
//! the one test; that test sees by its environment what it is now, and runs its components instead of its body.

use std::{
    collections::BTreeMap,
    env,
    process::{ExitCode, abort},
    thread,
};

use anylith_runtime::{Application, Builder};
use anylith_supervisor::{ENV_CONTROL, Program};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, getppid, pidfd_open},
};

/// Environment variable: the process of the test that a replica belongs to.
const ENV_PARENT: &str = "ANYLITH_TEST_PARENT";

/// What the environment of replicas says, beyond what every supervisor puts into it.
pub(crate) fn marks() -> BTreeMap<String, String> {
    BTreeMap::from([(ENV_PARENT.to_owned(), std::process::id().to_string())])
}

/// How this program is started to be a replica in the test that libtest calls `name`.
pub(crate) fn program(name: &str) -> Option<Program> {
    let mut program = Program::new(env::current_exe().ok()?);
    let args = [
        "--exact",
        name,
        "--nocapture",
        "--include-ignored",
        "--test-threads=1",
    ];
    program.args = args.map(str::to_owned).to_vec();
    Some(program)
}

/// The name by which libtest knows a test at `path`, which begins with the crate.
pub(crate) fn libtest_name(path: &str) -> &str {
    path.split_once("::").map_or(path, |(_, name)| name)
}

/// Whether this process is a replica in a test.
pub(crate) fn is_replica() -> bool {
    env::var_os(ENV_PARENT).is_some() && env::var_os(ENV_CONTROL).is_some()
}

/// Is a replica until it is told to stop, then exits.
pub(crate) fn live<A: Application>(app: Builder<A>) -> ! {
    die_with_parent();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let code = match runtime {
        Ok(runtime) => runtime.block_on(app.run()),
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            ExitCode::FAILURE
        }
    };
    std::process::exit(i32::from(code != ExitCode::SUCCESS))
}

/// Ends this process as soon as the test's has ended, however that came about.
fn die_with_parent() {
    let parent = env::var(ENV_PARENT).ok();
    let parent = parent
        .and_then(|pid| pid.parse().ok())
        .and_then(Pid::from_raw);
    let handle = parent.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let (Some(handle), true) = (handle, getppid() == parent) else {
        abort();
    };
    thread::spawn(move || {
        // Readable once, when the process is over.
        while poll(&mut [PollFd::new(&handle, PollFlags::IN)], None).is_err() {}
        abort();
    });
}
