//! Tells systemd how the process fares, as `sd_notify(3)` has it: a datagram for each piece of news.

use std::{
    env,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process,
    time::Duration,
};

use anylith_wire::control::ComponentState;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::replica::States;

/// Where systemd listens for news of this process, and how often it wants a sign of life.
#[derive(Debug)]
pub(crate) struct Notifier {
    socket: UnixDatagram,
    address: SocketAddr,
    pulse: Option<Duration>,
}

impl Notifier {
    /// What the environment says; `None` where nobody listens.
    pub(crate) fn from_env() -> Option<Self> {
        let path = env::var("NOTIFY_SOCKET")
            .ok()
            .filter(|path| !path.is_empty())?;
        let address = match path.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(&path),
        };
        let reached = address.and_then(|address| {
            let socket = UnixDatagram::unbound()?;
            // News are not worth waiting for who reads them.
            socket.set_nonblocking(true)?;
            Ok((socket, address))
        });
        let (socket, address) = reached
            .inspect_err(|error| tracing::warn!(target: "anylith", path, %error, "NOTIFY_SOCKET cannot be used"))
            .ok()?;
        Some(Self {
            socket,
            address,
            pulse: pulse(
                env::var("WATCHDOG_USEC").ok().as_deref(),
                env::var("WATCHDOG_PID").ok().as_deref(),
            ),
        })
    }

    /// Tells how far `states` have come, and gives signs of life, for as long as the replica lives.
    pub(crate) async fn follow(self, mut states: watch::Receiver<States>) {
        let mut told = Told::Nothing;
        let mut next = Instant::now();
        loop {
            let news = told.on(&states.borrow_and_update());
            if let Some(news) = news {
                self.say(&news);
            }
            let pulse = async {
                match self.pulse {
                    Some(_) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = states.changed() => if changed.is_err() { return },
                () = pulse => {
                    self.say("WATCHDOG=1");
                    next = Instant::now() + self.pulse.unwrap_or_default();
                }
            }
        }
    }

    fn say(&self, news: &str) {
        if let Err(error) = self.socket.send_to_addr(news.as_bytes(), &self.address) {
            tracing::warn!(target: "anylith", news, %error, "systemd cannot be told");
        }
    }
}

/// How often to give a sign of life: twice in the time after which it is missed.
fn pulse(microseconds: Option<&str>, of: Option<&str>) -> Option<Duration> {
    // Who inherited the variables of another process is not meant.
    if of.is_some_and(|pid| pid.parse() != Ok(process::id())) {
        return None;
    }
    let microseconds: u64 = microseconds?.parse().ok()?;
    (microseconds > 1).then(|| Duration::from_micros(microseconds / 2))
}

/// What systemd was told last: Nothing → Ready → Stopping. A replica that is stopped early is never ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Ready,
    Stopping,
}

impl Told {
    /// What to tell of `states`, if anything.
    fn on(&mut self, states: &States) -> Option<String> {
        let is = |wanted: ComponentState| states.values().filter(move |it| it.state == wanted);
        let all = states.len();
        let ready = is(ComponentState::Ready).count();
        let over = is(ComponentState::Draining)
            .chain(is(ComponentState::Stopped))
            .count();
        match self {
            Self::Nothing | Self::Ready if over > 0 => {
                *self = Self::Stopping;
                Some("STOPPING=1\nSTATUS=draining".to_owned())
            }
            Self::Nothing if ready == all => {
                *self = Self::Ready;
                Some("READY=1\nSTATUS=ready".to_owned())
            }
            Self::Nothing => {
                let waiting: Vec<&str> = states
                    .iter()
                    .filter(|(_, it)| it.state != ComponentState::Ready)
                    .map(|(name, _)| name.as_str())
                    .collect();
                Some(format!("STATUS=not ready yet: {}", waiting.join(", ")))
            }
            Self::Ready | Self::Stopping => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use anylith_core::Name;

    use super::*;

    fn states(states: &[(&str, ComponentState)]) -> States {
        let named =
            |(name, state): &(&str, ComponentState)| (Name::new(name).unwrap(), (*state).into());
        states.iter().map(named).collect()
    }

    #[test]
    fn systemd_hears_of_ready_once_all_are_and_of_stopping_with_the_first_that_drains() {
        use ComponentState::{Draining, Ready, Starting};
        let mut told = Told::Nothing;
        let said = told.on(&states(&[("A", Ready), ("B", Starting)]));
        assert_eq!(said.as_deref(), Some("STATUS=not ready yet: B"));
        let all = states(&[("A", Ready), ("B", Ready)]);
        assert_eq!(told.on(&all).as_deref(), Some("READY=1\nSTATUS=ready"));
        assert_eq!(told.on(&all), None);
        let draining = states(&[("A", Draining), ("B", Ready)]);
        assert!(told.on(&draining).unwrap().starts_with("STOPPING=1"));
        assert_eq!(told.on(&draining), None);
    }

    #[test]
    fn signs_of_life_come_twice_as_often_as_asked_and_only_of_the_process_that_was_asked() {
        let own = process::id().to_string();
        assert_eq!(
            pulse(Some("4000000"), Some(&own)),
            Some(Duration::from_secs(2))
        );
        assert_eq!(pulse(Some("4000000"), None), Some(Duration::from_secs(2)));
        assert_eq!(pulse(Some("4000000"), Some("1")), None);
        assert_eq!(pulse(None, None), None);
        assert_eq!(pulse(Some("x"), None), None);
    }
}
