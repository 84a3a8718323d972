//! Prints what was measured, as it comes: lines for people, or lines of JSON.

use std::{
    fmt,
    io::{self, Write},
};

use anyhow::Result;
use serde::Serialize;

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

    /// Prints a figure that stands by itself, and what it may be at most.
    pub(crate) fn figure(
        &mut self,
        name: &str,
        value: f64,
        unit: &'static str,
        most: Option<f64>,
    ) -> Result<()> {
        let figure = Figure {
            name,
            value,
            unit,
            most,
            passed: most.is_none_or(|most| value <= most),
        };
        self.missed += usize::from(!figure.passed);
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, &figure)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{figure}")?;
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

/// A figure that is compared with nobody's.
#[derive(Debug, Serialize)]
struct Figure<'a> {
    name: &'a str,
    value: f64,
    unit: &'static str,
    /// What it may be at most; `None` where it is only told.
    most: Option<f64>,
    passed: bool,
}

impl fmt::Display for Figure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name, value, unit, ..
        } = self;
        write!(f, "{name:<56} {value:>10.2} {unit:<6}")?;
        match self.most {
            None => Ok(()),
            Some(most) if self.passed => write!(f, " at most {most:.2}  ok"),
            Some(most) => write!(f, " at most {most:.2}  MISSED"),
        }
    }
}
