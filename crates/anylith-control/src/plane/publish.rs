//! Which replicas are in the directory.

use std::collections::BTreeMap;

use anylith_core::{Address, Directory, Name};
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
        let dormant = self.dormant(&components);
        // Also that nobody answers is news to those who think that somebody does.
        if std::mem::take(&mut self.directory_is_unknown)
            || components != self.directory.components
            || dormant != self.directory.dormant
        {
            self.directory = Directory {
                epoch: self.directory.epoch + 1,
                components,
                dormant,
            };
            actions.push(Action::Publish(self.directory.clone()));
        }
    }

    /// Where each component answers that is in `state`.
    fn answering(&self, state: ComponentState) -> BTreeMap<Name, Vec<Address>> {
        let mut components: BTreeMap<Name, Vec<Address>> = BTreeMap::new();
        for replica in self.replicas.values() {
            for component in &replica.components {
                // Where a reshape prepares another place for it, nobody is sent there yet.
                let stands = self.spec.group_of(component.as_str());
                if stands.is_none_or(|group| group.name != replica.group) {
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
