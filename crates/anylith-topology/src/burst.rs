//! Components that can have replicas of their own beside a group that has them, and those that cannot.

use anylith_core::{Burst, ComponentManifest, Manifest, Name};

use crate::settings::bursts::Bursts;

/// Why replicas of `component` alone would be of no use, and what to write instead; `None` if they are.
pub(crate) fn obstacle(component: &ComponentManifest) -> Option<(String, &'static str)> {
    let name = &component.name;
    if component.singleton.is_some() {
        let what = format!("{name} is a singleton, of which there is one at a time");
        return Some((what, "take it out"));
    }
    if let Some(listener) = component.listeners.first() {
        let what = format!(
            "{name} serves the listener `{listener}`: who connects makes no call that could be given away"
        );
        let mend = "take it out, and give the group more replicas, or a range of them";
        return Some((what, mend));
    }
    if component.methods.is_empty() {
        let what = format!("{name} has no methods, so nobody calls it");
        return Some((what, "take it out"));
    }
    let mut methods = component.methods.iter();
    if methods.all(|method| method.routed.is_some()) {
        let what = format!(
            "each call of {name} belongs to a replica by its key, so none could be given away"
        );
        let mend = "take it out, and give the group more replicas, or a range of them";
        return Some((what, mend));
    }
    None
}

/// The bursts that `asked` means, in a group that has these `members`.
pub(crate) fn among(asked: &Bursts, members: &[Name], manifest: &Manifest) -> Vec<Burst> {
    let can = |name: &&Name| {
        let component = manifest.component(name.as_str());
        component.is_some_and(|component| obstacle(component).is_none())
    };
    match asked {
        Bursts::None => Vec::new(),
        Bursts::All(_) => members
            .iter()
            .filter(can)
            .map(|name| Burst::of(name.clone()))
            .collect(),
        Bursts::Of(bursts) => bursts.iter().map(|(burst, _)| burst.clone()).collect(),
    }
}
