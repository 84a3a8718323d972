//! Sockets that were bound before this process began and passed on to it, as systemd's socket activation does
//! (`LISTEN_FDS`, `LISTEN_FDNAMES`; see `sd_listen_fds(3)`).

use std::{collections::BTreeMap, env, net::TcpListener, sync::Arc};

use anylith_core::Name;
use anylith_wire::control::RELAY_ENDS;
use listenfd::ListenFd;

use crate::relay::Relay;

/// What a process was given for the listeners that it serves.
#[derive(Debug, Default, Clone)]
pub(crate) struct Inherited {
    pub(crate) listeners: BTreeMap<Name, Arc<TcpListener>>,
    /// The supervisor gives them, and systemd does not.
    pub(crate) relays: BTreeMap<Name, Arc<Relay>>,
}

impl Inherited {
    /// Takes the sockets by their names. If none bears an expected name, and just one is expected, it gets the first
    /// socket: a unit of systemd gives its sockets names that say nothing of listeners unless it is told to.
    pub(crate) fn take(expected: &[Name]) -> Self {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<&str> = names
            .split(':')
            .map(|name| name.strip_suffix(".socket").unwrap_or(name))
            .collect();
        let mut passed = ListenFd::from_env();
        let mut inherited = Self {
            listeners: listeners(&mut passed, &names, expected),
            relays: BTreeMap::new(),
        };
        for listener in inherited.listeners.keys() {
            let mut end = |called| {
                let name = format!("{listener}{called}");
                let index = names.iter().position(|one| *one == name)?;
                let end = passed.take_unix_datagram(index);
                end.unwrap_or_else(|error| {
                    tracing::warn!(target: "anylith", %listener, %error, "an inherited relay is none");
                    None
                })
            };
            if let [Some(give), Some(take)] = RELAY_ENDS.map(&mut end) {
                let relay = Arc::new(Relay::new(give, take));
                inherited.relays.insert(listener.clone(), relay);
            }
        }
        inherited
    }
}

fn listeners(
    passed: &mut ListenFd,
    names: &[&str],
    expected: &[Name],
) -> BTreeMap<Name, Arc<TcpListener>> {
    let mut names = names.iter();
    let named = (0..passed.len()).filter_map(|index| {
        let name = names.next()?;
        Some((index, expected.iter().find(|it| **it == **name)?))
    });
    let mut taken: Vec<(usize, &Name)> = named.collect();
    if let ([], [only]) = (&taken[..], expected) {
        taken.extend((0..passed.len()).map(|index| (index, only)));
    }
    let mut listeners = BTreeMap::new();
    for (index, name) in taken {
        if listeners.contains_key(name) {
            continue;
        }
        match passed.take_tcp_listener(index) {
            Ok(Some(socket)) => {
                listeners.insert(name.clone(), Arc::new(socket));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(target: "anylith", listener = %name, %error, "an inherited socket is no TCP listener");
            }
        }
    }
    listeners
}
