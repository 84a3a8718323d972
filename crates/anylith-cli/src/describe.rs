//! Asks an application's binary about itself.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anylith_core::Manifest;
use anylith_supervisor::{ENV_CONTROL, ENV_ROLE};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{ChildStdin, Command},
};

use crate::failure::Failure;

/// How long a binary may take to say what it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// No answer is longer, in bytes.
const ANSWER_BYTES: u64 = 16 * 1024 * 1024;

/// What an application says of a config value that its component cannot use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Complaint {
    /// The component.
    pub(crate) component: String,
    /// The path within its config; may be empty.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) message: String,
}

/// Asks `binary` what application it is.
///
/// # Cancellation
///
/// The binary is killed.
pub(crate) async fn manifest(binary: &Path, folder: &Path) -> Result<Manifest, Failure> {
    Question {
        binary,
        folder,
        role: "describe",
        input: Vec::new(),
    }
    .ask()
    .await
}

/// Asks `binary` what is wrong with `configs`, by component.
///
/// # Cancellation
///
/// The binary is killed.
pub(crate) async fn complaints(
    binary: &Path,
    folder: &Path,
    configs: &BTreeMap<String, &serde_json::Value>,
) -> Result<Vec<Complaint>, Failure> {
    let input = serde_json::to_vec(configs).map_err(io::Error::other)?;
    Question {
        binary,
        folder,
        role: "check",
        input,
    }
    .ask()
    .await
}

struct Question<'a> {
    binary: &'a Path,
    folder: &'a Path,
    role: &'static str,
    input: Vec<u8>,
}

impl Question<'_> {
    async fn ask<T: DeserializeOwned>(self) -> Result<T, Failure> {
        let Self { binary, role, .. } = self;
        let binary = binary.to_owned();
        let (status, output, errors) = self.exchange().await?;
        match (status.success(), serde_json::from_slice(&output)) {
            (true, Ok(answer)) => Ok(answer),
            (true, Err(_)) => {
                let output = String::from_utf8_lossy(&output);
                let said = match output.trim().lines().next() {
                    Some(line) => {
                        format!("it printed `{}`", line.chars().take(80).collect::<String>())
                    }
                    None => "it printed nothing".to_owned(),
                };
                Err(no_application(
                    &binary,
                    &format!("asked to {role} itself, {said}"),
                ))
            }
            (false, _) => {
                let errors = String::from_utf8_lossy(&errors);
                let last: Vec<&str> = errors.trim().lines().rev().take(5).collect();
                let last: Vec<&str> = last.into_iter().rev().collect();
                let said = match last.is_empty() {
                    true => format!("asked to {role} itself, it ended with {status}"),
                    false => format!(
                        "asked to {role} itself, it ended with {status} and said\n    {}",
                        last.join("\n    ")
                    ),
                };
                Err(no_application(&binary, &said))
            }
        }
    }

    /// Runs the binary in its role, within its time.
    async fn exchange(self) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), Failure> {
        let path = self.binary.display().to_string();
        let cannot = |error: io::Error| {
            Failure::new(
                format!("{path} cannot be run: {error}"),
                "is it a program for this machine?",
            )
        };
        let mut child = Command::new(self.binary)
            .env(ENV_ROLE, self.role)
            .env_remove(ENV_CONTROL)
            .current_dir(self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(cannot)?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let stdin = child.stdin.take();
        // It may fill either of its outputs first, and read its input last or never.
        let exchange = async {
            let (output, errors, ()) =
                tokio::join!(read(output), read(errors), write(stdin, &self.input));
            child.wait().await.map(|status| (status, output, errors))
        };
        match tokio::time::timeout(ANSWER_WITHIN, exchange).await {
            Ok(answer) => answer.map_err(cannot),
            Err(_) => {
                let role = self.role;
                let said = format!("asked to {role} itself, it took longer than {ANSWER_WITHIN:?}");
                Err(no_application(Path::new(&path), &said))
            }
        }
    }
}

async fn read(from: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let _ = from.take(ANSWER_BYTES).read_to_end(&mut bytes).await;
    }
    bytes
}

/// If it does not read, its answer will show that.
async fn write(to: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut to) = to {
        let _ = to.write_all(input).await;
    }
}

fn no_application(binary: &Path, said: &str) -> Failure {
    Failure::new(
        format!(
            "{} does not answer as an Anylith application: {said}",
            binary.display()
        ),
        "its `main` must call `App::run().await` of the application that `anylith::app!` makes, and nothing \
         before it that waits or prints; it must be built with the same version of Anylith as this command",
    )
}
