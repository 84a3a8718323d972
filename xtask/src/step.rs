//! Running other programs, and saying how that went.

use std::{
    fmt,
    os::unix::process::CommandExt as _,
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use crate::transcript::{self, Show};

/// Why a chore ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something that should pass did not, and has already said so itself.
    Failed {
        /// What to exit with.
        exit_code: u8,
    },
    /// The same, with the reason.
    Because(anyhow::Error),
    /// This machine or the command line cannot do it; the text says what to change.
    Unable(String),
}

impl Stop {
    /// What is still to be told.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Self::Failed { .. } => None,
            Self::Because(error) => Some(format!("{error:#}")),
            Self::Unable(text) => Some(text.clone()),
        }
    }

    /// 2 where the machine or the command line is at fault, else what failed exited with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed { exit_code } => *exit_code,
            Self::Because(_) => 1,
            Self::Unable(_) => 2,
        }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Because(error.into())
    }
}

/// A call of cargo: the one that runs this program, at the root of the repository.
#[derive(Clone)]
pub(crate) struct Cargo {
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

impl Cargo {
    pub(crate) fn new<const N: usize>(arguments: [&str; N]) -> Self {
        Self {
            arguments: arguments.map(str::to_owned).to_vec(),
            variables: Vec::new(),
        }
    }

    /// Adds an argument.
    pub(crate) fn then(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Adds arguments.
    pub(crate) fn then_all<I: IntoIterator<Item: AsRef<str>>>(mut self, arguments: I) -> Self {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.variables.push((name, value.to_string()));
        self
    }

    /// The command, not yet started.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(&self.arguments);
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(describes_this_program) {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs it in place of this program, so that an interrupt reaches only what it is meant for. Comes back
    /// only if that fails.
    pub(crate) fn replace(&self) -> Result<(), Stop> {
        Err(self.command().exec().into())
    }

    /// Runs it to its end, with its output on ours.
    pub(crate) fn run(&self) -> Result<(), Stop> {
        transcript::run(self.command(), Show::AsItComes)
    }

    /// Runs it to its end, and shows its output only if it fails.
    pub(crate) fn run_quietly(&self) -> Result<(), Stop> {
        transcript::run(self.command(), Show::IfItFails)
    }
}

impl fmt::Display for Cargo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cargo {}", self.arguments.join(" "))
    }
}

/// Whether `variable` is what cargo says to this program of its own package. What is built and run now must not see it: build
/// scripts that watch it would be run again, and all that follows on them built again, here and at the next plain `cargo build`.
fn describes_this_program(variable: &str) -> bool {
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    prefixes.iter().any(|prefix| variable.starts_with(prefix)) || variable == "OUT_DIR"
}

/// Turns an exit status into success, or into a [`Stop`] with the same exit code.
pub(crate) fn succeed(status: ExitStatus) -> Result<(), Stop> {
    if status.success() {
        return Ok(());
    }
    let exit_code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    Err(Stop::Failed { exit_code })
}

/// Says that something is left out for want of what it `needs`: that is a failure on a machine that judges, and nowhere else.
pub(crate) fn left_out(needs: String) -> Result<(), Stop> {
    if std::env::var_os("CI").is_some_and(|value| !value.is_empty()) {
        return Err(Stop::Unable(needs));
    }
    println!("left out: {needs}");
    Ok(())
}

/// Says what begins, does it, and says how long it took.
pub(crate) fn timed(
    heading: &str,
    name: &str,
    work: impl FnOnce() -> Result<(), Stop>,
) -> (Result<(), Stop>, Duration) {
    println!("\n── {heading} ──");
    let begin = Instant::now();
    let done = work();
    let took = begin.elapsed();
    let word = if done.is_ok() { "passed" } else { "FAILED" };
    println!("── {name}: {word} in {} ──", Seconds(took));
    (done, took)
}

/// A length of time, shown in minutes and seconds.
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        if seconds < 60.0 {
            write!(f, "{seconds:.1} s")
        } else {
            write!(f, "{} min {:02.0} s", seconds as u64 / 60, seconds % 60.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_says_of_this_program_is_not_said_to_the_cargo_that_it_starts() {
        let command = Cargo::new(["build"]).with("WANTED", 1).command();
        let removed = |wanted: &str| {
            let mut changes = command.get_envs();
            changes.any(|(name, value)| name == wanted && value.is_none())
        };
        // Cargo has started this test as it starts the program.
        let told = std::env::vars().map(|(name, _)| name);
        let told: Vec<String> = told.filter(|name| name.starts_with("CARGO_PKG_")).collect();
        assert!(told.iter().any(|name| name == "CARGO_PKG_VERSION_MAJOR"));
        for name in told
            .iter()
            .map(String::as_str)
            .chain(["CARGO_MANIFEST_DIR"])
        {
            assert!(removed(name), "{name}");
        }
        assert!(!removed("PATH") && !removed("WANTED"));
    }
}
