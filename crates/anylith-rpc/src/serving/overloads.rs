//! Says of a component that it gets more calls than it takes.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use anylith_core::{Limits, Name};

use crate::reminder::Reminder;

/// The calls that were refused as too many, of each component of a server.
#[derive(Debug)]
pub(super) struct Overloads {
    limits: Limits,
    refused: Mutex<HashMap<Name, Reminder>>,
}

impl Overloads {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            refused: Mutex::default(),
        }
    }

    /// Counts a call of `component` of `replica` that is refused at `now`, and logs it, if that was not done for a while.
    pub(super) fn refused(&self, replica: &Name, component: &Name, now: Instant) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = match refused.get(component) {
            Some(reminder) => reminder.happened(now),
            None => refused.entry(component.clone()).or_default().happened(now),
        };
        drop(refused);
        if let Some(calls) = calls {
            let setting = self.limits.concurrency_setting(component);
            tracing::warn!(
                %component,
                refused = calls,
                "overloaded: {component} of {replica} has as many calls as `{setting}` lets it take, or more than it can \
                 begin, and refuses others"
            );
        }
    }
}
