//! What is set for the calls along one edge.

/// How many retries a hundred calls allow, where nothing else is set.
const RETRIES_PERCENT: u32 = 20;

/// How calls along one edge are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How many retries a hundred calls allow. With 0 a call that a replica was asked for is not made again; one that
    /// no replica took still goes to another.
    pub retries_percent: u32,
    /// The most calls that may be under way at a time; further ones are refused. `None` for as many as come.
    pub concurrency: Option<u32>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            retries_percent: RETRIES_PERCENT,
            concurrency: None,
        }
    }
}
