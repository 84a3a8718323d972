//! Colours, where they can be seen and are wanted.

use std::{
    env,
    io::{self, IsTerminal},
};

/// Puts colours around text, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

/// Colours that are read well on dark and on light ground, and that mean nothing by themselves.
const LABELS: [u8; 10] = [36, 35, 34, 32, 33, 96, 95, 94, 92, 93];

impl Paint {
    /// For standard output.
    pub(crate) fn for_stdout() -> Self {
        Self {
            on: io::stdout().is_terminal() && is_wanted(),
        }
    }

    /// For standard error.
    pub(crate) fn for_stderr() -> Self {
        Self {
            on: io::stderr().is_terminal() && is_wanted(),
        }
    }

    /// Leaves all text as it is.
    pub(crate) const NONE: Self = Self { on: false };

    fn with(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(crate) fn bold_red(self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub(crate) fn bold_green(self, text: &str) -> String {
        self.with("1;32", text)
    }

    pub(crate) fn bold_yellow(self, text: &str) -> String {
        self.with("1;33", text)
    }

    /// The same colour for the same `key`, and mostly another one for another.
    pub(crate) fn label(self, key: &str, text: &str) -> String {
        let hash = anylith_core::Fingerprint::EMPTY.with(key).0;
        let color = LABELS[(hash % LABELS.len() as u64) as usize];
        self.with(&color.to_string(), text)
    }
}

/// <https://no-color.org>
fn is_wanted() -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    !refused && !dumb
}
