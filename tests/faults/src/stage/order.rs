//! What is ordered of an application that runs, by a command.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    process::Child,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::Stage;

/// How long an order to the running application may take, where other things go wrong beside it.
const ORDER_PATIENCE: Duration = Duration::from_secs(20);

/// Something that was ordered by a command.
#[derive(Debug)]
pub(crate) struct Order {
    child: Child,
    text: String,
    said: File,
    since: Instant,
}

impl Stage {
    /// Orders something of the application that runs.
    pub(super) fn order(&self, words: &[&str]) -> anyhow::Result<Order> {
        let path = self.deployment.home.path().join("order.log");
        let to = File::options().create(true).append(true).open(&path)?;
        // A file of its own, since it is read from where the order begins to say something.
        let mut said = File::open(path)?;
        said.seek(io::SeekFrom::End(0))?;
        Ok(Order {
            child: self.deployment.order(words, to)?,
            text: format!("`anylith {}`", words.join(" ")),
            said,
            since: Instant::now(),
        })
    }
}

impl Order {
    /// How it ended, if it has: in words, as an error if it did not succeed. One that takes too long is ended.
    pub(super) fn outcome(&mut self) -> anyhow::Result<Option<Result<String, String>>> {
        let status = match self.child.try_wait()? {
            Some(status) => status,
            None if self.since.elapsed() < ORDER_PATIENCE => return Ok(None),
            None => {
                // It may just have ended by itself.
                let _ = self.child.kill();
                self.child.wait()?
            }
        };
        let mut said = String::new();
        self.said
            .read_to_string(&mut said)
            .context("what an order says is text")?;
        let said = said.trim().replace('\n', "; ");
        let text = &self.text;
        Ok(Some(match status.success() {
            true => Ok(format!("{text} succeeded")),
            false => Err(format!("{text} failed with {status}: {said}")),
        }))
    }
}
