//! What has changed from one state to the next, for who knows the one before.

use std::collections::BTreeMap;

use anylith_core::Name;
use anylith_supervisor::{GroupStatus, Note, Overview, Underway};
use serde::Serialize;

/// What has changed; a field that is not there has not.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub(crate) struct Difference {
    #[serde(skip_serializing_if = "Option::is_none")]
    topology: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listeners: Option<BTreeMap<Name, String>>,
    /// The groups that are new or otherwise, each as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<GroupStatus>,
    /// The names of all groups in their order, if that has changed. Who is not among them is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Vec<Name>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<Vec<Note>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supervisor: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    troubles: Option<Vec<String>>,
    /// How far a change has come; nothing in it if none is under way any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Option<String>>,
    /// Which change that is; nothing in it if none is under way any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    underway: Option<Option<Underway>>,
}

impl Difference {
    /// What `now` has that `before` had not; `None` if that is nothing.
    pub(crate) fn between(before: &Overview, now: &Overview) -> Option<Self> {
        let names = |state: &Overview| -> Vec<Name> {
            let groups = state.status.groups.iter();
            groups.map(|group| group.name.clone()).collect()
        };
        let before_of = |group: &GroupStatus| {
            let mut groups = before.status.groups.iter();
            groups.find(|known| known.name == group.name)
        };
        let groups = now.status.groups.iter();
        let groups = groups.filter(|group| before_of(group) != Some(*group));
        let difference = Self {
            topology: differs(&before.status.topology, &now.status.topology),
            epoch: differs(&before.status.epoch, &now.status.epoch),
            listeners: differs(&before.status.listeners, &now.status.listeners),
            groups: groups.cloned().collect(),
            order: differs(&names(before), &names(now)),
            notes: differs(&before.notes, &now.notes),
            supervisor: differs(&before.supervisor, &now.supervisor),
            troubles: differs(&before.troubles, &now.troubles),
            change: differs(&before.change, &now.change),
            underway: differs(&before.underway, &now.underway),
        };
        (difference != Self::default()).then_some(difference)
    }
}

fn differs<T: Clone + PartialEq>(before: &T, now: &T) -> Option<T> {
    (before != now).then(|| now.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn group(name: &str, state: &str) -> Value {
        json!({
            "name": name,
            "components": [name],
            "replicas": [{"id": format!("{name}-1"), "pid": 1, "address": null, "state": state, "restarts": 0}],
        })
    }

    fn state(groups: &[Value], change: Option<(&str, Value)>) -> Overview {
        let (change, underway) = change.unzip();
        let overview = json!({
            "status": {"app": "shop", "topology": "micro", "epoch": 1, "groups": groups, "listeners": {}},
            "notes": [],
            "supervisor": 7,
            "change": change,
            "underway": underway,
        });
        serde_json::from_value(overview).unwrap()
    }

    fn told(before: &Overview, now: &Overview) -> Value {
        serde_json::to_value(Difference::between(before, now)).unwrap()
    }

    #[test]
    fn where_nothing_has_changed_nothing_is_told() {
        let now = state(&[group("Cart", "ready")], None);
        assert_eq!(Difference::between(&now, &now), None);
    }

    #[test]
    fn only_the_group_that_has_changed_is_told() {
        let before = state(&[group("Cart", "ready"), group("Web", "ready")], None);
        let now = state(&[group("Cart", "ready"), group("Web", "backoff")], None);
        assert_eq!(
            told(&before, &now),
            json!({"groups": [group("Web", "backoff")]})
        );
    }

    #[test]
    fn groups_that_come_and_go_are_told_with_their_order() {
        let before = state(&[group("Cart", "ready"), group("Web", "ready")], None);
        let now = state(&[group("one", "ready"), group("Web", "ready")], None);
        assert_eq!(
            told(&before, &now),
            json!({"groups": [group("one", "ready")], "order": ["one", "Web"]})
        );
    }

    #[test]
    fn the_end_of_a_change_is_told() {
        let rolls = state(
            &[],
            Some(("rolling", json!({"kind": "upgrade", "stage": "comes"}))),
        );
        let paused = json!({"kind": "upgrade", "stage": "paused"});
        let pauses = state(&[], Some(("rolling", paused.clone())));
        assert_eq!(told(&rolls, &pauses), json!({"underway": paused}));
        assert_eq!(
            told(&pauses, &state(&[], None)),
            json!({"change": null, "underway": null})
        );
    }
}
