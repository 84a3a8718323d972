//! Why a replica is not ready, or not stopped, in a sentence for people.

use std::time::{Duration, Instant};

use anylith_core::Name;
use anylith_wire::control::ComponentState;

use crate::{
    life::Life,
    listener::ListenerSocket,
    replica::Replica,
    run::{Illness, Run},
    timing::Timing,
    view::View,
};

/// What keeps `replica`; `None` if nothing does, or nothing that lasts.
pub(crate) fn about(replica: &Replica, view: View<'_>) -> Option<String> {
    match &replica.life {
        Life::Due => Some("waits for the sockets of its listeners".to_owned()),
        Life::Awaited => Some("waits for its process, which is started elsewhere".to_owned()),
        Life::Adopting { .. } => Some("waits to be heard of again".to_owned()),
        Life::Starting { run, .. } | Life::Serving { run, .. } if run.pulse.is_silent() => {
            Some(silent(run, view.timing))
        }
        Life::Serving { run, .. } if !run.ill.is_empty() => Some(unhealthy(run, view)),
        Life::Starting { run, .. } if !run.connected => {
            Some("its process has not connected yet".to_owned())
        }
        Life::Starting { run, .. } => waiting(replica, run, view),
        Life::Serving { run, .. } if !replica.coming.is_empty() => waiting(replica, run, view),
        Life::Draining { run, until, .. } => draining(replica, run, *until, view),
        Life::Backoff { retry_at } => {
            let failure = replica.last_failure.as_ref()?;
            let wait = retry_at.saturating_duration_since(view.now);
            let times = match replica.failures {
                1 => "once".to_owned(),
                many => format!("{many} times in a row"),
            };
            Some(format!(
                "failed {times}, the next start is in {wait:.1?}: {failure}"
            ))
        }
        Life::Spawning | Life::Serving { .. } | Life::Dying { .. } | Life::Stopped => None,
    }
}

/// That `replica` was not ready in time, and what keeps it.
pub(crate) fn not_ready(replica: &Name, view: View<'_>) -> String {
    let found = view.replicas.get(replica);
    let reason = found.and_then(|replica| {
        // Between two attempts nothing keeps it, and what it died of tells why it is late.
        let died_of = || {
            Some(format!(
                "it failed before: {}",
                replica.last_failure.as_ref()?
            ))
        };
        about(replica, view).or_else(died_of)
    });
    let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
    format!(
        "{replica} was not ready within {:?}{reason}",
        view.timing.ready
    )
}

fn silent(run: &Run, timing: &Timing) -> String {
    if run.pulse.is_traced() {
        return "gives no sign of life, since a debugger holds it; it gets no calls".to_owned();
    }
    let silence = run.pulse.silence(timing);
    format!("has given no sign of life for {silence:?}; it gets no calls until it does")
}

/// `Cart is unhealthy, for 7 s: the database is gone; others are called`.
fn unhealthy(run: &Run, view: View<'_>) -> String {
    let about = |(component, ill): (&Name, &Illness)| {
        let ill_for = view.now.saturating_duration_since(ill.since).as_secs();
        let addresses = view.directory.replicas(component.as_str());
        let is_called = addresses.iter().any(|one| one.endpoint == run.endpoint);
        let what_follows = match is_called {
            true => "it is called all the same, since no other replica is healthy",
            false => "other replicas are called",
        };
        let reason = match ill.reason.as_str() {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        format!("{component} is unhealthy, for {ill_for} s{reason}; {what_follows}")
    };
    let lines: Vec<String> = run.ill.iter().map(about).collect();
    lines.join("; ")
}

/// `Checkout waits for Payment, Cart; Frontend waits for Checkout`.
fn waiting(replica: &Replica, run: &Run, view: View<'_>) -> Option<String> {
    let taken_here = |name: &Name| {
        let state = run.components.get(name);
        matches!(
            state,
            Some(ComponentState::Ready | ComponentState::Unhealthy)
        )
    };
    let missing =
        |component: &Name| {
            let needed = view.spec.dependencies.get(component);
            let absent = needed.into_iter().flatten().filter(|name| {
                match replica.components.contains(name) {
                    true => !taken_here(name),
                    false => !view.directory.can_call(name.as_str()),
                }
            });
            absent.map(Name::as_str).collect::<Vec<_>>().join(", ")
        };
    let about = |component: &Name| match run.components.get(component) {
        Some(ComponentState::Ready | ComponentState::Unhealthy) => None,
        Some(ComponentState::Starting) => match run.doubts.get(component) {
            Some(reason) => Some(format!("{component} is not healthy yet: {reason}")),
            None => Some(format!("{component} is starting")),
        },
        Some(ComponentState::Draining | ComponentState::Stopped) => None,
        None | Some(ComponentState::Waiting) => match missing(component) {
            missing if missing.is_empty() => None,
            missing => Some(format!("{component} waits for {missing}")),
        },
    };
    let lines: Vec<String> = replica.components.iter().filter_map(about).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// `Checkout finishes 2 calls, for 8 s at most`. Nothing, if it is still called by others.
fn draining(
    replica: &Replica,
    run: &Run,
    until: Option<Instant>,
    view: View<'_>,
) -> Option<String> {
    let finishing = |component: &Name| {
        let draining = run.components.get(component) == Some(&ComponentState::Draining);
        draining.then(|| match run.calls.get(component) {
            Some(1) => format!("{component} finishes 1 call"),
            Some(calls) => format!("{component} finishes {calls} calls"),
            None => format!("{component} finishes its work"),
        })
    };
    let lines: Vec<String> = replica.components.iter().filter_map(finishing).collect();
    let left = |until: Instant| {
        let left = until.saturating_duration_since(view.now);
        format!(
            "for {} s at most",
            (left + Duration::from_millis(999)).as_secs()
        )
    };
    match (lines.is_empty(), until) {
        (false, Some(until)) => Some(format!("{}, {}", lines.join(", "), left(until))),
        (false, None) => Some(lines.join(", ")),
        (true, Some(until)) => Some(format!("is about to end, {}", left(until))),
        (true, None) => visited(replica, view),
    }
}

/// `takes in what waits at web`.
fn visited(replica: &Replica, view: View<'_>) -> Option<String> {
    let shutting =
        |listener: &&Name| matches!(view.listeners[*listener], ListenerSocket::Shutting { .. });
    let own = view.spec.listeners.iter();
    let mut own = own
        .filter(|(_, by)| replica.components.contains(by))
        .map(|(listener, _)| listener);
    let listener = own.find(shutting)?;
    Some(format!("takes in what waits at {listener}"))
}
