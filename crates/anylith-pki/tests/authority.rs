//! What an authority keeps, and from whom.

#![expect(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

use anylith_core::Name;
use anylith_pki::{Authority, AuthorityError, Lifetimes, Subject};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn subject() -> Subject {
    Subject {
        app: name("shop"),
        replica: name("Cart-1"),
        group: name("Cart"),
        components: vec![name("Cart")],
    }
}

fn open(folder: &Path, now: SystemTime) -> Authority {
    Authority::open(folder, name("shop"), Lifetimes::default(), now).unwrap()
}

#[test]
fn it_is_made_on_first_use_and_kept_where_nobody_else_can_look() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("deep/authority");
    let now = SystemTime::now();
    let first = open(&folder, now);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("authority.json")), 0o600);
    assert_eq!(open(&folder, now).roots(), first.roots(), "found again");
    // One that somebody has opened is closed.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    open(&folder, now);
    assert_eq!(mode(&folder), 0o700);
}

#[test]
fn what_is_damaged_is_named_without_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("authority.json"), "[\n\"hunter2\"]").unwrap();
    let failed = Authority::open(
        folder.path(),
        name("shop"),
        Lifetimes::default(),
        SystemTime::now(),
    );
    let said = anylith_core::with_causes(&failed.unwrap_err());
    assert!(
        said.contains("authority.json is damaged in line 2"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn nothing_that_it_prints_of_itself_is_a_key() {
    let authority = Authority::new(name("shop"), Lifetimes::default(), SystemTime::now()).unwrap();
    let identity = authority.issue(&subject(), SystemTime::now()).unwrap();
    assert!(identity.key.contains("PRIVATE KEY"));
    let secret = identity.key.lines().nth(1).unwrap();
    let printed = format!("{authority:?} {identity:?} {identity:#?}");
    assert!(
        !printed.contains("PRIVATE KEY") && !printed.contains(secret),
        "{printed}"
    );
}

#[test]
fn the_next_root_is_known_before_it_signs_and_the_old_one_goes_when_its_time_is_over() {
    let now = SystemTime::now();
    let mut authority = Authority::new(name("shop"), Lifetimes::default(), now).unwrap();
    let roots = |authority: &Authority| authority.roots().matches("BEGIN CERTIFICATE").count();
    assert!(!authority.tend(now + 300 * DAY).unwrap(), "there is time");
    assert!(authority.tend(now + 400 * DAY).unwrap());
    assert_eq!(roots(&authority), 2);
    assert!(!authority.tend(now + 400 * DAY).unwrap(), "one is enough");
    let identity = authority.issue(&subject(), now + 400 * DAY).unwrap();
    assert_eq!(identity.roots, authority.roots());
    assert!(authority.tend(now + 731 * DAY).unwrap());
    assert_eq!(roots(&authority), 1);
}

/// Where no byte fits: the next thing that is written to `folder` fails, and what comes after it does not.
fn fill(folder: &Path) {
    std::os::unix::fs::symlink("/dev/full", folder.join("authority.json.new")).unwrap();
}

#[test]
fn one_that_is_there_is_read_where_nothing_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, now) = (folder.path(), SystemTime::now());
    let first = open(folder, now);
    fill(folder);
    // Its next root is due.
    let later = now + 400 * DAY;
    let mut authority = open(folder, later);
    assert_eq!(authority.roots(), first.roots());
    let failed = authority.tend(later).unwrap_err();
    assert!(matches!(failed, AuthorityError::Unkept { .. }), "{failed}");
    assert_eq!(authority.roots(), first.roots(), "all is as it was");
    assert_eq!(open(folder, later).roots(), first.roots());
    authority.issue(&subject(), later).unwrap();
    assert!(authority.tend(later).unwrap(), "there is room again");
    assert_eq!(open(folder, later).roots(), authority.roots());
}

#[test]
fn one_that_could_not_be_written_is_kept_later() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, now) = (folder.path(), SystemTime::now());
    fill(folder);
    let failed = Authority::open(folder, name("shop"), Lifetimes::default(), now).unwrap_err();
    assert!(matches!(failed, AuthorityError::Unkept { .. }), "{failed}");
    let mut authority = Authority::new(name("shop"), Lifetimes::default(), now).unwrap();
    fill(folder);
    authority.keep_in(folder).unwrap_err();
    authority.keep_in(folder).unwrap();
    assert_eq!(open(folder, now).roots(), authority.roots());
}
