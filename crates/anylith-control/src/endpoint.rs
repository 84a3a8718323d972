//! Where replicas answer.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use anylith_core::{Endpoint, Fingerprint, Name};
use anylith_topology::Transport;

use crate::spec::Spec;

/// The longest path of a Unix socket on Linux, in bytes, without the zero at its end.
const SOCKET_PATH_BYTES: usize = 107;

/// Where a replica answers: a socket of its own for each start, so that nobody who means the process of
/// before can reach this one.
pub(crate) fn endpoint(spec: &Spec, sockets: &Path, replica: &Name, incarnation: u64) -> Endpoint {
    match spec.transport {
        Transport::Unix => unix_endpoint(sockets, replica, incarnation),
        // The system chooses the port, and the replica says which in a second hello.
        Transport::Tcp => Endpoint::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
    }
}

fn unix_endpoint(sockets: &Path, replica: &Name, incarnation: u64) -> Endpoint {
    let path = sockets.join(format!("{replica}.{incarnation}.sock"));
    if path.as_os_str().len() <= SOCKET_PATH_BYTES {
        return Endpoint::Unix(path);
    }
    let short = Fingerprint::EMPTY.with(replica.as_str()).0 as u32;
    Endpoint::Unix(sockets.join(format!("{short:08x}.{incarnation}")))
}
