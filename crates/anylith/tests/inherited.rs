//! A process that is given sockets which others have bound, as systemd gives them.

#![expect(missing_docs, reason = "a test has no readers of its documentation")]
#![expect(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::{
    env, io,
    io::Write as _,
    net::{SocketAddr, TcpListener},
    process::{Command, Stdio},
    sync::Arc,
};

use anylith::{Listener, Stopping};
use command_fds::{CommandFdExt as _, FdMapping};

/// Says at which socket it is.
#[derive(anylith::Component)]
#[component(serve)]
pub struct Web {
    #[listener]
    web: Listener,
}

impl Web {
    async fn serve(self: Arc<Self>, _: Stopping) -> Result<(), io::Error> {
        let address = self.web.address()?;
        writeln!(io::stderr().lock(), "at {address};")?;
        // That is all there is to know.
        std::process::exit(0);
    }
}

anylith::app! { pub Site = "site" { Web } }

/// Not a test: the process that the tests below start.
#[tokio::test]
#[ignore = "it is started by others"]
async fn process() {
    Site::run().await;
}

/// Where the listener is of a process that inherits sockets with `names`, and where those are.
fn inherited(names: &[&str]) -> (String, Vec<SocketAddr>) {
    let sockets = names
        .iter()
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let sockets: Vec<TcpListener> = sockets.collect();
    let addresses = sockets.iter().map(|it| it.local_addr().unwrap());
    let addresses = addresses.collect();
    let mappings = sockets.into_iter().zip(3..).map(|(socket, child_fd)| {
        let parent_fd = socket.into();
        FdMapping {
            parent_fd,
            child_fd,
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["process", "--exact", "--ignored", "--nocapture"])
        .current_dir(&folder)
        .env("LISTEN_FDS", names.len().to_string())
        .env("LISTEN_FDNAMES", names.join(":"))
        .env_remove("LISTEN_PID")
        .stdin(Stdio::null())
        .fd_mappings(mappings.collect())
        .unwrap()
        .output()
        .unwrap();
    (
        String::from_utf8_lossy(&output.stderr).into_owned(),
        addresses,
    )
}

#[test]
fn a_socket_that_bears_the_name_of_the_listener_is_the_one() {
    for (names, right) in [(["admin", "web"], 1), (["web", "admin"], 0)] {
        let (said, addresses) = inherited(&names);
        let wanted = format!("at {};", addresses[right]);
        assert!(said.contains(&wanted), "{wanted} is missing in {said}");
    }
}

#[test]
fn a_socket_without_a_listeners_name_goes_to_the_only_listener() {
    for names in [["site.socket"], [""]] {
        let (said, addresses) = inherited(&names);
        let wanted = format!("at {};", addresses[0]);
        assert!(said.contains(&wanted), "{wanted} is missing in {said}");
    }
}
