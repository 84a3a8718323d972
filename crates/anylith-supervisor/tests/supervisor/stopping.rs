//! How an application stops.

use std::{io::Read, time::Duration};

use anylith_supervisor::{Overview, Timing};

use crate::stage::{Stage, is_alive, knock, pids};

#[tokio::test]
async fn components_stop_after_those_that_call_them() {
    let stage = Stage {
        groups: vec![("one", vec!["Front", "Stock"], 2), ("two", vec!["Cart"], 2)],
        ..Stage::micro()
    };
    stage.start_ready().await.stop().await.unwrap();
    let journal = stage.journal();
    let place = |word: &str| {
        let places = journal
            .iter()
            .enumerate()
            .filter(|(_, line)| line.starts_with(word));
        places.map(|(place, _)| place).collect::<Vec<_>>()
    };
    let (front, cart, stock) = (
        place("drain Front"),
        place("drain Cart"),
        place("drain Stock"),
    );
    assert_eq!(
        (front.len(), cart.len(), stock.len()),
        (2, 2, 2),
        "{journal:?}"
    );
    assert!(front.iter().max() < cart.iter().min(), "{journal:?}");
    assert!(cart.iter().max() < stock.iter().min(), "{journal:?}");
    assert_eq!(place("stop").len(), 4);
}

#[tokio::test]
async fn a_replica_that_does_not_drain_is_killed_after_its_grace() {
    let timing = Timing {
        grace: Duration::from_millis(100),
        ..Timing::default()
    };
    let stage = Stage {
        timing,
        ..Stage::micro()
    }
    .orders("Cart=stuck");
    let supervisor = stage.start_ready().await;
    let pids = pids(&supervisor);
    supervisor.stop().await.unwrap();
    assert!(pids.values().all(|pid| !is_alive(*pid)));
    assert!(
        stage
            .journal()
            .contains(&"drain Stock of Stock-1".to_owned())
    );
}

#[tokio::test]
async fn a_replica_that_exits_while_it_drains_is_not_started_again() {
    let stage = Stage::micro().orders("Cart=quit");
    let supervisor = stage.start_ready().await;
    supervisor.stop().await.unwrap();
    assert_eq!(
        stage
            .journal()
            .iter()
            .filter(|line| line.starts_with("drain Cart"))
            .count(),
        1
    );
}

#[tokio::test]
async fn who_waits_at_a_listener_when_everything_stops_is_still_served() {
    for stage in [Stage::micro(), Stage::monolith(2)] {
        let stage = stage.orders("Front=slow");
        let supervisor = stage.start_ready().await;
        // They come faster than they are let in.
        let visitors: Vec<_> = (0..10).map(|_| knock(&supervisor)).collect();
        supervisor.stop().await.unwrap();
        for mut visitor in visitors {
            let mut answer = String::new();
            visitor.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_stop_says_what_it_waits_for() {
    let timing = Timing {
        grace: Duration::from_secs(2),
        ask_every: Duration::from_millis(50),
        ..Timing::default()
    };
    let stage = Stage {
        timing,
        ..Stage::micro()
    }
    .orders("Cart=stuck");
    let mut supervisor = stage.start_ready().await;
    let mut overview = supervisor.watch();
    supervisor.ask_stop().await;
    let waits = |now: &Overview| {
        let text = "Cart finishes its work, for 3 s at most";
        let mut notes = now.notes.iter();
        notes.any(|note| note.replica == "Cart-1" && note.text == text)
    };
    overview.wait_for(waits).await.unwrap();
    supervisor.ask_kill().await;
    supervisor.over().await.unwrap();
    assert_eq!(stage.sockets(), 0);
}
