//! Three components in a row: the test calls `First`, which calls `Second`, which calls `Third`.

use std::time::{Duration, Instant};

use anylith::{BaggageItem, CallError, TraceContext, context};
use serde::{Deserialize, Serialize};

use crate::journal::{Journal as _, JournalClient, Leaving, NoJournal};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum HopError {
    #[error("refused with {0}")]
    Refused(u32),
    #[error("a call failed")]
    Call(#[from] CallError),
}

/// What each hop is to do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Trip {
    /// How long each hop takes before it goes on.
    pub pause: Duration,
    /// What the last hop does.
    pub end: End,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub enum End {
    #[default]
    Answer,
    /// Never comes back.
    Stay,
    Panic(String),
    Refuse(u32),
}

/// What a hop saw around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// How much time it had left.
    pub left: Option<Duration>,
    pub trace: Option<TraceContext>,
    pub tenant: Option<Tenant>,
    /// The process it ran in.
    pub process: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tenant(pub u32);

impl BaggageItem for Tenant {
    const KEY: &'static str = "tenant";
}

impl Seen {
    pub fn here() -> Self {
        // A call that has not waited yet has its time counted from now on.
        let deadline = context::deadline();
        Self {
            left: deadline.map(|at| at.saturating_duration_since(Instant::now())),
            trace: context::current().trace,
            tenant: context::baggage(),
            process: std::process::id(),
        }
    }
}

impl Trip {
    pub fn to(end: End) -> Self {
        Self {
            end,
            ..Self::default()
        }
    }
}

#[anylith::component]
pub trait First {
    async fn go(&self, trip: &Trip) -> Result<Vec<Seen>, HopError>;
    /// Goes, and says what became of it instead of passing it on.
    async fn report(&self, trip: &Trip) -> Result<Result<Vec<Seen>, HopError>, HopError>;
    /// Goes under other baggage, and says what it itself has afterwards.
    async fn relabel(&self, tenant: Tenant) -> Result<(Vec<Seen>, Seen), HopError>;
    /// What a task of its own sees, without and with the context handed over.
    async fn spawned(&self) -> Result<(Seen, Seen), HopError>;
}

#[anylith::component]
pub trait Second {
    async fn go(&self, trip: &Trip) -> Result<Vec<Seen>, HopError>;
}

#[anylith::component]
pub trait Third {
    async fn go(&self, trip: &Trip) -> Result<Vec<Seen>, HopError>;
}

#[derive(anylith::Component)]
#[component(interface = First)]
pub struct FirstHop {
    second: SecondClient,
    journal: JournalClient,
}

impl First for FirstHop {
    async fn go(&self, trip: &Trip) -> Result<Vec<Seen>, HopError> {
        let seen = Seen::here();
        let _leaving = Leaving::new(&self.journal, "First left");
        tokio::time::sleep(trip.pause).await;
        let mut all = vec![seen];
        all.extend(self.second.go(trip).await?);
        Ok(all)
    }

    async fn report(&self, trip: &Trip) -> Result<Result<Vec<Seen>, HopError>, HopError> {
        Ok(self.second.go(trip).await)
    }

    async fn relabel(&self, tenant: Tenant) -> Result<(Vec<Seen>, Seen), HopError> {
        let trip = Trip::default();
        let below = context::with_baggage(&tenant, self.second.go(&trip))
            .expect("a tenant fits into the baggage")
            .await?;
        Ok((below, Seen::here()))
    }

    async fn spawned(&self) -> Result<(Seen, Seen), HopError> {
        let alone = tokio::spawn(async { Seen::here() });
        let handed = tokio::spawn(context::scope(context::current(), async { Seen::here() }));
        Ok((
            alone.await.expect("it does not panic"),
            handed.await.expect("it does not panic"),
        ))
    }
}

#[derive(anylith::Component)]
#[component(interface = Second)]
pub struct SecondHop {
    third: ThirdClient,
    journal: JournalClient,
}

impl Second for SecondHop {
    async fn go(&self, trip: &Trip) -> Result<Vec<Seen>, HopError> {
        let seen = Seen::here();
        let _leaving = Leaving::new(&self.journal, "Second left");
        tokio::time::sleep(trip.pause).await;
        let mut all = vec![seen];
        all.extend(self.third.go(trip).await?);
        Ok(all)
    }
}

#[derive(anylith::Component)]
#[component(interface = Third)]
pub struct ThirdHop {
    journal: JournalClient,
}

impl Third for ThirdHop {
    async fn go(&self, trip: &Trip) -> Result<Vec<Seen>, HopError> {
        let seen = Seen::here();
        let _leaving = Leaving::new(&self.journal, "Third left");
        match &trip.end {
            End::Answer => Ok(vec![seen]),
            End::Refuse(code) => Err(HopError::Refused(*code)),
            End::Panic(message) => panic!("{message}"),
            End::Stay => {
                let _ = self.journal.note("Third stays").await;
                std::future::pending().await
            }
        }
    }
}

anylith::app! {
    /// Three components in a row.
    pub Hops = "hops" { FirstHop, SecondHop, ThirdHop, NoJournal }
}
