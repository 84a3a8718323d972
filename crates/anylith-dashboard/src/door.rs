//! Where the dashboard listens, and the thread that serves it.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    thread::{self, JoinHandle},
};

use anylith_supervisor::RunFolder;
use tokio::{runtime::Builder, sync::oneshot};

use crate::{
    api::{self, Api},
    connection,
    control::Control,
    hub::Hub,
    invitation::Invitation,
    premises::Premises,
    token::Token,
};

/// Threads for what blocks: reading logs. More readers at a time wait for each other.
const BLOCKING_THREADS: usize = 4;

/// A socket for the dashboard, which nobody answers yet.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

/// A dashboard that is served until this is dropped.
#[derive(Debug)]
pub struct Dashboard {
    invitation: Invitation,
    folder: RunFolder,
    /// Dropped, it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Listens at `address`; with port 0 the system chooses one.
    ///
    /// # Errors
    ///
    /// If nobody can listen there.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the application whose supervisor is in `folder`, and writes there where, and the token for it.
    ///
    /// # Errors
    ///
    /// If the system has no randomness, thread or descriptor left, or the run folder cannot be written.
    pub fn open(self, folder: &RunFolder, premises: Premises) -> io::Result<Dashboard> {
        let invitation = Invitation {
            url: url(self.address),
            token: Token::random()?,
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let token = invitation.token.clone();
        let control = Control::new(folder.clone());
        let listener = self.listener;
        let thread = thread::Builder::new().name("dashboard".to_owned());
        let thread = thread.spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                    return;
                };
                let hub = Hub::new(control.clone());
                let router = api::router(Api::new(control, premises, hub.clone()), token);
                tokio::select! {
                    () = connection::accept(listener, router) => {}
                    () = hub.watch() => {}
                    _ = stopped => {}
                }
            });
            // Who still waits for a change is hung up on, and the change goes on.
            runtime.shutdown_background();
        });
        let dashboard = Dashboard {
            invitation,
            folder: folder.clone(),
            stop: Some(stop),
            thread: Some(thread?),
        };
        dashboard.invitation.write(folder)?;
        Ok(dashboard)
    }
}

/// Where people find what listens at `address`.
fn url(address: SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("http://localhost:{}", address.port()),
        false => format!("http://{address}"),
    }
}

impl Dashboard {
    /// Where it is, and the token for it.
    pub fn invitation(&self) -> &Invitation {
        &self.invitation
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        Invitation::remove(&self.folder);
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Where it has panicked, all of it is over, too.
            let _ = thread.join();
        }
    }
}
