//! What a supervisor answers to the command.

use std::{io, path::Path, time::Duration};

use anylith_control::{Cause, Note, ReshapePlan, Status, Underway, UpgradePlan};
use anylith_core::Name;
use anylith_telemetry::{EdgeDetail, Moment, Past, Survey};
use anylith_wire::control::{ControlError, Decoder, Opening, Request, encode};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Answer {
    /// The application as it is now.
    Status(Overview),
    /// What its replicas have counted.
    Metrics(Box<Survey>),
    /// What goes on in it, or went on before.
    Seen(Box<Seen>),
    /// What a reshape, or other numbers of replicas, would change.
    Plan(ReshapePlan),
    /// What an upgrade would do.
    UpgradePlan(UpgradePlan),
    /// The upgrade that was asked for begins no further step until it is told to.
    Paused {
        /// How far it has come.
        how: String,
    },
    /// The upgrade goes back, and cannot go any further: it waits until it can, or is told how to go on.
    Stuck {
        /// Why, and how far it has come.
        how: String,
        /// The replica that does not run with the old build: its log may tell more.
        #[serde(default)]
        replica: Option<Name>,
    },
    /// Nothing of it runs any more.
    Stopped {
        /// What drains had to leave undone, in words.
        #[serde(default)]
        left: Vec<String>,
    },
    /// The change that was asked for is made.
    Changed {
        /// What drains had to leave undone, in words.
        #[serde(default)]
        left: Vec<String>,
    },
    /// The change that was asked for cannot be made, and nothing has changed.
    Refused {
        /// Why.
        why: String,
        /// The group that was asked for, if there is none of that name.
        #[serde(default)]
        group: Option<Name>,
        /// The groups that there are, in that case.
        #[serde(default)]
        known: Vec<Name>,
        /// What to do instead, where that is known.
        #[serde(default)]
        mend: Option<String>,
        /// Whether it could not be made at any other time either, since what was asked for is wrong.
        #[serde(default)]
        is_wrong: bool,
        /// Whether another change is in its way.
        #[serde(default)]
        is_busy: bool,
    },
    /// The change that was asked for was given up. What has changed stays as it is; of a reshape or an upgrade nothing has,
    /// unless everything stops, or the cause says that it was made.
    GivenUp {
        /// What brought that about.
        #[serde(default)]
        cause: Cause,
        /// Why, in words.
        why: String,
        /// The replica that kept it, if one did: its log may tell more.
        #[serde(default)]
        replica: Option<Name>,
    },
}

/// What somebody sees who looks at an application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "look", rename_all = "snake_case")]
pub enum Seen {
    /// What goes on now.
    Now(Moment),
    /// What goes along one edge now.
    Edge(EdgeDetail),
    /// How something went.
    Past(Past),
}

/// The application as it is now, with what people want to know on top.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// What `anylith status --json` prints.
    pub status: Status,
    /// Why replicas are not ready.
    pub notes: Vec<Note>,
    /// The supervisor's own process.
    pub supervisor: u32,
    /// What the supervisor cannot do itself now, a sentence for each. It goes on trying.
    #[serde(default)]
    pub troubles: Vec<String>,
    /// How far a change has come that is under way, in words.
    #[serde(default)]
    pub change: Option<String>,
    /// Which change that is.
    #[serde(default)]
    pub underway: Option<Underway>,
}

/// Why the supervisor gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is none.
    #[error("no supervisor runs")]
    NotRunning(#[source] io::Error),
    /// The connection broke, or the supervisor took too long.
    #[error("the supervisor did not answer")]
    Lost(#[from] io::Error),
    /// What came is not an answer: the supervisor may be of another version.
    #[error("the supervisor's answer cannot be understood")]
    Malformed(#[from] ControlError),
}

/// How long a supervisor that is alive may take to say how it is. A stop or a change may take as long as it wants.
const STATUS_WITHIN: Duration = Duration::from_secs(5);

/// Asks the supervisor at `socket`.
///
/// # Cancellation
///
/// A stop or a change that was asked for goes on.
///
/// # Errors
///
/// [`AskError`]; after [`AskError::Lost`] a stop may or may not go on.
pub async fn ask(socket: &Path, request: Request) -> Result<Answer, AskError> {
    let connection = UnixStream::connect(socket)
        .await
        .map_err(AskError::NotRunning)?;
    let is_quick = match &request {
        Request::Stop | Request::Kill | Request::Restart { .. } | Request::Steer(_) => false,
        Request::Reshape { dry_run, .. } | Request::Scale { dry_run, .. } => *dry_run,
        Request::Upgrade(upgrade) => upgrade.dry_run,
        Request::Status | Request::Metrics | Request::Look(_) | Request::Unknown => true,
    };
    let exchanged = exchange(connection, request);
    if !is_quick {
        return exchanged.await;
    }
    match tokio::time::timeout(STATUS_WITHIN, exchanged).await {
        Ok(answer) => answer,
        Err(_) => Err(AskError::Lost(io::ErrorKind::TimedOut.into())),
    }
}

async fn exchange(mut connection: UnixStream, request: Request) -> Result<Answer, AskError> {
    connection
        .write_all(&encode(&Opening::Ask(request))?)
        .await?;
    let mut decoder = Decoder::default();
    let mut bytes = Vec::with_capacity(4096);
    loop {
        if let Some(answer) = decoder.next()? {
            return Ok(answer);
        }
        bytes.clear();
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err(AskError::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
        decoder.feed(&bytes);
    }
}
