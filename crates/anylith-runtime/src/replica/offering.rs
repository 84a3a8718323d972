//! Keeps callers told which components of the replica take calls.

use std::sync::{Arc, Weak};

use anylith_rpc::Server;
use tokio::sync::watch;

use super::States;
use crate::task::Task;

/// The endpoints of a replica, at which callers are told whenever a component comes to take calls, or takes none.
pub(super) struct Offering {
    pub(super) servers: Arc<Vec<Server>>,
    _telling: Option<Task<()>>,
}

impl Offering {
    pub(super) fn new(servers: Vec<Server>, states: watch::Receiver<States>) -> Self {
        let servers = Arc::new(servers);
        // Where nobody calls there may be no runtime, either.
        let telling =
            (!servers.is_empty()).then(|| Task::spawn(tell(Arc::downgrade(&servers), states)));
        Self {
            servers,
            _telling: telling,
        }
    }
}

/// Ends with the replica, whose endpoints close with it.
async fn tell(servers: Weak<Vec<Server>>, mut states: watch::Receiver<States>) {
    while states.changed().await.is_ok() {
        let Some(servers) = servers.upgrade() else {
            return;
        };
        servers.iter().for_each(Server::offer);
    }
}
