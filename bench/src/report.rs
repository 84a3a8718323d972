//! Prints what was measured, as it comes: lines for people, or lines of JSON.

use std::io::{self, Write};

use anyhow::Result;

use crate::{contestant::Peer, ratio::Ratio};

/// Where the results go.
pub(crate) struct Report {
    json: bool,
    told: Vec<Peer>,
    missed: usize,
}

impl Report {
    /// Results go to stdout, as JSON if `json`.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            told: Vec::new(),
            missed: 0,
        }
    }

    /// Prints one result.
    pub(crate) fn ratio(&mut self, ratio: &Ratio) -> Result<()> {
        self.missed += usize::from(!ratio.passed);
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, ratio)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{ratio}")?;
        }
        Ok(out.flush()?)
    }

    /// Says what a peer was set to, the first time that it takes part; on stderr.
    pub(crate) fn settings(&mut self, peer: Peer) -> Result<()> {
        if !self.told.contains(&peer) {
            self.told.push(peer);
            writeln!(io::stderr(), "# {}: {}", peer.name(), peer.settings())?;
        }
        Ok(())
    }

    /// Tells something that is not a result; on stderr.
    pub(crate) fn note(&self, text: &str) -> Result<()> {
        Ok(writeln!(io::stderr(), "# {text}")?)
    }

    /// How many bounds were missed.
    pub(crate) fn missed(&self) -> usize {
        self.missed
    }
}
