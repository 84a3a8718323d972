//! What can be said to an upgrade that is under way.

use anylith_core::Name;
use anylith_wire::control::Steer;

use super::{
    Setback, Upgrade, deaths::Deaths, judgement::Account, vacancies::Vacancies, watch::Watch,
};

impl Upgrade {
    /// Whether `steer` can be said to it now.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub(crate) fn check(&self, steer: Steer) -> Result<(), &'static str> {
        match steer {
            _ if self.settles.is_some() => Err("the upgrade is all but over"),
            Steer::Rollback => Ok(()),
            Steer::Resume if self.rollout.stuck.is_some() => Ok(()),
            Steer::Pause | Steer::Resume if self.rollout.setback.is_some() => {
                Err("the upgrade is being rolled back, which nothing stops")
            }
            Steer::Pause => Ok(()),
            Steer::Resume if self.rollout.paused || self.rollout.canary.is_some() => Ok(()),
            Steer::Resume => Err("the upgrade is not paused"),
            Steer::Unknown => Err("this supervisor does not know what that is"),
        }
    }

    /// Takes what was said to it.
    pub(crate) fn steer(&mut self, steer: Steer) {
        if self.check(steer).is_err() {
            return;
        }
        match steer {
            Steer::Pause => {
                self.rollout.paused = true;
                self.pause_is_told = false;
            }
            Steer::Resume => {
                self.rollout.paused = false;
                self.rollout.canary = None;
                if self.rollout.setback.take().is_some() {
                    self.begin_anew();
                }
            }
            Steer::Rollback => self.turn_back("it was asked for".to_owned(), None),
            Steer::Unknown => {}
        }
    }

    pub(super) fn turn_back(&mut self, why: String, replica: Option<Name>) {
        let setback = Setback { why, replica };
        self.rollout.setback.get_or_insert(setback);
        self.rollout.paused = false;
        self.rollout.stuck = None;
        self.inquiry = None;
        self.unready.clear();
        self.vacancies = Vacancies::default();
    }

    /// Somebody wants the new build all the same: what it has done until now does not count.
    fn begin_anew(&mut self) {
        self.rollout.stuck = None;
        self.account = Account::default();
        self.deaths = Deaths::default();
        self.vacancies = Vacancies::default();
        self.unready.clear();
        (self.first, self.all) = (Watch::NotYet, Watch::NotYet);
    }
}
