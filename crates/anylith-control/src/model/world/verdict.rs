//! What is wrong with a simulated application, while it goes on and at the end.

use std::collections::{BTreeMap, BTreeSet};

use anylith_core::Name;
use anylith_wire::control::{ComponentState, ToReplica};

use super::{Process, World, name};
use crate::{Cause, GroupSpec, Notice, Spec};

/// `spec` with as many replicas as `stands` has by now in groups that sleep until they are called.
fn with_numbers_of(spec: &Spec, stands: &Spec) -> Spec {
    let mut spec = spec.clone();
    let may_sleep = |group: &&mut GroupSpec| !group.burst && group.scaling.is_some();
    for group in spec.groups.iter_mut().filter(may_sleep) {
        let known = stands.group(&group.name);
        let known = known.filter(|known| known.scaling == group.scaling);
        group.replicas = known.map_or(group.replicas, |known| known.replicas);
    }
    spec
}

impl World {
    /// Nobody may be sent away who is still called.
    pub(in crate::model) fn judge(&mut self, replica: &Name, message: &ToReplica) {
        let named = |component: &Name| {
            let mut addresses = self.published.replicas(component.as_str()).iter();
            addresses.any(|address| address.replica == *replica)
        };
        let named = match message {
            ToReplica::Drain { component, .. } | ToReplica::Yield { component, .. } => {
                named(component)
            }
            ToReplica::Stop { .. } => self.published.components.keys().any(named),
            _ => false,
        };
        if named && !self.stopping {
            self.finds(format!("{replica} is told {message:?}, and is called"));
        }
        if self.goes_back(replica, message) {
            self.finds(format!("{replica} is told {message:?}, and Cart has moved"));
        }
    }

    /// Whether `replica` is told to have `Cart` again, and it is decided that this is elsewhere.
    fn goes_back(&self, replica: &Name, message: &ToReplica) -> bool {
        let cart = name("Cart");
        let starts = match message {
            ToReplica::Start(additions) => additions.held.contains(&cart),
            ToReplica::Grant { component, .. } => *component == cart,
            _ => false,
        };
        let groups = self.plane.memory().reshape.and_then(|it| it.groups);
        let mut groups = groups.into_iter().flatten();
        let home = groups.find(|it| !it.burst && it.components.contains(&cart));
        let group = self.plane.group_of(replica);
        starts && home.is_some_and(|home| group != Some(&home.name))
    }

    /// What has been wrong so far.
    pub(in crate::model) fn verdict(&mut self) -> Result<(), String> {
        let at_work = |process: &&Process| match process.components.get(&name("Cart")) {
            Some(ComponentState::Starting | ComponentState::Ready | ComponentState::Unhealthy) => {
                true
            }
            Some(ComponentState::Draining) => process.begun,
            Some(ComponentState::Waiting | ComponentState::Stopped) | None => false,
        };
        if self.alone && self.processes.values().filter(at_work).count() > 1 {
            self.finds("there are two of Cart".to_owned());
        }
        match self.wrong.take() {
            Some(wrong) => Err(wrong),
            None => Ok(()),
        }
    }

    /// Whether people were told that a change was made, and something of it does not run.
    fn is_unsettled(&self) -> bool {
        let cause = |notice: &Notice| match notice {
            Notice::ChangeFailed { cause, .. } => Some(*cause),
            _ => None,
        };
        self.notices
            .iter()
            .any(|it| cause(it) == Some(Cause::Unsettled))
    }

    /// Whether nothing is under way, and nothing waits for time to pass.
    pub(in crate::model) fn is_settled(&self) -> bool {
        let all_ready = self.plane.status(&BTreeMap::new()).is_ready();
        self.plane.change().is_none() && all_ready && self.possible().is_empty()
    }

    /// Whether the numbers `stand` that were asked for, or those of `from` that were taken back, and people were `told` how often
    /// that they are reached and that they are not.
    fn verdict_of_scale(
        &self,
        from: &Spec,
        stand: bool,
        told: (usize, usize),
    ) -> Result<(), String> {
        let of_new = |notice: &Notice| match notice {
            Notice::ChangeFailed {
                replica: Some(replica),
                ..
            } => {
                let mut known = from.groups.iter().flat_map(GroupSpec::replica_names);
                known.all(|known| known != *replica)
            }
            _ => false,
        };
        let of_new = self.notices.iter().any(of_new);
        match told {
            _ if of_new && stand && *from != *self.plane.spec() => {
                Err("it was given up, and its number stands".to_owned())
            }
            // Who has asked is gone with the control plane that he asked.
            _ if self.controls > 0 => Ok(()),
            (1, 0) if stand => Ok(()),
            (0, 1) => Ok(()),
            told => Err(format!(
                "people were told {told:?} of numbers that stand: {stand}"
            )),
        }
    }

    /// One topology runs, and nothing of another.
    pub(in crate::model) fn final_verdict(&self) -> Result<(), String> {
        let Some((from, to)) = &self.asked else {
            return Ok(());
        };
        let stands = self.plane.spec();
        let [from, to] = [from, to].map(|asked| with_numbers_of(asked, stands));
        let (from, to) = (&from, &to);
        if *stands != *from && *stands != *to {
            return Err(format!("neither the one nor the other stands: {stands:?}"));
        }
        if self.faults == 0 && stands != to && !self.has_tried {
            return Err("it was taken back although nothing went wrong".to_owned());
        }
        if self.barred.is_some() && stands != from {
            return Err("it stands, and Cart cannot begin there".to_owned());
        }
        let mut wanted: BTreeMap<Name, BTreeSet<&Name>> = BTreeMap::new();
        let mut places: BTreeMap<&Name, BTreeSet<Name>> = BTreeMap::new();
        for group in &stands.groups {
            for replica in group.replica_names() {
                for component in &group.components {
                    places.entry(component).or_default().insert(replica.clone());
                }
                wanted.insert(replica, group.components.iter().collect());
            }
        }
        let runs = |process: &'_ Process| -> BTreeSet<Name> {
            let states = process.components.iter();
            let ready = states.filter(|(_, state)| **state != ComponentState::Stopped);
            ready.map(|(component, _)| component.clone()).collect()
        };
        let found: BTreeMap<Name, BTreeSet<Name>> = self
            .processes
            .iter()
            .map(|(replica, process)| (replica.clone(), runs(process)))
            .collect();
        let same = found.len() == wanted.len()
            && found.iter().all(|(replica, components)| {
                wanted
                    .get(replica)
                    .is_some_and(|wanted| wanted.iter().copied().eq(components))
            });
        if !same {
            return Err(format!(
                "{} is to run, and there is {found:?}",
                stands.topology
            ));
        }
        for (component, replicas) in places {
            let named = self.published.replicas(component.as_str()).iter();
            let named: BTreeSet<Name> = named.map(|address| address.replica.clone()).collect();
            if named != replicas {
                return Err(format!(
                    "{component} is named in {named:?}, and is in {replicas:?}"
                ));
            }
        }
        let made =
            |notice: &&Notice| matches!(notice, Notice::Reshaped { .. } | Notice::Scaled { .. });
        let failed = |notice: &&Notice| matches!(notice, Notice::ChangeFailed { .. });
        let made = self.notices.iter().filter(made).count();
        let failed = self.notices.iter().filter(failed).count();
        let told = (made, failed);
        if self.restarts {
            return Ok(());
        }
        if self.scales {
            return self.verdict_of_scale(from, stands == to, told);
        }
        let right = match (from == to, self.controls > 0, stands == to) {
            (true, _, _) => (0, 0),
            // Who has asked is gone with the control plane that he asked.
            (false, true, _) => return Ok(()),
            // It had begun in its new place, and something has kept it from doing that once more.
            (false, false, true) if self.alone && self.faults > 0 && self.is_unsettled() => (0, 1),
            (false, false, true) => (1, 0),
            (false, false, false) => (0, 1),
        };
        match told == right {
            true => Ok(()),
            false => Err(format!("people were told {told:?}, and not {right:?}")),
        }
    }
}
