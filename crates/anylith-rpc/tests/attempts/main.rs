//! A table of attempts to call a replica that nobody may make: each is refused, counted, and reaches no component.
//!
//! `cargo test -p anylith-rpc --test attempts -- --nocapture` prints it.

#![expect(clippy::unwrap_used, reason = "a test fails where it is surprised")]

mod attacker;
#[path = "../support/mod.rs"]
mod support;

use std::{
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, SystemTime},
};

use anylith_core::{Counters, Endpoint, Fingerprint, Limits};
use anylith_pki::{Authority, Identity, Subject};
use anylith_rpc::{Membership, Network, Server};
use rustls::{
    crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
    pki_types::{CertificateDer, pem::PemObject as _},
    version::{TLS12, TLS13},
};

use attacker::{Claim, Means, Stolen, attack};
use support::{Counts, ECHO, Echo, Folder, authority, directory, identity, making, name, soon};

/// A replica that serves Echo, on which Caller is dependent and nobody else.
struct Fortress {
    network: Network,
    _server: Server,
    endpoint: Endpoint,
    counts: Arc<Counts>,
}

impl Fortress {
    fn at(endpoint: &Endpoint, authority: &Authority) -> Self {
        let network = Network::of(
            Membership {
                replica: name("Echo-1"),
                components: vec![name("Echo")],
                callers: Some([(name("Echo"), vec![name("Caller")])].into()),
            },
            Limits::default(),
        );
        let own = identity(authority, "shop", "Echo-1", &["Echo"]);
        network.set_identity(&own).unwrap();
        let counts = Arc::new(Counts::default());
        let service = Arc::new(Echo {
            component: name("Echo"),
            fingerprint: Fingerprint(1),
            counts: counts.clone(),
        });
        let server = network.serve(endpoint, service).unwrap();
        Self {
            endpoint: server.endpoint(),
            network,
            _server: server,
            counts,
        }
    }

    fn at_tcp(authority: &Authority) -> Self {
        Self::at(&"tcp:127.0.0.1:0".parse().unwrap(), authority)
    }

    /// Makes an attempt, which must raise the one count that `counter` reads, and prints what came of it.
    async fn withstand(&self, what: &str, means: Means, claim: &Claim, counter: Counter) {
        let (before, endpoint, claimed) = (
            self.network.counters(),
            self.endpoint.clone(),
            claim.clone(),
        );
        let attempt = tokio::task::spawn_blocking(move || attack(&endpoint, means, &claimed));
        let outcome = soon(attempt).await.unwrap();
        // He may hear of it before it is counted.
        soon(async {
            while counter.of(&self.network.counters()) == counter.of(&before) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        let now = self.network.counters();
        println!("{what:<48} | {outcome:<62} | {}", counter.name());
        assert_eq!(counter.of(&now), counter.of(&before) + 1, "{what}");
        assert_eq!(total(&now), total(&before) + 1, "{what}: {now:?}");
        assert_eq!(
            self.counts.begun.load(SeqCst),
            0,
            "{what} reached the component"
        );
        for secret in ["Echo", "Caller", "127.0.0.1"] {
            assert!(
                !outcome.contains(secret),
                "{what} learned {secret}: {outcome}"
            );
        }
    }
}

/// One of the counts.
#[derive(Clone, Copy)]
enum Counter {
    Unauthenticated,
    Denied,
    Misbehaved,
}

impl Counter {
    fn of(self, counters: &Counters) -> u64 {
        match self {
            Self::Unauthenticated => counters.unauthenticated,
            Self::Denied => counters.denied,
            Self::Misbehaved => counters.misbehaved,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::Misbehaved => "misbehaved",
        }
    }
}

fn total(counters: &Counters) -> u64 {
    counters.unauthenticated + counters.denied + counters.misbehaved + counters.crowded
}

fn claim(replica: &str, components: &[&str]) -> Claim {
    Claim {
        replica: name(replica),
        components: components.iter().map(|it| name(it)).collect(),
    }
}

fn tls(certificate: impl Into<Stolen>) -> Means {
    Means::Tls {
        version: &TLS13,
        certificate: Some(certificate.into()),
    }
}

/// What `authority` issues to Caller-1 at another time.
fn issued(authority: &Authority, at: SystemTime) -> Identity {
    let subject = Subject {
        app: name("shop"),
        replica: name("Caller-1"),
        group: name("Caller"),
        components: vec![name("Caller")],
    };
    authority.issue(&subject, at).unwrap()
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn every_attempt_over_tcp_is_refused_counted_and_reaches_nothing() {
    use Counter::{Denied, Unauthenticated};
    let ours = authority("shop");
    let fortress = Fortress::at_tcp(&ours);
    let now = SystemTime::now();
    let caller = claim("Caller-1", &["Caller"]);
    let of = |replica: &str, components: &[&str]| identity(&ours, "shop", replica, components);
    let own = || of("Caller-1", &["Caller"]);
    println!("{:<48} | {:<62} | counted as", "attempt", "what came of it");

    let refused: [(&str, Means, &Claim); 10] = [
        ("a peer that speaks plain text", Means::Plain, &caller),
        (
            "a peer without a certificate",
            Means::Tls {
                version: &TLS13,
                certificate: None,
            },
            &caller,
        ),
        (
            "a certificate of another authority",
            tls(identity(
                &authority("shop"),
                "shop",
                "Caller-1",
                &["Caller"],
            )),
            &caller,
        ),
        (
            "a certificate that has expired",
            tls(issued(&ours, now - 3 * DAY)),
            &caller,
        ),
        (
            "a certificate that is not valid yet",
            tls(issued(&ours, now + 3 * DAY)),
            &caller,
        ),
        (
            "a certificate of another application",
            tls(identity(&ours, "bank", "Caller-1", &["Caller"])),
            &caller,
        ),
        (
            "a certificate without its key",
            tls(Stolen {
                certificates: own().certificates,
                key: own().key,
            }),
            &caller,
        ),
        (
            "a peer that speaks no later TLS than 1.2",
            Means::Tls {
                version: &TLS12,
                certificate: Some(own().into()),
            },
            &caller,
        ),
        (
            "a replica with the certificate of another",
            tls(of("Caller-2", &["Caller"])),
            &caller,
        ),
        (
            "a greeting with a component beyond the certificate",
            tls(of("Ads-1", &["Ads"])),
            &claim("Ads-1", &["Ads", "Caller"]),
        ),
    ];
    for (what, means, claim) in refused {
        fortress
            .withstand(what, means, claim, Unauthenticated)
            .await;
    }
    let ads = claim("Ads-1", &["Ads"]);
    let means = tls(of("Ads-1", &["Ads"]));
    fortress
        .withstand(
            "a call along an edge that the graph lacks",
            means,
            &ads,
            Denied,
        )
        .await;
    let means = tls(of("Ads-1", &["Ads"]));
    fortress
        .withstand(
            "a caller that names no component",
            means,
            &claim("Ads-1", &[]),
            Denied,
        )
        .await;

    // And it is still there for whom it is meant for.
    let (endpoint, means) = (fortress.endpoint.clone(), tls(own()));
    let honest = tokio::task::spawn_blocking(move || attack(&endpoint, means, &caller));
    assert_eq!(soon(honest).await.unwrap(), "ANSWERED");
    assert_eq!(fortress.counts.begun.load(SeqCst), 1);
}

#[tokio::test]
async fn every_attempt_over_a_unix_socket_is_refused_counted_and_reaches_nothing() {
    let folder = Folder::new();
    let fortress = Fortress::at(&folder.socket("echo"), &authority("shop"));
    let ads = claim("Ads-1", &["Ads"]);
    println!("{:<48} | {:<62} | counted as", "attempt", "what came of it");
    let denied = Counter::Denied;
    fortress
        .withstand(
            "a call along an edge that the graph lacks",
            Means::Plain,
            &ads,
            denied,
        )
        .await;
    let means = Means::Tls {
        version: &TLS13,
        certificate: None,
    };
    fortress
        .withstand(
            "TLS, where none is spoken",
            means,
            &ads,
            Counter::Misbehaved,
        )
        .await;
}

/// The program that another user runs: this one, where it finds in its environment whom to attack.
const ENV_ATTACKED: &str = "ANYLITH_TEST_ATTACKED";

#[test]
#[ignore = "it is run by another user, in the test below"]
fn another_user() {
    let endpoint = Endpoint::Unix(std::env::var_os(ENV_ATTACKED).unwrap().into());
    let outcome = attack(&endpoint, Means::Plain, &claim("Caller-1", &["Caller"]));
    println!("outcome: {outcome}.");
}

#[tokio::test]
async fn another_users_process_is_refused_on_an_open_socket_and_kept_out_of_a_closed_folder() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        privileged::skip("only root can run a process of another user");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let socket = folder.path().join("echo.sock");
    let fortress = Fortress::at(&Endpoint::Unix(socket.clone()), &authority("shop"));
    let set_mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(&program, 0o755);
    set_mode(&socket, 0o777);
    set_mode(folder.path(), 0o755);
    let closed = tempfile::tempdir().unwrap();
    set_mode(closed.path(), 0o700);
    let kept = closed.path().join("echo.sock");
    let keep = Fortress::at(&Endpoint::Unix(kept.clone()), &authority("shop"));
    set_mode(&kept, 0o777);
    let attempt = |socket: &Path| {
        let mut command = Command::new(&program);
        command
            .args(["--exact", "another_user", "--ignored", "--nocapture"])
            .current_dir("/")
            .env(ENV_ATTACKED, socket)
            .uid(NOBODY)
            .gid(NOBODY);
        async {
            let output = tokio::task::spawn_blocking(move || command.output());
            let output = soon(output).await.unwrap().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let outcome = text
                .split_once("outcome: ")
                .and_then(|(_, it)| it.split_once(".\n"));
            outcome
                .map(|(outcome, _)| outcome.to_owned())
                .unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
        }
    };
    let outcome = attempt(&socket).await;
    println!(
        "{:<48} | {outcome:<62} | unauthenticated",
        "another user's process, in an open folder"
    );
    assert!(outcome.starts_with("cut off"), "{outcome}");
    assert_eq!(fortress.network.counters().unauthenticated, 1);
    let outcome = attempt(&kept).await;
    println!(
        "{:<48} | {outcome:<62} | (the system kept it out)",
        "another user's process, in a folder with 0700"
    );
    assert_eq!(outcome, "cannot connect: permission denied");
    assert_eq!(total(&keep.network.counters()), 0);
    for fortress in [fortress, keep] {
        assert_eq!(fortress.counts.begun.load(SeqCst), 0);
    }
}

/// The network of a replica called Caller-1, that finds Echo-1 at `endpoint`.
fn caller(own: &Identity, endpoint: &Endpoint) -> Network {
    let membership = Membership {
        components: vec![name("Caller")],
        ..Membership::of(name("Caller-1"))
    };
    // Who cannot reach anybody need not wait for long to say so.
    let limits = Limits {
        reach_timeout_ms: 300,
        ..Limits::default()
    };
    let network = Network::of(membership, limits);
    network.set_identity(own).unwrap();
    network.update(directory(1, &[endpoint]));
    network
}

#[tokio::test]
async fn a_replica_is_called_only_if_its_certificate_says_that_it_is_the_one() {
    let ours = authority("shop");
    let own = identity(&ours, "shop", "Caller-1", &["Caller"]);
    let wrong = [
        (
            identity(&authority("shop"), "shop", "Echo-1", &["Echo"]),
            "an authority that is not believed",
        ),
        (
            identity(&ours, "bank", "Echo-1", &["Echo"]),
            "its certificate is refused",
        ),
        (
            identity(&ours, "shop", "Echo-2", &["Echo"]),
            "Echo-1 was wanted there",
        ),
        (
            identity(&ours, "shop", "Echo-1", &["Ads"]),
            "claims a component",
        ),
    ];
    for (theirs, why) in wrong {
        // It believes the right root, and has been given the wrong certificate.
        let theirs = Identity {
            roots: ours.roots(),
            ..theirs
        };
        // Of the replica that the certificate is for; its greeting says so too, but for the last.
        let replica = if why.starts_with("Echo-1") {
            "Echo-2"
        } else {
            "Echo-1"
        };
        let membership = Membership::of(name(replica));
        let network = Network::of(membership, Limits::default());
        network.set_identity(&theirs).unwrap();
        let counts = Arc::new(Counts::default());
        let service = Arc::new(Echo {
            component: name("Echo"),
            fingerprint: Fingerprint(1),
            counts: counts.clone(),
        });
        let server = network
            .serve(&"tcp:127.0.0.1:0".parse().unwrap(), service)
            .unwrap();
        let calling = caller(&own, &server.endpoint());
        let callee = calling.callee(name("Echo"), Fingerprint(1));
        let failure = soon(making(&callee, ECHO, "secret").message())
            .await
            .unwrap_err();
        assert!(failure.to_string().contains(why), "{why}: {failure}");
        assert!(calling.counters().unauthenticated > 0, "{why}");
        assert_eq!(counts.begun.load(SeqCst), 0, "{why}");
    }
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_refused_with_both_dates_named() {
    let ours = authority("shop");
    let now = SystemTime::now();
    for (at, why) in [
        (now - 3 * DAY, "was valid until"),
        (now + 3 * DAY, "is valid from"),
    ] {
        let subject = Subject {
            app: name("shop"),
            replica: name("Echo-1"),
            group: name("Echo"),
            components: vec![name("Echo")],
        };
        let network = Network::new(name("Echo-1"), Limits::default());
        network
            .set_identity(&ours.issue(&subject, at).unwrap())
            .unwrap();
        let service = Arc::new(Echo {
            component: name("Echo"),
            fingerprint: Fingerprint(1),
            counts: Arc::default(),
        });
        let server = network
            .serve(&"tcp:127.0.0.1:0".parse().unwrap(), service)
            .unwrap();
        let own = identity(&ours, "shop", "Caller-1", &["Caller"]);
        let calling = caller(&own, &server.endpoint());
        let callee = calling.callee(name("Echo"), Fingerprint(1));
        let failure = soon(making(&callee, ECHO, "hi").message())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            failure.contains(why) && failure.contains("by the clock of this host it is"),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn a_caller_that_is_refused_for_its_certificate_is_told_what_it_has_shown() {
    let (ours, others) = (authority("shop"), authority("shop"));
    let subject = Subject {
        app: name("shop"),
        replica: name("Caller-1"),
        group: name("Caller"),
        components: vec![name("Caller")],
    };
    let at = |at| ours.issue(&subject, at).unwrap();
    let now = SystemTime::now();
    let stranger = Identity {
        roots: ours.roots(),
        ..others.issue(&subject, now).unwrap()
    };
    let fingerprint = {
        let root = CertificateDer::from_pem_slice(ours.roots().as_bytes()).unwrap();
        let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap();
        let hash = suite.common.hash_provider.hash(&root);
        let bytes = hash.as_ref().iter();
        let bytes: Vec<String> = bytes.map(|byte| format!("{byte:02X}")).collect();
        bytes.join(":")
    };
    let known = format!("of the authority {fingerprint}");
    let unknown = "of none of the authorities that it believes itself".to_owned();
    for (identity, why, authority) in [
        (at(now - 3 * DAY), "for its dates", &known),
        (stranger, "does not believe the authority", &unknown),
    ] {
        let fortress = Fortress::at_tcp(&ours);
        let calling = caller(&identity, &fortress.endpoint);
        let callee = calling.callee(name("Echo"), Fingerprint(1));
        let call = making(&callee, ECHO, "hi").message();
        let failure = soon(call).await.unwrap_err().to_string();
        assert!(failure.contains(why), "{failure}");
        let shown = "was shown: replica Caller-1 of shop with Caller, valid from 2";
        assert!(failure.contains(shown), "{failure}");
        assert!(failure.contains(authority.as_str()), "{failure}");
        // That it is another one who is refused is no attempt upon this one.
        assert_eq!(calling.counters().unauthenticated, 0);
    }
}

#[test]
fn without_an_identity_tcp_is_neither_served_nor_called() {
    let network = Network::new(name("Echo-1"), Limits::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let refused = runtime.block_on(async {
        let service = Arc::new(Echo {
            component: name("Echo"),
            fingerprint: Fingerprint(1),
            counts: Arc::default(),
        });
        network
            .serve(&"tcp:127.0.0.1:0".parse().unwrap(), service)
            .unwrap_err()
    });
    assert!(
        refused
            .to_string()
            .contains("Echo-1 was given no certificate"),
        "{refused}"
    );
}
