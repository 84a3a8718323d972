//! What is known of the application besides how it runs: its files, and what its binary says of it.

use std::{fmt, pin::Pin};

use anylith_core::Manifest;
use anylith_topology::{Problem, Settings};

/// What is known of the application besides how it runs.
pub struct Premises {
    /// The settings with which it was started.
    pub settings: Settings,
    /// Looks at its files and asks its binary, as they are now.
    pub look: Look,
}

/// Looks at the application as it is now; or says why it cannot, in words for people.
pub type Look =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Looked, String>> + Send>> + Send + Sync>;

/// An application that was looked at.
#[derive(Debug)]
pub struct Looked {
    /// What its binary says that it is made of.
    pub manifest: Manifest,
    /// What `anylith.toml` says.
    pub settings: Settings,
    /// What is wrong with that.
    pub problems: Vec<Problem>,
}

impl fmt::Debug for Premises {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Premises").finish_non_exhaustive()
    }
}
