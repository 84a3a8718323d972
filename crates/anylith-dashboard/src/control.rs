//! Asks the supervisor, through the socket at which the command asks it too.

use anylith_core::{Name, with_causes};
use anylith_supervisor::{
    Answer, AskError, Cause, Look, Overview, Request, ReshapePlan, RunFolder, Seen, ask,
};
use anylith_telemetry::{EdgeDetail, Moment, Past, Period, Subject};
use anylith_topology::suggest;
use axum::http::StatusCode;

use crate::refusal::Refusal;

/// The supervisor, as one who asks it sees it.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    folder: RunFolder,
}

/// What has become of a change that was asked for.
#[derive(Debug)]
pub(crate) enum Made {
    /// It is made, or was so already.
    Changed {
        /// What drains had to leave undone.
        left: Vec<String>,
    },
    /// It was given up, and what was there before serves on.
    GivenUp {
        /// Why.
        why: String,
    },
}

impl Control {
    pub(crate) fn new(folder: RunFolder) -> Self {
        Self { folder }
    }

    pub(crate) fn folder(&self) -> &RunFolder {
        &self.folder
    }

    async fn ask(&self, request: Request) -> Result<Answer, AskError> {
        ask(&self.folder.control_socket(), request).await
    }

    /// How the application is now.
    pub(crate) async fn overview(&self) -> Result<Overview, Refusal> {
        match self.ask(Request::Status).await {
            Ok(Answer::Status(overview)) => Ok(overview),
            other => Err(unexpected(other)),
        }
    }

    /// What goes on in it now.
    pub(crate) async fn now(&self) -> Result<Moment, Refusal> {
        match self.look(Look::Now).await? {
            Seen::Now(moment) => Ok(moment),
            Seen::Edge(_) | Seen::Past(_) => Err(another()),
        }
    }

    /// What goes along an edge now.
    pub(crate) async fn edge(&self, caller: Name, callee: Name) -> Result<EdgeDetail, Refusal> {
        match self.look(Look::Edge { caller, callee }).await? {
            Seen::Edge(detail) => Ok(detail),
            Seen::Now(_) | Seen::Past(_) => Err(another()),
        }
    }

    /// How something went.
    pub(crate) async fn past(&self, subject: Subject, period: Period) -> Result<Past, Refusal> {
        match self.look(Look::Past { subject, period }).await? {
            Seen::Past(past) => Ok(past),
            Seen::Now(_) | Seen::Edge(_) => Err(another()),
        }
    }

    async fn look(&self, look: Look) -> Result<Seen, Refusal> {
        match self.ask(Request::Look(look)).await {
            Ok(Answer::Seen(seen)) => Ok(*seen),
            other => Err(unexpected(other)),
        }
    }

    /// What `request`, which is a dry run, would do; `None` if all is so already.
    pub(crate) async fn plan(&self, request: Request) -> Result<Option<ReshapePlan>, Refusal> {
        match self.ask(request).await {
            Ok(Answer::Plan(plan)) => Ok(Some(plan)),
            Ok(Answer::Changed { .. }) => Ok(None),
            other => Err(unexpected(other)),
        }
    }

    /// Has a change made, and comes back when that is over.
    ///
    /// # Cancellation
    ///
    /// The change goes on.
    pub(crate) async fn change(&self, request: Request) -> Result<Made, Refusal> {
        match self.ask(request).await {
            Ok(Answer::Changed { left }) => Ok(Made::Changed { left }),
            Ok(Answer::GivenUp {
                cause: Cause::Obstacle | Cause::Unsettled,
                why,
                ..
            }) => Ok(Made::GivenUp { why }),
            other => Err(unexpected(other)),
        }
    }
}

/// Why an answer is none.
fn unexpected(answer: Result<Answer, AskError>) -> Refusal {
    match answer {
        Ok(Answer::Refused {
            why,
            group: Some(wanted),
            known,
            ..
        }) => {
            let known: Vec<&str> = known.iter().map(Name::as_str).collect();
            let mend = suggest(wanted.as_str(), &known, "groups", "leave it out");
            Refusal::wrong(why, mend)
        }
        Ok(Answer::Refused {
            why,
            mend,
            is_wrong,
            ..
        }) => {
            let look = || "see how things are, and ask again".to_owned();
            let mend = mend.unwrap_or_else(look);
            match is_wrong {
                true => Refusal::wrong(why, mend),
                false => Refusal::conflict(why, mend),
            }
        }
        Ok(Answer::GivenUp {
            cause: Cause::Stop,
            why,
            ..
        }) => Refusal::conflict(why, "wait until it has stopped, and start it again"),
        Ok(Answer::Stopped { .. }) => Refusal::conflict(
            "the application is not running",
            "start it with `anylith run`",
        ),
        Ok(_) => another(),
        Err(error) => Refusal::no_answer(with_causes(&error)),
    }
}

/// Why an answer to something else is none.
fn another() -> Refusal {
    Refusal::new(
        StatusCode::BAD_GATEWAY,
        "the supervisor answers something else",
        "use the same version of this command as the one that runs the application",
    )
}
