//! The defects that can be planted, to see that the suite finds them.
//!
//! A suite that cannot fail proves nothing. The defects of the data plane are in `anylith-rpc`, behind its feature
//! `defects`; this is their list, with the run that finds each.

use std::sync::LazyLock;

use crate::{
    fault::{Fault, Victim},
    oracle::Promise,
    topology::Topology,
};

/// The variable that says which defect is awake.
pub(crate) const ENV_DEFECT: &str = "ANYLITH_DEFECT";

/// Something wrong that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Defect {
    pub(crate) name: &'static str,
    /// What is wrong.
    pub(crate) about: &'static str,
    /// Which promise it breaks: the rule that has to find it.
    pub(crate) rule: Promise,
    /// What brings it to light, and where; `None` if nothing needs to go wrong.
    pub(crate) bait: Option<Fault>,
    pub(crate) topology: Topology,
}

/// The one defect of the application itself: executions are written down late.
pub(crate) const LATE_LEDGER: Defect = Defect {
    name: "late-ledger",
    about: "the callee writes down what it executes after it has answered",
    rule: Promise::ExecutedRan,
    bait: None,
    topology: Topology::Split,
};

/// All that can be planted.
pub(crate) const DEFECTS: &[Defect] = &[
    Defect {
        name: "retry-unmarked",
        about: "what may have run is sent again, also where the method is not idempotent",
        rule: Promise::OnceAtMost,
        bait: Some(Fault::Kill(Victim::Callee)),
        topology: Topology::Replicas,
    },
    Defect {
        name: "denied-execution",
        about: "calls that had left when the connection broke are told they were not executed",
        rule: Promise::NotExecutedDidNotRun,
        bait: Some(Fault::Kill(Victim::Callee)),
        topology: Topology::Split,
    },
    Defect {
        name: "void-deadline",
        about: "calls whose time is over are told they were not executed",
        rule: Promise::NotExecutedDidNotRun,
        bait: Some(Fault::Stop(Victim::Callee)),
        topology: Topology::Split,
    },
    Defect {
        name: "cutting-drain",
        about: "a replica that drains does not wait for the calls in flight",
        rule: Promise::DrainsLoseNothing,
        bait: Some(Fault::Term(Victim::Callee)),
        topology: Topology::Replicas,
    },
    Defect {
        name: "no-deadline",
        about: "the caller does not end a call whose time is over",
        rule: Promise::InTime,
        bait: Some(Fault::Stop(Victim::Callee)),
        topology: Topology::Split,
    },
    Defect {
        name: "double-dispatch",
        about: "the callee begins some calls twice",
        rule: Promise::OnceAtMost,
        bait: None,
        topology: Topology::Split,
    },
    Defect {
        name: "mixed-answers",
        about: "some answers are delivered to another call",
        rule: Promise::RightAnswer,
        bait: None,
        topology: Topology::Split,
    },
    Defect {
        name: "lost-wake-up",
        about: "calls in flight are not woken when their connection breaks",
        rule: Promise::OneAnswer,
        bait: Some(Fault::Kill(Victim::Callee)),
        topology: Topology::Split,
    },
    Defect {
        name: "retry-streams",
        about: "a call is sent again although items of its stream were taken",
        rule: Promise::RightAnswer,
        bait: Some(Fault::Kill(Victim::Callee)),
        topology: Topology::Replicas,
    },
    Defect {
        name: "budget-ignored",
        about: "what is refused as too much is asked again without a bound",
        rule: Promise::RetriesAreBounded,
        bait: Some(Fault::Overload),
        topology: Topology::Replicas,
    },
    Defect {
        name: "blocked-thread",
        about: "whoever delivers an answer sometimes sleeps, and nobody else on its thread has a turn",
        rule: Promise::InTime,
        bait: None,
        topology: Topology::Split,
    },
    LATE_LEDGER,
];

impl Defect {
    /// The defect of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        DEFECTS.iter().find(|defect| defect.name == name).copied()
    }

    /// Whether this process has it.
    pub(crate) fn is_planted(self) -> bool {
        static PLANTED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(ENV_DEFECT).ok());
        cfg!(feature = "defects") && PLANTED.as_deref() == Some(self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn for_every_promise_something_can_be_planted_that_breaks_it() {
        let broken: BTreeSet<_> = DEFECTS.iter().map(|defect| defect.rule).collect();
        let promises: BTreeSet<_> = Promise::ALL.into();
        assert_eq!(broken, promises);
    }
}
