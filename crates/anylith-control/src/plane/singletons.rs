//! Components of which there is one at a time, as the control plane carries out what their seats ask for.

use std::time::Instant;

use anylith_core::Name;
use anylith_wire::control::Handed;

use super::{ControlPlane, Phase, change::UnderWay};
use crate::{action::Action, homes::Homes, input::Input, spec::Spec};

impl ControlPlane {
    /// Sees who has what of which there is one, after an event.
    pub(super) fn look_at_seats(&mut self) {
        let adopts = matches!(self.phase, Phase::Adopting { .. });
        let may_go_back = self.may_go_back();
        let homes = homes_of(&self.spec, self.change.as_ref());
        self.seats.look(homes, &self.replicas, may_go_back, adopts);
        self.tell_seats_apart();
    }

    /// Whether a change is under way after which what does not begin in one place begins in another.
    fn may_go_back(&self) -> bool {
        self.change.as_ref().is_some_and(UnderWay::may_go_back)
    }

    /// Has each replica know what it has of which there is one.
    pub(super) fn tell_seats_apart(&mut self) {
        let homes = homes_of(&self.spec, self.change.as_ref());
        self.seats.tell_apart(homes, &mut self.replicas);
    }

    /// A component hands its state over to the one that takes its place.
    pub(super) fn handed_over(
        &mut self,
        replica: &Name,
        component: &Name,
        handed: (Option<Handed>, Option<String>),
    ) {
        if let Some(replica) = self.replicas.get(replica) {
            self.seats.handed_over(replica, component, handed);
        }
    }

    /// Has those make room that are to go; returns what to tell them once the directory says so.
    pub(super) fn make_room(&mut self, now: Instant) -> Vec<Action> {
        // Until all have been heard of, nobody knows who else is there.
        if !matches!(self.phase, Phase::Running(_)) {
            return Vec::new();
        }
        let mut asks = Vec::new();
        let homes = homes_of(&self.spec, self.change.as_ref());
        for (replica, component) in self.seats.make_room(homes, &self.replicas) {
            self.tell(&replica, Input::Yield { component }, now, &mut asks);
        }
        self.tell_seats_apart();
        asks
    }

    /// Lets those begin whose turn it is.
    pub(super) fn grant_seats(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Running(_)) {
            let homes = homes_of(&self.spec, self.change.as_ref());
            let may_go_back = self.may_go_back();
            let when = (&self.timing, now);
            let revived = self
                .seats
                .revive(homes, &self.replicas, may_go_back, when, actions);
            for (replica, component) in revived {
                self.tell(&replica, Input::Revive { component }, now, actions);
            }
            let homes = homes_of(&self.spec, self.change.as_ref());
            actions.extend(self.seats.grant(homes, &self.replicas));
            self.tell_seats_apart();
        }
    }

    /// Those of `components` of which there is one at a time: a replica is to wait with them.
    pub(super) fn held_back(&self, components: &[Name]) -> Vec<Name> {
        let components = components.iter();
        let held = components.filter(|component| self.spec.singletons.contains_key(*component));
        held.cloned().collect()
    }
}

/// Where each component of which there is one at a time is to run now.
fn homes_of<'a>(spec: &'a Spec, change: Option<&'a UnderWay>) -> Homes<'a> {
    let next = match change {
        Some(UnderWay::Reshape(reshape)) => reshape.come_to(),
        Some(UnderWay::Roll(_) | UnderWay::Scale(_) | UnderWay::Upgrade(_)) | None => &[],
    };
    Homes { spec, next }
}
