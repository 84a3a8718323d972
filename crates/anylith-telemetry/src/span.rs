//! One call, or one request from outside, as part of a trace.

use anylith_core::Name;
use serde::{Deserialize, Serialize};

use crate::{
    outcome::Outcome,
    trace_id::{SpanId, TraceId},
};

/// A text of a span is cut after so many bytes.
pub const MOST_TEXT_BYTES: usize = 512;

/// One call, or one request from outside, that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The trace that it is a part of.
    pub trace: TraceId,
    /// Its name in it.
    pub id: SpanId,
    /// The span that it was caused by; `None` if nothing is known of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SpanId>,
    /// What kind of work it is.
    pub kind: SpanKind,
    /// The component that called; `None` for requests, and where a call is served, since the span that called has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Name>,
    /// The component that is called, or answers the request.
    pub component: Name,
    /// The method of its interface, or that of HTTP.
    pub method: String,
    /// The path of a request, without what follows a `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The replica in whose process it was; whoever collects spans fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<Name>,
    /// When it began, in nanoseconds of Unix time.
    pub begun_ns: u64,
    /// How long it took, in nanoseconds.
    pub took_ns: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What went wrong, for people to read. Of an error of the callee's own it has the names of its variants and no values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The status that a request was answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How often the call was made once more, after a failure or beside a slow attempt.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeats: u32,
    /// Why it was kept.
    pub kept: Kept,
}

/// What kind of work a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// A request that came to a listener from outside.
    Request,
    /// A call to another process, as its caller sees it.
    Client,
    /// A call from another process, as its callee sees it.
    Server,
    /// A call within a process.
    Local,
}

impl SpanKind {
    /// The word for it, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Client => "client",
            Self::Server => "server",
            Self::Local => "local",
        }
    }
}

/// Why a span was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// It is one of those that have to do with a span which failed or was slow.
    Related,
    /// It was slow.
    Slow,
    /// It failed.
    Failed,
    /// Its trace was chosen when it began.
    Sampled,
}

impl Kept {
    /// The word for it, as JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Related => "related",
            Self::Slow => "slow",
            Self::Failed => "failed",
            Self::Sampled => "sampled",
        }
    }
}

impl Span {
    /// Whether it failed: neither answered, nor given up by its caller.
    pub fn has_failed(&self) -> bool {
        is_failure(self.outcome)
    }

    /// What people call it: `Cart/add`, or `GET /cart`.
    pub fn name(&self) -> String {
        match (self.kind, &self.path) {
            (SpanKind::Request, Some(path)) => format!("{} {path}", self.method),
            (SpanKind::Request, None) => self.method.clone(),
            (SpanKind::Client | SpanKind::Server | SpanKind::Local, _) => {
                format!("{}/{}", self.component, self.method)
            }
        }
    }

    /// When it was over, in nanoseconds of Unix time.
    pub fn ended_ns(&self) -> u64 {
        self.begun_ns.saturating_add(self.took_ns)
    }

    /// Cuts texts that are longer than [`MOST_TEXT_BYTES`].
    #[must_use]
    pub fn bounded(mut self) -> Self {
        cut(&mut self.method);
        self.path.iter_mut().for_each(cut);
        self.error.iter_mut().for_each(cut);
        self
    }
}

/// Whether a call that ended so has failed.
pub(crate) fn is_failure(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Answered | Outcome::Cancelled => false,
        Outcome::Erred | Outcome::NotExecuted | Outcome::Unknown | Outcome::Executed => true,
    }
}

/// `text`, or its first [`MOST_TEXT_BYTES`] up to the last whole character: as much as is kept of it, and room for no more.
pub fn bounded(text: &str) -> String {
    if text.len() <= MOST_TEXT_BYTES {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MOST_TEXT_BYTES);
    format!("{}…", &text[..end])
}

fn cut(text: &mut String) {
    if text.len() > MOST_TEXT_BYTES {
        *text = bounded(text);
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
