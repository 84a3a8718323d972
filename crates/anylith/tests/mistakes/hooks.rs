//! Hooks that the runtime cannot call, and one that is not there.

use std::{io, sync::Arc};

use anylith::Stopping;

pub struct Pool;

#[derive(anylith::Component)]
#[component(start, serve, stop)]
pub struct One {
    #[init]
    pub pool: Pool,
}

impl One {
    async fn start() -> Result<Self, io::Error> {
        Ok(Self { pool: Pool })
    }

    async fn serve(&self) -> Result<(), io::Error> {
        Ok(())
    }

    async fn stop(&self, _: Stopping) {}
}

#[derive(anylith::Component)]
#[component(start, serve, healthy, stop)]
pub struct Two {
    #[init]
    pub pool: Pool,
}

impl Two {
    async fn start(_: TwoParts) -> Self {
        Self { pool: Pool }
    }

    async fn serve(self: Arc<Self>, _: Stopping) {}

    async fn healthy(&self) -> bool {
        true
    }

    async fn stop(&self) -> Result<(), io::Error> {
        Ok(())
    }
}

#[derive(anylith::Component)]
#[component(start, serve, stop)]
pub struct Three {
    #[init]
    pub pool: Pool,
}

impl Three {
    fn start(_: ThreeParts) -> Result<Self, io::Error> {
        Ok(Self { pool: Pool })
    }

    fn serve(self: Arc<Self>, _: Stopping) -> Result<(), io::Error> {
        Ok(())
    }

    fn stop(&self) {}
}

#[derive(anylith::Component)]
#[component(start, serve, stop)]
pub struct Four {
    #[init]
    pub pool: Pool,
}

/// An error that is none.
#[derive(Debug)]
pub struct NoError;

#[derive(anylith::Component)]
#[component(start)]
pub struct Five {
    #[init]
    pub pool: Pool,
}

impl Five {
    async fn start(_: FiveParts) -> Result<Self, NoError> {
        Err(NoError)
    }
}

fn main() {}
