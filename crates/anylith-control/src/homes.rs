//! In which group each component of which there is one at a time is to run.

use anylith_core::Name;

use crate::spec::{GroupSpec, Spec};

/// Where components of which there is one at a time are to run: where the topology that stands has them, or already where
/// a reshape takes them.
#[derive(Clone, Copy)]
pub(crate) struct Homes<'a> {
    pub(crate) spec: &'a Spec,
    /// The groups of the topology that is to stand, once it is for them to come.
    pub(crate) next: &'a [GroupSpec],
}

impl<'a> Homes<'a> {
    /// The group that is to have `component`.
    pub(crate) fn of(self, component: &Name) -> Option<&'a GroupSpec> {
        // Where nothing is to run before it is called there is nothing to come to, and nothing that could fail.
        let takes_it = |group: &&GroupSpec| {
            !group.burst && group.replicas > 0 && group.components.contains(component)
        };
        let next = self.next.iter().find(takes_it);
        next.or_else(|| self.spec.group_of(component.as_str()))
    }
}
