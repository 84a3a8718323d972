//! Identities are renewed, and roots replaced, while calls go on.

#![expect(clippy::unwrap_used, reason = "a test fails where it is surprised")]

mod support;

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, SystemTime},
};

use anylith_core::{Fingerprint, Limits};
use anylith_pki::{Authority, Identity, Lifetimes, Subject};
use anylith_rpc::{Network, Server};
use support::{Counts, ECHO, Echo, HELD, authority, directory, identity, making, name, soon};

const HOUR: Duration = Duration::from_secs(3600);

fn echo(counts: &Arc<Counts>) -> Arc<Echo> {
    Arc::new(Echo {
        component: name("Echo"),
        fingerprint: Fingerprint(1),
        counts: counts.clone(),
    })
}

fn serving(own: &Identity, counts: &Arc<Counts>) -> (Network, Server) {
    let network = Network::new(name("Echo-1"), Limits::default());
    network.set_identity(own).unwrap();
    let server = network
        .serve(&"tcp:127.0.0.1:0".parse().unwrap(), echo(counts))
        .unwrap();
    (network, server)
}

#[tokio::test]
async fn identities_are_renewed_without_dropping_a_connection_or_a_call() {
    let ours = authority("shop");
    let (served, called) = (
        || identity(&ours, "shop", "Echo-1", &["Echo"]),
        || identity(&ours, "shop", "Caller-1", &["Caller"]),
    );
    let counts = Arc::new(Counts::default());
    let (network, server) = serving(&served(), &counts);
    let caller = Network::new(name("Caller-1"), Limits::default());
    caller.set_identity(&called()).unwrap();
    caller.update(directory(1, &[&server.endpoint()]));
    let callee = caller.callee(name("Echo"), Fingerprint(1));
    // A call that is not repeated if its connection goes, and others all the while.
    let held = tokio::spawn({
        let callee = callee.clone();
        async move { making(&callee, HELD, "held").message().await }
    });
    soon(counts.until(|counts| counts.begun() == 1)).await;
    for _ in 0..20 {
        network.set_identity(&served()).unwrap();
        caller.set_identity(&called()).unwrap();
        assert_eq!(making(&callee, ECHO, "hi").message().await.unwrap(), b"hi");
    }
    counts.release.notify_waiters();
    assert_eq!(soon(held).await.unwrap().unwrap(), b"held");
    assert_eq!(counts.dropped.load(SeqCst), 0);
    // Who connects now meets the new one.
    let another = Network::new(name("Caller-1"), Limits::default());
    another.set_identity(&called()).unwrap();
    another.update(directory(1, &[&server.endpoint()]));
    let callee = another.callee(name("Echo"), Fingerprint(1));
    assert_eq!(
        soon(making(&callee, ECHO, "hi").message()).await.unwrap(),
        b"hi"
    );
}

#[tokio::test]
async fn a_root_is_replaced_while_some_replicas_have_certificates_of_the_old_one() {
    let lifetimes = Lifetimes {
        certificate: 48 * HOUR,
        ..Lifetimes::default()
    };
    let now = SystemTime::now();
    // Two days ago, and a bit.
    let then = now - 48 * HOUR - HOUR / 2;
    let mut ours = Authority::new(name("shop"), lifetimes, then).unwrap();
    let before = ours.roots();
    ours.replace_root(then).unwrap();
    let issue = |replica: &str, at| {
        let subject = Subject {
            app: name("shop"),
            replica: name(replica),
            group: name("group"),
            components: vec![name("Echo")],
        };
        ours.issue(&subject, at).unwrap()
    };
    let (old, new) = (issue("Echo-1", then + HOUR), issue("Caller-1", now));
    assert_eq!(old.roots, new.roots, "both know both");
    assert!(old.roots.len() > before.len());
    let counts = Arc::new(Counts::default());
    let (_network, server) = serving(&old, &counts);
    let caller = Network::new(name("Caller-1"), Limits::default());
    caller.set_identity(&new).unwrap();
    caller.update(directory(1, &[&server.endpoint()]));
    let callee = caller.callee(name("Echo"), Fingerprint(1));
    assert_eq!(
        soon(making(&callee, ECHO, "hi").message()).await.unwrap(),
        b"hi"
    );
    // Who knows the old root alone does not believe the new certificate: it was signed by the new root.
    let stranger = Network::new(name("Caller-1"), Limits::default());
    let only_old = Identity {
        roots: before,
        ..issue("Echo-1", then + HOUR)
    };
    let (_network, of_old) = serving(&only_old, &counts);
    stranger.set_identity(&new).unwrap();
    stranger.update(directory(1, &[&of_old.endpoint()]));
    let callee = stranger.callee(name("Echo"), Fingerprint(1));
    let limit = Duration::from_millis(500);
    assert!(
        making(&callee, ECHO, "hi")
            .within(limit)
            .message()
            .await
            .is_err()
    );
}

#[test]
fn an_identity_of_no_use_is_refused_and_the_one_before_stays() {
    let ours = authority("shop");
    let network = Network::new(name("Echo-1"), Limits::default());
    let own = identity(&ours, "shop", "Echo-1", &["Echo"]);
    network.set_identity(&own).unwrap();
    let another = identity(&ours, "shop", "Echo-1", &["Echo"]);
    let nothing = String::new();
    for (wrong, why) in [
        (
            identity(&ours, "shop", "Echo-2", &["Echo"]),
            "for replica Echo-2 of shop",
        ),
        (
            Identity {
                key: another.key,
                ..own.clone()
            },
            "its key does not belong",
        ),
        (
            Identity {
                key: "a secret".into(),
                ..own.clone()
            },
            "its key cannot be read",
        ),
        (
            Identity {
                certificates: nothing.clone(),
                ..own.clone()
            },
            "has no certificate",
        ),
        (
            Identity {
                roots: nothing,
                ..own.clone()
            },
            "has no root",
        ),
    ] {
        let refused = network.set_identity(&wrong).unwrap_err().to_string();
        assert!(refused.contains(why), "{why}: {refused}");
        assert!(!refused.contains("a secret"), "{refused}");
    }
}
