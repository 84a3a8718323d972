//! Sockets that were bound before this process began and passed on to it, as systemd's socket activation does
//! (`LISTEN_FDS`, `LISTEN_FDNAMES`; see `sd_listen_fds(3)`).

use std::{collections::BTreeMap, env, net::TcpListener, sync::Arc};

use anylith_core::Name;
use listenfd::ListenFd;

/// Takes the sockets by their names. If none bears an expected name, and just one is expected, it gets the first
/// socket: a unit of systemd gives its sockets names that say nothing of listeners unless it is told to.
pub(crate) fn listeners(expected: &[Name]) -> BTreeMap<Name, Arc<TcpListener>> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names
        .split(':')
        .map(|name| name.strip_suffix(".socket").unwrap_or(name));
    let mut passed = ListenFd::from_env();
    let named = (0..passed.len()).filter_map(|index| {
        let name = names.next()?;
        Some((index, expected.iter().find(|it| **it == *name)?))
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
