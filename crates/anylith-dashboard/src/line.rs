//! One connection, as those see it who answer its requests.

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::Notify;

/// One connection, as those see it who answer its requests.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    local: SocketAddr,
    cut: Arc<Notify>,
}

impl Line {
    pub(crate) fn new(local: SocketAddr) -> Self {
        let cut = Arc::default();
        Self { local, cut }
    }

    /// The address at which it came in.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Closes it, whatever is still to be sent: the other side does not read.
    pub(crate) fn hang_up(&self) {
        self.cut.notify_one();
    }

    /// Resolves when it is to be closed.
    pub(crate) async fn cut(&self) {
        self.cut.notified().await;
    }
}
