//! Which notices of the control plane are marks on the axis of time.

use anylith_control::Notice;
use anylith_core::Name;
use anylith_telemetry::{Mark, MarkKind};

use crate::report::Report;

/// The mark that `notice` leaves at this time; `None` where it is only a step on the way, or changes nothing that is measured.
pub(crate) fn of(notice: &Notice, at_ms: u64) -> Option<Mark> {
    let (kind, about) = kind(notice)?;
    Some(Mark {
        at_ms,
        kind,
        text: Report::line(notice),
        about: about.cloned(),
    })
}

fn kind(notice: &Notice) -> Option<(MarkKind, Option<&Name>)> {
    let marked = match notice {
        Notice::Failed { replica, .. } => (MarkKind::Failure, Some(replica)),
        Notice::CrashLoop { replica, .. }
        | Notice::Silent { replica, .. }
        | Notice::Overdue { replica, .. }
        | Notice::ForeignProtocol { replica, .. }
        | Notice::CutShort { replica, .. }
        | Notice::BeginsAnew { replica, .. }
        | Notice::NotStarted { replica, .. }
        | Notice::Unhealthy { replica, .. } => (MarkKind::Problem, Some(replica)),
        Notice::ListenerLost { .. } => (MarkKind::Problem, None),
        Notice::Answers { replica } | Notice::Healthy { replica, .. } => {
            (MarkKind::Recovery, Some(replica))
        }
        Notice::Recovered | Notice::Adopted { .. } => (MarkKind::Recovery, None),
        Notice::Restarting { .. } | Notice::Restarted { .. } => (MarkKind::Restart, None),
        Notice::Scaling { .. } | Notice::Scaled { .. } => (MarkKind::Scale, None),
        Notice::Autoscaled { group, .. } => (MarkKind::Scale, Some(group)),
        Notice::Reshaping { .. }
        | Notice::Switched { .. }
        | Notice::Reshaped { .. }
        | Notice::ReshapeResolved { .. }
        | Notice::TakingBack { .. } => (MarkKind::Reshape, None),
        Notice::Upgrading { .. }
        | Notice::UpgradePaused { .. }
        | Notice::Upgraded { .. }
        | Notice::RollingBack { .. }
        | Notice::RollbackStuck { .. } => (MarkKind::Upgrade, None),
        Notice::ChangeFailed { .. } => (MarkKind::Problem, None),
        Notice::Ready | Notice::Renewed { .. } | Notice::Stopping => return None,
    };
    Some(marked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_is_marked_in_the_words_of_the_log() {
        let to = Name::new("micro").expect("a name");
        let notice = Notice::Reshaped { to };
        let mark = of(&notice, 7).expect("a reshape is marked");
        assert_eq!((mark.at_ms, mark.kind), (7, MarkKind::Reshape));
        assert_eq!(mark.text, Report::line(&notice));
        assert_eq!(of(&Notice::Ready, 7), None);
    }
}
