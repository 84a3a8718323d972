//! From the start of an application to its end.

use std::{io::Error, sync::Arc};

use anylith::{CallError, Listener, Stopping};
use anylith_test::{Cluster, ClusterBuilder};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::journal::{Journal as _, JournalClient, NoJournal, Recorder};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum FloorError {
    #[error(transparent)]
    Call(#[from] CallError),
}

#[anylith::component]
pub trait Roof {
    async fn height(&self) -> Result<u32, FloorError>;
}

#[anylith::component]
pub trait Wall {
    async fn height(&self) -> Result<u32, FloorError>;
    async fn settings(&self) -> Result<WallConfig, FloorError>;
    async fn wait(&self) -> Result<u32, FloorError>;
}

#[anylith::component]
pub trait Ground {
    async fn height(&self) -> Result<u32, FloorError>;
}

/// Writes down its start and its stop, and at its start asks those it stands on.
#[derive(anylith::Component)]
#[component(interface = Roof, start, stop)]
pub struct Tiles {
    wall: WallClient,
    journal: JournalClient,
}

impl Tiles {
    async fn start(parts: TilesParts) -> Result<Self, FloorError> {
        let _ = parts.journal.note("Roof starts").await;
        parts.wall.height().await?;
        Ok(Self {
            wall: parts.wall,
            journal: parts.journal,
        })
    }

    async fn stop(&self) {
        // Those it stands on still answer.
        let height = self.wall.height().await;
        let _ = self
            .journal
            .note(&format!("Roof stops at {height:?}"))
            .await;
    }
}

impl Roof for Tiles {
    async fn height(&self) -> Result<u32, FloorError> {
        Ok(self.wall.height().await? + 1)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WallConfig {
    colour: String,
    bricks: u32,
    falls: bool,
    bursts: bool,
}

#[derive(anylith::Component)]
#[component(interface = Wall, start, stop)]
pub struct Bricks {
    ground: GroundClient,
    journal: JournalClient,
    #[config]
    config: WallConfig,
}

impl Bricks {
    async fn start(parts: BricksParts) -> Result<Self, Error> {
        let _ = parts.journal.note("Wall starts").await;
        assert!(!parts.config.bursts, "the wall bursts");
        if parts.config.falls {
            return Err(Error::other("the wall fell down"));
        }
        let height = parts.ground.height().await;
        height.map_err(Error::other)?;
        Ok(Self {
            ground: parts.ground,
            journal: parts.journal,
            config: parts.config,
        })
    }

    async fn stop(&self) {
        let height = self.ground.height().await;
        let _ = self
            .journal
            .note(&format!("Wall stops at {height:?}"))
            .await;
    }
}

impl Wall for Bricks {
    async fn height(&self) -> Result<u32, FloorError> {
        Ok(self.ground.height().await? + 1)
    }

    async fn settings(&self) -> Result<WallConfig, FloorError> {
        Ok(self.config.clone())
    }

    async fn wait(&self) -> Result<u32, FloorError> {
        let _ = self.journal.note("Wall waits").await;
        let _ = self.journal.wait_for_go().await;
        let height = self.height().await;
        let _ = self.journal.note("Wall answers").await;
        height
    }
}

#[derive(anylith::Component)]
#[component(interface = Ground, start, stop)]
pub struct Soil {
    journal: JournalClient,
}

impl Soil {
    async fn start(parts: SoilParts) -> Result<Self, Error> {
        let _ = parts.journal.note("Ground starts").await;
        Ok(Self {
            journal: parts.journal,
        })
    }

    async fn stop(&self) {
        let _ = self.journal.note("Ground stops").await;
    }
}

impl Ground for Soil {
    async fn height(&self) -> Result<u32, FloorError> {
        Ok(1)
    }
}

/// Nobody calls it: it answers on a listener.
#[derive(anylith::Component)]
#[component(serve)]
pub struct Porch {
    roof: RoofClient,
    #[listener]
    bell: Listener,
}

impl Porch {
    async fn serve(self: Arc<Self>, stopping: Stopping) -> Result<(), Error> {
        let listener = self.bell.tcp()?;
        let mut stopping = stopping;
        loop {
            let (mut visitor, _) = tokio::select! {
                came = listener.accept() => came?,
                () = &mut stopping => return Ok(()),
            };
            let height = self.roof.height().await;
            let text = height.map_or_else(|error| error.to_string(), |it| it.to_string());
            visitor.write_all(text.as_bytes()).await?;
        }
    }
}

anylith::app! {
    /// A house: a porch and a roof on a wall on the ground.
    pub House = "house" { Porch, Tiles, Bricks, Soil, NoJournal }
}

fn positions(entries: &[String], wanted: [&str; 3]) -> Vec<Option<usize>> {
    wanted
        .iter()
        .map(|prefix| entries.iter().position(|entry| entry.starts_with(prefix)))
        .collect()
}

#[anylith::test(House, fakes(JournalClient = Recorder::default()))]
async fn a_component_starts_when_those_it_is_dependent_on_are_ready(journal: Arc<Recorder>) {
    let order = positions(
        &journal.entries(),
        ["Ground starts", "Wall starts", "Roof starts"],
    );
    assert!(order[0].is_some() && order.is_sorted(), "{order:?}");
}

#[anylith::test(House, fakes(JournalClient = Recorder::default()))]
async fn a_component_stops_before_those_it_is_dependent_on(
    cluster: &Cluster<House>,
    journal: Arc<Recorder>,
) {
    cluster.stop().await;
    let order = positions(
        &journal.entries(),
        ["Roof stops", "Wall stops", "Ground stops"],
    );
    assert!(order[0].is_some() && order.is_sorted(), "{order:?}");
}

#[anylith::test(House, fakes(JournalClient = Recorder::default()))]
async fn a_component_that_stops_can_still_call_those_it_is_dependent_on(
    cluster: &Cluster<House>,
    journal: Arc<Recorder>,
) {
    cluster.stop().await;
    assert_eq!(
        journal.count("Roof stops at Ok(2)"),
        1,
        "{:?}",
        journal.entries()
    );
    assert_eq!(
        journal.count("Wall stops at Ok(1)"),
        1,
        "{:?}",
        journal.entries()
    );
}

#[anylith::test(House, fakes(JournalClient = Recorder::default()))]
async fn a_call_in_flight_is_answered_before_its_callee_stops(
    cluster: &Cluster<House>,
    wall: WallClient,
    journal: Arc<Recorder>,
) {
    let call = tokio::spawn(async move { wall.wait().await });
    journal.until("Wall waits").await;
    let stopped = cluster.stop();
    let let_go = async {
        journal.until("Roof stops at Ok(2)").await;
        journal.go();
    };
    tokio::join!(stopped, let_go);
    assert_eq!(call.await.unwrap(), Ok(2));
    let order = positions(
        &journal.entries(),
        ["Roof stops", "Wall answers", "Wall stops"],
    );
    assert!(order[0].is_some() && order.is_sorted(), "{order:?}");
}

#[anylith::test(
    House,
    fakes(JournalClient = Recorder::default()),
    settings = "[listeners.bell]\naddress = \"127.0.0.1:65535\"",
)]
async fn a_listener_gets_a_port_of_its_own_whatever_the_settings_say(cluster: &Cluster<House>) {
    assert_ne!(cluster.address("bell").port(), 65535);
}

#[anylith::test(House, fakes(JournalClient = Recorder::default()))]
async fn a_listener_is_served(cluster: &Cluster<House>) {
    let mut visitor = TcpStream::connect(cluster.address("bell")).await.unwrap();
    let mut said = String::new();
    visitor.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "3");
}

#[anylith::test(
    House,
    fakes(JournalClient = Recorder::default()),
    settings = "[components.Wall]\ncolour = \"grün\"\nbricks = 12"
)]
async fn a_component_has_its_config(wall: WallClient) {
    let expected = WallConfig {
        colour: "grün".to_owned(),
        bricks: 12,
        ..WallConfig::default()
    };
    assert_eq!(wall.settings().await, Ok(expected));
}

#[anylith::test(House, fakes(JournalClient = Recorder::default()))]
async fn a_component_that_cannot_start_is_named_with_its_reason(builder: ClusterBuilder<House>) {
    let started = builder
        .settings("[components.Wall]\nfalls = true")
        .start()
        .await;
    let error = started.expect_err("the wall fell down").to_string();
    assert!(error.contains("Wall"), "{error}");
    assert!(error.contains("the wall fell down"), "{error}");
}

#[anylith::test(House, fakes(JournalClient = Recorder::default()))]
async fn a_panic_at_the_start_is_a_start_that_failed(builder: ClusterBuilder<House>) {
    let started = builder
        .settings("[components.Wall]\nbursts = true")
        .start()
        .await;
    let error = started.expect_err("the wall burst").to_string();
    assert!(error.contains("Wall"), "{error}");
    assert!(error.contains("the wall bursts"), "{error}");
}

#[anylith::test(House, fakes(JournalClient = Recorder::default()))]
async fn a_config_that_does_not_fit_is_named_by_its_key(builder: ClusterBuilder<House>) {
    let started = builder
        .settings("[components.Wall]\nbricks = \"many\"")
        .start()
        .await;
    let error = started.expect_err("bricks are a number").to_string();
    assert!(
        error.contains("Wall") && error.contains("bricks"),
        "{error}"
    );
}

#[anylith::test(House, fakes(JournalClient = Recorder::default()))]
async fn a_call_after_the_stop_finds_nobody(
    cluster: &Cluster<House>,
    wall: WallClient,
    journal: Arc<Recorder>,
) {
    cluster.stop().await;
    // Between processes it waits for somebody who answers, for seconds that need not pass.
    tokio::time::pause();
    let Err(FloorError::Call(error)) = wall.wait().await else {
        panic!("it was answered");
    };
    // The news that a peer has gone may be on its way when a call is sent.
    assert_ne!(error.execution(), anylith::Execution::Executed);
    assert_eq!(journal.count("Wall waits"), 0);
}
