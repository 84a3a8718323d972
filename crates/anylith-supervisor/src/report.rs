//! What people are told, and how it reads.

use std::{fmt, path::PathBuf, time::Duration};

use anylith_control::{Cause, Notice};
use anylith_core::Name;

/// Something worth telling people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The control plane has noticed something.
    Noticed {
        /// What.
        notice: Notice,
        /// If a replica has failed: the last lines of its log, oldest first.
        last_lines: Vec<String>,
    },
    /// What an earlier supervisor had left running was not what is wanted now, and was stopped.
    Replaced {
        /// The topology it ran in.
        topology: Name,
        /// How many replicas there were.
        replicas: usize,
        /// How it differed, in a few words for each difference.
        differences: Vec<String>,
    },
    /// What an earlier supervisor had left running was adopted with its build, and the program at the path is another one.
    OtherBuild {
        /// Where that lies.
        path: PathBuf,
    },
    /// `state.json` could not be written; a supervisor after this one may not find what runs.
    StateUnkept {
        /// Why.
        error: String,
    },
    /// `state.json` is written, and has no room for what a change would add.
    StateCramped {
        /// Why.
        error: String,
    },
    /// `state.json` could be written again, and has all the room that it should have.
    StateKept,
    /// A replica was cut off from the control plane, since one of them did not understand the other.
    Disconnected {
        /// The replica.
        replica: Name,
        /// Why.
        error: String,
    },
    /// The certificate authority could not be written. It is tried again; until then it lives with the supervisor.
    AuthorityUnkept {
        /// Why.
        error: String,
    },
    /// The certificate authority could be written again.
    AuthorityKept,
    /// A replica could not be given a new certificate. It is tried again; the one it has, if it has one, is good for
    /// hours.
    CertificateFailed {
        /// The replica.
        replica: Name,
        /// Why.
        error: String,
    },
    /// A replica that could not be given a new certificate has one.
    CertificateRenewed {
        /// The replica.
        replica: Name,
    },
    /// Somebody who is neither the owner nor root has connected to the control socket, and was turned away.
    Stranger {
        /// His user, as a number.
        uid: u32,
        /// His process, if it is known.
        pid: Option<u32>,
    },
    /// The log of a replica cannot be written: what it says is lost.
    NoLog {
        /// The replica.
        replica: Name,
        /// Why.
        error: String,
    },
}

impl Report {
    /// What `notice` reads like.
    pub(crate) fn line(notice: &Notice) -> String {
        fmt::from_fn(|f| notice_line(notice, f)).to_string()
    }
}

impl fmt::Display for Report {
    /// In one line, without the log lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noticed { notice, .. } => notice_line(notice, f),
            Self::Replaced {
                topology,
                replicas,
                differences,
            } => write!(
                f,
                "stopped {} of topology {topology} that an earlier run had left: {}",
                replicas_text(*replicas),
                differences.join("; ")
            ),
            Self::OtherBuild { path } => write!(
                f,
                "what runs is taken over as it is; another build lies at {}: roll it in with `anylith upgrade`",
                path.display()
            ),
            Self::Stranger { uid, pid } => {
                write!(f, "user {uid} was turned away from the control socket")?;
                pid.map_or(Ok(()), |pid| write!(f, ", with process {pid}"))
            }
            Self::StateKept => f.write_str("the state can be written again"),
            Self::StateCramped { error } => write!(
                f,
                "the state is written, and has no room for what a change would add, so none is begun: {error}"
            ),
            Self::AuthorityUnkept { error } => write!(
                f,
                "the certificates of this run cannot be kept, and a later run would have to issue new ones: {error}"
            ),
            Self::AuthorityKept => f.write_str("the certificate authority is written again"),
            Self::CertificateFailed { replica, error } => write!(
                f,
                "{replica} could not be given a new certificate, which is tried again: {error}"
            ),
            Self::CertificateRenewed { replica } => write!(f, "{replica} has a new certificate"),
            Self::NoLog { replica, error } => write!(
                f,
                "the log of {replica} cannot be written, so what it says is lost: {error}"
            ),
            Self::Disconnected { replica, error } => write!(
                f,
                "the connection of {replica} to the control plane was closed: {error}"
            ),
            Self::StateUnkept { error } => write!(
                f,
                "the state cannot be written, so a later run would not find what runs now: {error}"
            ),
        }
    }
}

fn notice_line(notice: &Notice, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match notice {
        Notice::Ready => f.write_str("every replica is ready"),
        Notice::Recovered => f.write_str("every replica is ready again"),
        Notice::Adopted { replicas } => write!(f, "adopted {}", replicas_text(*replicas)),
        Notice::Failed {
            replica,
            failure,
            retry_in,
        } => {
            write!(f, "{replica} {}: {failure}", again(*retry_in))
        }
        Notice::CrashLoop {
            replica,
            failure,
            failures,
            retry_in,
        } => write!(
            f,
            "{replica} keeps failing, {failures} times in a row now, and {}: {failure}",
            again(*retry_in)
        ),
        Notice::Silent { replica, silence } => write!(
            f,
            "{replica} has given no sign of life for {silence:?}: it gets no calls until it does, and is \
             replaced if it does not"
        ),
        Notice::Answers { replica } => write!(f, "{replica} gives signs of life again"),
        Notice::Overdue { replica, what } => {
            write!(f, "{replica} did not {what} in time, and is killed")
        }
        Notice::ListenerLost { error, .. } => write!(f, "{error}; it is tried again"),
        Notice::ForeignProtocol { replica, protocol } => write!(
            f,
            "{replica} speaks version {protocol} of the control protocol, and this command version {}: \
             use the same version of Anylith for both",
            anylith_wire::control::CONTROL_PROTOCOL
        ),
        Notice::CutShort {
            replica,
            component,
            left,
        } => write!(
            f,
            "{replica} was drained before {component} was done: {left}"
        ),
        Notice::BeginsAnew {
            replica,
            component,
            why,
        } => write!(
            f,
            "{component} begins in {replica} without the state of the one before it: {why}"
        ),
        Notice::NotStarted {
            replica,
            component,
            why,
            retry_in,
        } => write!(
            f,
            "{component} does not start in {replica}, and {}: {why}",
            again(*retry_in)
        ),
        Notice::Unhealthy {
            replica,
            component,
            reason,
        } => write!(f, "{component} of {replica} is unhealthy: {reason}"),
        Notice::Healthy { replica, component } => {
            write!(f, "{component} of {replica} is healthy again")
        }
        Notice::Restarting { groups } => {
            let groups: Vec<&str> = groups.iter().map(Name::as_str).collect();
            write!(f, "restarting {}", groups.join(", "))
        }
        Notice::Renewed { replica } => write!(f, "{replica} was started anew"),
        Notice::Restarted { replicas } => {
            write!(f, "restarted {}", replicas_text(*replicas as usize))
        }
        Notice::Scaling { groups } => {
            let of = |(group, (now, before)): (&Name, &(u32, u32))| match now == before {
                true => format!("{group}, which keeps {}", replicas_text(*now as usize)),
                false => format!("{group} from {before} to {now}"),
            };
            let groups: Vec<String> = groups.iter().map(of).collect();
            write!(f, "scaling {}", groups.join(", "))
        }
        Notice::Scaled { groups } => {
            let of = |(group, replicas): (&Name, &u32)| {
                format!("{group} has {}", replicas_text(*replicas as usize))
            };
            let groups: Vec<String> = groups.iter().map(of).collect();
            f.write_str(&groups.join(", "))
        }
        Notice::Autoscaled {
            group,
            now,
            before,
            why,
        } => write!(
            f,
            "{group} from {before} to {}: {why}",
            replicas_text(*now as usize)
        ),
        Notice::Reshaping { from, to } => write!(f, "reshaping {from} to {to}"),
        Notice::Switched { to } => {
            write!(
                f,
                "all of {to} is ready, and calls go there; what was before drains"
            )
        }
        Notice::Reshaped { to } => write!(f, "{to} runs, and nothing of what was before"),
        Notice::ReshapeResolved { to, stands } if to == stands => write!(
            f,
            "the reshape to {to}, in which the supervisor before this one ended, is completed: what was before leaves"
        ),
        Notice::ReshapeResolved { to, stands } => write!(
            f,
            "the reshape to {to}, in which the supervisor before this one ended, is taken back: {stands} stays"
        ),
        Notice::TakingBack { stays, why } => write!(f, "{stays} stays: {why}"),
        Notice::Upgrading { replicas } => {
            let replicas = replicas_text(*replicas as usize);
            write!(f, "rolling another build into {replicas}")
        }
        Notice::UpgradePaused { how } => f.write_str(how),
        Notice::Upgraded { replicas } => {
            let replicas = replicas_text(*replicas as usize);
            write!(f, "upgraded {replicas}; the new build runs alone")
        }
        Notice::RollingBack { why } => write!(f, "the old build comes back: {why}"),
        Notice::RollbackStuck { how, .. } => f.write_str(how),
        Notice::ChangeFailed {
            what,
            cause: Cause::Unsettled,
            why,
            ..
        } => write!(f, "the {what} was made: {why}"),
        Notice::ChangeFailed { what, why, .. } => write!(f, "the {what} was given up: {why}"),
        Notice::Stopping => f.write_str("draining"),
    }
}

fn again(retry_in: Duration) -> String {
    match retry_in {
        Duration::ZERO => "is started again".to_owned(),
        wait => format!("is started again in {wait:?}"),
    }
}

fn replicas_text(count: usize) -> String {
    match count {
        1 => "1 replica".to_owned(),
        more => format!("{more} replicas"),
    }
}
