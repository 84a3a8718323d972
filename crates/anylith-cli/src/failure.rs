//! Why a command failed, and with which exit code.

use std::{fmt::Write, io, process::ExitCode};

use anylith_topology::{Problem, Problems};

use crate::paint::Paint;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input is wrong, at these places.
    Wrong(Problems),
    /// The input is wrong, and there is a reason why no more could be found.
    WrongAndMore {
        problems: Problems,
        more: Box<Failure>,
    },
    /// The input is wrong; what, and what to type instead.
    WrongInput { what: String, mend: String },
    /// It could not be done; what, and what to do about it.
    Failed { what: String, mend: String },
    /// Everything was already said.
    Said(u8),
    /// The output could not be written.
    Output(io::Error),
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Wrong(problems)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// The same failure, reported together with `problems`.
    pub(crate) fn with(self, mut problems: Vec<Problem>) -> Self {
        match self {
            Self::Wrong(own) => {
                problems.extend(own);
                Self::Wrong(Problems::new(problems))
            }
            other if problems.is_empty() => other,
            other => Self::WrongAndMore {
                problems: Problems::new(problems),
                more: Box::new(other),
            },
        }
    }

    /// It could not be done.
    pub(crate) fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::Failed {
            what: what.into(),
            mend: mend.into(),
        }
    }

    /// The input is wrong.
    pub(crate) fn input(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::WrongInput {
            what: what.into(),
            mend: mend.into(),
        }
    }

    /// The same, where it is what was typed that is wrong.
    pub(crate) fn of_input(self) -> Self {
        match self {
            Self::Failed { what, mend } => Self::WrongInput { what, mend },
            other => other,
        }
    }

    /// What went wrong, in one line; `None` where that needs more.
    pub(crate) fn what(&self) -> Option<String> {
        match self {
            Self::WrongInput { what, .. } | Self::Failed { what, .. } => Some(what.clone()),
            Self::Wrong(_) | Self::WrongAndMore { .. } | Self::Said(_) | Self::Output(_) => None,
        }
    }

    /// 1 if it failed, 2 if the input is wrong.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Wrong(_) | Self::WrongAndMore { .. } | Self::WrongInput { .. } => 2,
            Self::Failed { .. } | Self::Output(_) => 1,
            Self::Said(code) => *code,
        })
    }

    /// What to tell people, with a newline at its end; empty if they know.
    pub(crate) fn text(&self, paint: &Paint) -> String {
        let error = paint.bold_red("error");
        match self {
            Self::Wrong(problems) => {
                let mut text = String::new();
                for problem in problems {
                    let _ = writeln!(text, "{error}: {problem}\n");
                }
                let _ = match problems.len() {
                    1 => writeln!(text, "1 problem"),
                    many => writeln!(text, "{many} problems"),
                };
                text
            }
            // Last is what is read first, and what is nearest to the cause.
            Self::WrongAndMore { problems, more } => {
                more.text(paint) + "\n" + &Self::Wrong(problems.clone()).text(paint)
            }
            Self::WrongInput { what, mend } | Self::Failed { what, mend } if mend.is_empty() => {
                format!("{error}: {what}\n")
            }
            Self::WrongInput { what, mend } | Self::Failed { what, mend } => {
                format!("{error}: {what}\n  = {mend}\n")
            }
            Self::Said(_) => String::new(),
            Self::Output(cause) => format!("{error}: the output cannot be written: {cause}\n"),
        }
    }
}
