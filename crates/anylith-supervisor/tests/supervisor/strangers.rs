//! Who is listened to at the control socket.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
};

use anylith_wire::control::{ENV_CONTROL, ENV_INCARNATION, ENV_REPLICA};

use crate::stage::{Stage, eventually, puppet};

/// Nobody, wherever he is.
const NOBODY: u32 = 65534;

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn another_users_process_is_turned_away_and_written_down() {
    if !rustix::process::getuid().is_root() {
        privileged::skip("only root can begin a process of another user");
        return;
    }
    let stage = Stage::micro();
    let supervisor = stage.start_ready().await;
    let before = supervisor.status();
    // The folder keeps him out; here somebody has opened it.
    let folder = stage.folder();
    let temp = folder.path().parent().unwrap();
    for folder in [temp, folder.path()] {
        open_to_all(folder, 0o755);
    }
    open_to_all(&folder.control_socket(), 0o666);
    let program = temp.join("puppet");
    fs::copy(puppet(), &program).unwrap();
    open_to_all(&program, 0o755);
    let mut stranger = Command::new(&program)
        .uid(NOBODY)
        .env(ENV_CONTROL, folder.control_socket())
        .env(ENV_REPLICA, "Stock-1")
        .env(ENV_INCARNATION, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let told = || fs::read_to_string(folder.own_log()).unwrap_or_default();
    let words = "user 65534 was turned away from the control socket";
    eventually("it is written down", || told().contains(words)).await;
    // He goes on trying, and that is said once.
    assert_eq!(told().matches(words).count(), 1);
    assert_eq!(supervisor.status(), before);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    supervisor.stop().await.unwrap();
}
