//! Components of which there is one at a time, and groups that would have more of them.

use anylith_core::{Manifest, Name};

use crate::{GroupPlan, Problem, ReplicaChange};

/// Those of `members` of which there is one at a time.
pub(crate) fn among(members: &[Name], manifest: &Manifest) -> Vec<Name> {
    let is_one = |name: &&Name| {
        let component = manifest.component(name.as_str());
        component.is_some_and(|component| component.singleton.is_some())
    };
    members.iter().filter(is_one).cloned().collect()
}

pub(crate) fn too_many(component: &Name, group: &Name, replicas: u32) -> String {
    format!(
        "{component} is a singleton, of which there is one at a time, and its group `{group}` would have {replicas} replicas"
    )
}

/// What to write instead, where the group has so many `members`.
pub(crate) fn mend(component: &Name, members: usize) -> String {
    match members {
        1 => "let it have one replica".to_owned(),
        _ => format!(
            "let it have one replica, or give {component} a group of its own in a topology: \
             groups.{component} = {{ components = [\"{component}\"] }}"
        ),
    }
}

/// What is wrong with `groups` now that they have as many replicas as the command line `asked` for.
pub(crate) fn check(groups: &[GroupPlan], asked: &ReplicaChange, problems: &mut Vec<Problem>) {
    if *asked == ReplicaChange::NONE {
        return;
    }
    for group in groups.iter().filter(|group| group.most_replicas() > 1) {
        if let Some(component) = group.singletons.first() {
            let what = too_many(component, &group.name, group.most_replicas());
            let mend = match group.components.len() {
                1 => format!("add {}=1 to it", group.name),
                many => mend(component, many),
            };
            problems.push(Problem::given("--replicas", what, mend));
        }
    }
}
