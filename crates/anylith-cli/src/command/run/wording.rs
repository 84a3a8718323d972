//! What is said of reports: each thing once, and with what helps.

use std::collections::BTreeMap;

use anylith_core::Name;
use anylith_supervisor::{CRASH_LOOP, Failure, Notice, Report};
use anylith_topology::Settings;

use crate::paint::Paint;

/// Puts reports into words.
pub(super) struct Wording {
    settings: Settings,
    /// What to type to roll in another build.
    upgrade: String,
    /// Replica → what it last died of, as it was said.
    causes: BTreeMap<Name, String>,
    paint: Paint,
}

impl Wording {
    pub(super) fn new(settings: Settings, upgrade: String) -> Self {
        Self {
            settings,
            upgrade,
            causes: BTreeMap::new(),
            paint: Paint::for_stderr(),
        }
    }

    /// What to say of `report`; `None` if it is said by other means.
    pub(super) fn of(&mut self, report: &Report) -> Option<String> {
        let notice = match report {
            // It was said before it was done.
            Report::Replaced { .. } => return None,
            Report::OtherBuild { path } => {
                return Some(format!(
                    "what runs is taken over as it is; another build lies at {}: roll it in with `{}`",
                    path.display(),
                    self.upgrade
                ));
            }
            Report::StateKept | Report::AuthorityKept | Report::CertificateRenewed { .. } => {
                return Some(report.to_string());
            }
            Report::StateUnkept { .. }
            | Report::StateCramped { .. }
            | Report::AuthorityUnkept { .. }
            | Report::CertificateFailed { .. }
            | Report::NoLog { .. }
            | Report::Disconnected { .. }
            | Report::Stranger { .. } => {
                return Some(self.warning(&report.to_string()));
            }
            Report::Noticed { notice, .. } => notice,
        };
        Some(match notice {
            // The lines that begin with `ready:` say it.
            Notice::Ready => return None,
            Notice::Stopping => "draining; Ctrl-C once more kills everything at once".to_owned(),
            Notice::Recovered
            | Notice::Adopted { .. }
            | Notice::Answers { .. }
            | Notice::Healthy { .. }
            | Notice::Restarting { .. }
            | Notice::Renewed { .. }
            | Notice::Restarted { .. }
            | Notice::Scaling { .. }
            | Notice::Scaled { .. }
            | Notice::Autoscaled { .. }
            | Notice::Reshaping { .. }
            | Notice::Switched { .. }
            | Notice::Reshaped { .. }
            | Notice::ReshapeResolved { .. }
            | Notice::Upgrading { .. }
            | Notice::UpgradePaused { .. }
            | Notice::Upgraded { .. } => report.to_string(),
            Notice::Failed {
                replica, failure, ..
            } => {
                let text = self.once(replica, failure, report);
                self.warning(&text)
            }
            Notice::CrashLoop {
                replica,
                failure,
                failures: CRASH_LOOP,
                ..
            } => {
                self.causes.insert(replica.clone(), failure.to_string());
                let text = format!("{report}{}", self.details(failure, report));
                self.warning(&text)
            }
            Notice::CrashLoop {
                replica, failure, ..
            } => {
                let text = self.once(replica, failure, report);
                self.warning(&text)
            }
            Notice::Overdue { .. }
            | Notice::CutShort { .. }
            | Notice::BeginsAnew { .. }
            | Notice::NotStarted { .. }
            | Notice::Unhealthy { .. }
            | Notice::TakingBack { .. }
            | Notice::RollingBack { .. }
            | Notice::RollbackStuck { .. }
            | Notice::ChangeFailed { .. }
            | Notice::Silent { .. }
            | Notice::ListenerLost { .. }
            | Notice::ForeignProtocol { .. } => self.warning(&report.to_string()),
        })
    }

    /// What to say when the start of `app` is given up because of `report`.
    pub(super) fn of_failed_start(&self, app: &Name, report: &Report) -> String {
        let (what, details) = self.of_failure(report);
        let error = self.paint.bold_red("error");
        format!("{error}: {app} does not start: {what}{details}")
    }

    /// What to say when what runs of `app` was taken over, and not all of it runs because of `report`.
    pub(super) fn of_incomplete_takeover(&self, app: &Name, report: &Report) -> String {
        let (what, details) = self.of_failure(report);
        self.warning(&format!(
            "{app} was taken over and serves on, but not all of it runs: {what}{details}"
        ))
    }

    /// What has failed, and what helps to find out why.
    fn of_failure(&self, report: &Report) -> (String, String) {
        match report {
            Report::Noticed {
                notice:
                    Notice::CrashLoop {
                        replica,
                        failure,
                        failures,
                        ..
                    },
                ..
            } => (
                format!("{replica} has failed {failures} times in a row: {failure}"),
                self.details(failure, report),
            ),
            other => (other.to_string(), String::new()),
        }
    }

    fn warning(&self, text: &str) -> String {
        format!("{}: {text}", self.paint.bold_yellow("warning"))
    }

    /// The report, without its cause if that was said before.
    fn once(&mut self, replica: &Name, failure: &Failure, report: &Report) -> String {
        let cause = failure.to_string();
        let text = report.to_string();
        let before = self.causes.insert(replica.clone(), cause.clone());
        match text.strip_suffix(&format!(": {cause}")) {
            Some(short) if before == Some(cause) => format!("{short}, for the same reason"),
            _ => text,
        }
    }

    /// What helps to find the cause: the line of the config, and the last lines of the log that say something else.
    fn details(&self, failure: &Failure, report: &Report) -> String {
        let mut details = String::new();
        if let (Some(component), Some(message)) = (&failure.component, &failure.message)
            && let Some(place) = self.settings.suspect(component.as_str(), message)
        {
            details += &format!("\n  = look at {place}");
        }
        let Report::Noticed { last_lines, .. } = report else {
            return details;
        };
        let said = failure.message.as_deref().unwrap_or("\n");
        let mut lines: Vec<&str> = Vec::new();
        for line in last_lines.iter().map(String::as_str) {
            if !line.contains(said) && !lines.contains(&line) {
                lines.push(line);
            }
        }
        if !lines.is_empty() {
            details += "\n  the last lines of its log:\n    ";
            details += &lines.join("\n    ");
        }
        details
    }
}
