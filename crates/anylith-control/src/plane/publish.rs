//! Which replicas are in the directory.

use std::collections::{BTreeMap, BTreeSet};

use anylith_core::{Address, Directory, Name, Whereabouts};
use anylith_wire::control::ComponentState;

use super::ControlPlane;
use crate::{action::Action, life::Life};

impl ControlPlane {
    /// Publishes the directory if it has changed, and if it can be known.
    pub(super) fn publish(&mut self, actions: &mut Vec<Action>) {
        let unheard = |life: &Life| matches!(life, Life::Adopting { .. });
        if self.replicas.values().any(|replica| unheard(&replica.life)) {
            return;
        }
        let mut components = self.answering(ComponentState::Ready);
        // Where all are unhealthy, all are called: a sick replica may do some of its work, and none does nothing.
        for (component, addresses) in self.answering(ComponentState::Unhealthy) {
            components.entry(component).or_insert(addresses);
        }
        let mut next = Directory::new(self.directory.epoch, components);
        for component in self.seats.moving() {
            let known = next.components.entry(component.clone());
            known.or_insert(Whereabouts::Moves);
        }
        for component in self.asleep() {
            let known = next.components.entry(component);
            known.or_insert(Whereabouts::Sleeps);
        }
        next.interfaces = self.differing_interfaces();
        for (group, component) in self.spec.bursts() {
            let own = self.replicas.values().filter(|one| one.group == group.name);
            let own: BTreeSet<&Name> = own.map(|one| &one.name).collect();
            let named = next.replicas(component.as_str()).iter();
            let named = named.map(|address| address.replica.clone());
            let named = named.filter(|replica| own.contains(replica)).collect();
            next.bursts.insert(component.clone(), named);
        }
        // Also that nobody answers is news to those who think that somebody does.
        if std::mem::take(&mut self.directory_is_unknown) || next != self.directory {
            self.directory = Directory {
                epoch: next.epoch + 1,
                ..next
            };
            actions.push(Action::Publish(self.directory.clone()));
        }
    }

    /// Where each component answers that is in `state`.
    fn answering(&self, state: ComponentState) -> BTreeMap<Name, Vec<Address>> {
        let mut components: BTreeMap<Name, Vec<Address>> = BTreeMap::new();
        for replica in self.replicas.values() {
            for component in &replica.all_components() {
                // Where a reshape prepares another place for it, nobody is sent there yet. One that is alone is called where
                // it is.
                let stands = || {
                    let group = self.spec.group(&replica.group);
                    group.is_some_and(|group| group.components.contains(component))
                };
                let is_called = self.seats.allows(component, replica).unwrap_or_else(stands);
                if !is_called {
                    continue;
                }
                if let Some(endpoint) = replica.life.answers(component, state) {
                    let address = Address {
                        replica: replica.name.clone(),
                        endpoint: endpoint.clone(),
                    };
                    let known = components.entry(component.clone());
                    known.or_default().push(address);
                }
            }
        }
        components
    }
}
