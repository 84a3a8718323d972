//! Which replicas are due for a new certificate.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use anylith_core::Name;

use crate::report::Report;

/// Remembers of each replica by itself what became of its last certificate, so that one that failed is tried again, and
/// the others keep theirs.
#[derive(Debug, Default)]
pub(crate) struct Renewals {
    last: BTreeMap<Name, Attempt>,
}

/// The last attempt to give a replica a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Attempt {
    Issued(SystemTime),
    /// And people were told why.
    Failed(String),
}

impl Renewals {
    /// Which of `replicas` should get a new certificate: those that have none of us, whose last attempt has failed,
    /// whose last one is as old as `age`, or was issued at a time that has not come yet, since the clock was set back.
    pub(crate) fn due(
        &mut self,
        replicas: Vec<Name>,
        now: SystemTime,
        age: Duration,
    ) -> impl Iterator<Item = Name> {
        self.last.retain(|replica, _| replicas.contains(replica));
        replicas
            .into_iter()
            .filter(move |replica| match self.last.get(replica) {
                Some(Attempt::Issued(at)) => {
                    now.duration_since(*at).map_or(true, |past| past >= age)
                }
                Some(Attempt::Failed(_)) | None => true,
            })
    }

    /// Notes what an attempt at `now` has come to; returns what people must be told.
    pub(crate) fn note(
        &mut self,
        replica: &Name,
        outcome: Result<(), String>,
        now: SystemTime,
    ) -> Option<Report> {
        let attempt = match outcome {
            Ok(()) => Attempt::Issued(now),
            Err(error) => Attempt::Failed(error),
        };
        let before = self.last.insert(replica.clone(), attempt.clone());
        let replica = replica.clone();
        match (before, attempt) {
            (Some(Attempt::Failed(_)), Attempt::Issued(_)) => {
                Some(Report::CertificateRenewed { replica })
            }
            (Some(Attempt::Failed(before)), Attempt::Failed(error)) if before == error => None,
            (_, Attempt::Failed(error)) => Some(Report::CertificateFailed { replica, error }),
            (_, Attempt::Issued(_)) => None,
        }
    }

    /// Makes everybody due.
    pub(crate) fn make_all_due(&mut self) {
        self.last
            .retain(|_, attempt| matches!(attempt, Attempt::Failed(_)));
    }

    /// The replicas whose last attempt has failed, and why.
    pub(crate) fn failed(&self) -> impl Iterator<Item = Report> {
        self.last
            .iter()
            .filter_map(|(replica, attempt)| match attempt {
                Attempt::Issued(_) => None,
                Attempt::Failed(error) => Some(Report::CertificateFailed {
                    replica: replica.clone(),
                    error: error.clone(),
                }),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THIRD: Duration = Duration::from_secs(8 * 3600);

    fn replicas() -> Vec<Name> {
        ["Cart-1", "Cart-2", "Stock-1"]
            .map(|name| Name::new(name).unwrap())
            .into()
    }

    /// Gives a certificate to all that are due; the ones in `failing` get none. Returns who was due, and what is told.
    fn round(
        renewals: &mut Renewals,
        now: SystemTime,
        failing: &[&str],
    ) -> (Vec<String>, Vec<String>) {
        let due: Vec<Name> = renewals.due(replicas(), now, THIRD).collect();
        let outcome = |replica: &Name| match failing.contains(&replica.as_str()) {
            true => Err("no key could be made".to_owned()),
            false => Ok(()),
        };
        let told = due
            .iter()
            .filter_map(|replica| renewals.note(replica, outcome(replica), now))
            .map(|report| report.to_string())
            .collect();
        (due.iter().map(ToString::to_string).collect(), told)
    }

    #[test]
    fn one_that_failed_is_tried_again_and_the_others_keep_theirs() {
        let (mut renewals, start) = (Renewals::default(), SystemTime::now());
        let (due, told) = round(&mut renewals, start, &[]);
        assert_eq!(due, ["Cart-1", "Cart-2", "Stock-1"]);
        assert!(told.is_empty(), "{told:?}");
        assert!(round(&mut renewals, start + THIRD / 2, &[]).0.is_empty());

        let third = start + THIRD;
        let (due, told) = round(&mut renewals, third, &["Cart-2"]);
        assert_eq!(due.len(), 3);
        assert_eq!(
            told,
            [
                "Cart-2 could not be given a new certificate, which is tried again: no key could be made"
            ]
        );
        assert_eq!(renewals.failed().count(), 1);

        let soon = third + Duration::from_secs(2);
        let (due, told) = round(&mut renewals, soon, &["Cart-2"]);
        assert_eq!(due, ["Cart-2"], "the others have theirs");
        assert!(told.is_empty(), "it was said: {told:?}");

        let (due, told) = round(&mut renewals, soon + Duration::from_secs(2), &[]);
        assert_eq!(due, ["Cart-2"]);
        assert_eq!(told, ["Cart-2 has a new certificate"]);
        assert_eq!(renewals.failed().count(), 0);
        assert!(
            round(&mut renewals, soon + Duration::from_secs(4), &[])
                .0
                .is_empty()
        );
    }

    #[test]
    fn a_clock_that_was_set_back_makes_all_due() {
        let (mut renewals, start) = (Renewals::default(), SystemTime::now());
        round(&mut renewals, start, &[]);
        let (due, _) = round(&mut renewals, start - Duration::from_secs(60), &[]);
        assert_eq!(due.len(), 3);
    }

    #[test]
    fn who_is_to_get_new_ones_before_their_time_is_due_and_a_failure_stays_said() {
        let (mut renewals, start) = (Renewals::default(), SystemTime::now());
        round(&mut renewals, start, &["Stock-1"]);
        renewals.make_all_due();
        let (due, told) = round(&mut renewals, start, &["Stock-1"]);
        assert_eq!(due.len(), 3);
        assert!(told.is_empty(), "{told:?}");
    }
}
