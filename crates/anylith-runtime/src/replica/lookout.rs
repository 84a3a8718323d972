//! Says what the components of a replica wait for, where it would be, and why it is not reached.
//!
//! A replica with standing orders has nobody who could be asked, so its log is where people look. One that starts
//! quickly says nothing.

use std::{collections::BTreeMap, time::Duration};

use anylith_core::{Address, Name};

/// How long waiting is no news. It is told again after twice as long, each time.
pub(super) const FIRST: Duration = Duration::from_secs(3);

/// It is told again at least so often.
const LAST: Duration = Duration::from_secs(5 * 60);

/// Where a component would answer, and what is in the way of it.
pub(super) type Obstacles = Vec<(Address, String)>;

/// What was told of the components that wait.
#[derive(Debug)]
pub(super) struct Lookout {
    /// What each component that waits was last said to miss.
    told: BTreeMap<Name, Vec<Name>>,
    /// How long it has been since the replica began to look.
    waited: Duration,
    pause: Duration,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// A component waits, for this reason.
    Waits { component: Name, text: String },
    /// What a component has waited for is there.
    GoesOn { component: Name, text: String },
}

impl Lookout {
    pub(super) fn new() -> Self {
        Self {
            told: BTreeMap::new(),
            waited: Duration::ZERO,
            pause: FIRST,
        }
    }

    /// After which time it is looked again whether anything is still waited for.
    pub(super) fn pause(&self) -> Duration {
        self.pause
    }

    /// Takes what each component waits for, after a pause; returns what is to be told.
    pub(super) fn look(
        &mut self,
        waiting: &BTreeMap<Name, BTreeMap<Name, Obstacles>>,
    ) -> Vec<News> {
        self.waited += self.pause;
        self.pause = (self.pause * 2).min(LAST);
        let mut news = self.arrived(waiting);
        for (component, missing) in waiting {
            let places: Vec<String> = missing
                .iter()
                .map(|(callee, obstacles)| place(callee, obstacles))
                .collect();
            let text = format!(
                "{component} has waited for {} s: {}",
                self.waited.as_secs(),
                places.join("; ")
            );
            let component = component.clone();
            news.push(News::Waits {
                component: component.clone(),
                text,
            });
            self.told
                .insert(component, missing.keys().cloned().collect());
        }
        news
    }

    /// What is there now that was told to be missing.
    pub(super) fn arrived(
        &mut self,
        waiting: &BTreeMap<Name, BTreeMap<Name, Obstacles>>,
    ) -> Vec<News> {
        let gone: Vec<Name> = self
            .told
            .keys()
            .filter(|component| !waiting.contains_key(*component))
            .cloned()
            .collect();
        let goes_on = |component: Name| {
            let missed = self.told.remove(&component).unwrap_or_default();
            let missed: Vec<&str> = missed.iter().map(Name::as_str).collect();
            let are = if missed.len() == 1 { "is" } else { "are" };
            let text = format!("{component} goes on: {} {are} there", missed.join(", "));
            News::GoesOn { component, text }
        };
        gone.into_iter().map(goes_on).collect()
    }

    /// Whether anything was told to be missing that did not come since.
    pub(super) fn has_told(&self) -> bool {
        !self.told.is_empty()
    }
}

/// `Catalog: rest-two-1 at tcp:10.0.0.2:7400: connection refused`
fn place(callee: &Name, obstacles: &Obstacles) -> String {
    if obstacles.is_empty() {
        return format!("no replica of {callee} is in the orders");
    }
    let places: Vec<String> = obstacles
        .iter()
        .map(|(address, reason)| format!("{} at {}: {reason}", address.replica, address.endpoint))
        .collect();
    format!("{callee} is not ready ({})", places.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn waiting(reason: &str) -> BTreeMap<Name, BTreeMap<Name, Obstacles>> {
        let address = Address {
            replica: name("rest-two-1"),
            endpoint: "tcp:10.0.0.2:7400".parse().unwrap(),
        };
        let missing = [(name("Catalog"), vec![(address, reason.to_owned())])];
        [(name("Checkout"), missing.into())].into()
    }

    fn texts(news: Vec<News>) -> Vec<String> {
        news.into_iter()
            .map(|news| match news {
                News::Waits { text, .. } | News::GoesOn { text, .. } => text,
            })
            .collect()
    }

    #[test]
    fn what_is_waited_for_is_told_with_its_place_and_its_reason_at_growing_intervals() {
        let mut lookout = Lookout::new();
        assert_eq!(lookout.pause(), FIRST);
        assert_eq!(
            texts(lookout.look(&waiting("connection refused"))),
            [
                "Checkout has waited for 3 s: Catalog is not ready (rest-two-1 at tcp:10.0.0.2:7400: connection refused)"
            ]
        );
        let mut pauses = Vec::new();
        for _ in 0..10 {
            pauses.push(lookout.pause());
            assert_eq!(lookout.look(&waiting("timed out")).len(), 1);
        }
        assert!(pauses.is_sorted() && pauses[0] == FIRST * 2, "{pauses:?}");
        assert_eq!(pauses.last(), Some(&LAST));
    }

    #[test]
    fn what_was_told_to_wait_is_told_to_go_on_once() {
        let mut lookout = Lookout::new();
        assert!(!lookout.has_told());
        lookout.look(&waiting("connection refused"));
        assert!(lookout.has_told());
        assert!(lookout.arrived(&waiting("connection refused")).is_empty());
        let nobody = BTreeMap::new();
        assert_eq!(
            texts(lookout.arrived(&nobody)),
            ["Checkout goes on: Catalog is there"]
        );
        assert!(lookout.arrived(&nobody).is_empty() && !lookout.has_told());
    }

    #[test]
    fn several_that_have_come_are_there() {
        let mut lookout = Lookout::new();
        let missing = [(name("Audit"), Vec::new()), (name("Prices"), Vec::new())];
        lookout.look(&[(name("Web"), missing.into())].into());
        assert_eq!(
            texts(lookout.arrived(&BTreeMap::new())),
            ["Web goes on: Audit, Prices are there"]
        );
    }

    #[test]
    fn a_component_that_nobody_runs_is_said_to_be_nowhere() {
        let missing = [(name("Catalog"), Vec::new())];
        let waiting = [(name("Checkout"), missing.into())].into();
        assert_eq!(
            texts(Lookout::new().look(&waiting)),
            ["Checkout has waited for 3 s: no replica of Catalog is in the orders"]
        );
    }
}
