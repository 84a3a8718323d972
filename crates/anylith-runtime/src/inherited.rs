//! Sockets that were bound before this process began and passed on to it, as systemd's socket activation does
//! (`LISTEN_FDS`, `LISTEN_FDNAMES`; see `sd_listen_fds(3)`).

use std::{collections::BTreeMap, env, net::TcpListener, sync::Arc};

use anylith_core::Name;
use listenfd::ListenFd;

/// Takes the sockets by their names. A socket without a name goes to the one listener of `expected`, if there is
/// just one.
pub(crate) fn listeners(expected: &[Name]) -> BTreeMap<Name, Arc<TcpListener>> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names
        .split(':')
        .map(|name| name.strip_suffix(".socket").unwrap_or(name));
    let mut passed = ListenFd::from_env();
    let mut listeners = BTreeMap::new();
    for index in 0..passed.len() {
        let named = names
            .next()
            .and_then(|name| expected.iter().find(|it| **it == *name));
        let name = match (named, expected) {
            (Some(name), _) => name,
            (None, [only]) => only,
            (None, _) => continue,
        };
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
