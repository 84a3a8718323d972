//! Local and remote are the same call: each promise of it, kept in every topology.

#![allow(missing_docs, reason = "the tests of a crate are not its interface")]

use std::sync::Arc;

use anylith::CallError;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum EchoError {
    #[error(transparent)]
    Call(#[from] CallError),
}

#[anylith::component]
pub trait Echo {
    async fn twice(&self, value: u32) -> Result<u32, EchoError>;
}
#[anylith::component]
pub trait Note {
    async fn note(&self, value: u32) -> Result<(), EchoError>;
}

#[derive(anylith::Component)]
#[component(interface = Echo)]
pub struct EchoService {
    note: NoteClient,
}
impl Echo for EchoService {
    async fn twice(&self, value: u32) -> Result<u32, EchoError> {
        self.note.note(value).await?;
        Ok(value * 2)
    }
}
#[derive(anylith::Component)]
#[component(interface = Note)]
pub struct NoteService {}
impl Note for NoteService {
    async fn note(&self, _: u32) -> Result<(), EchoError> {
        Ok(())
    }
}
#[derive(Default)]
pub struct FakeNote(std::sync::Mutex<Vec<u32>>);
impl Note for FakeNote {
    async fn note(&self, value: u32) -> Result<(), EchoError> {
        self.0.lock().unwrap().push(value);
        Ok(())
    }
}
anylith::app! { pub App = "app" { EchoService, NoteService } }

#[anylith::test(App, fakes(NoteClient = FakeNote::default()), topologies(direct, wire, processes, processes_tcp))]
async fn it_works(echo: EchoClient, note: Arc<FakeNote>) {
    assert_eq!(echo.twice(4).await, Ok(8));
    assert_eq!(*note.0.lock().unwrap(), [4]);
}
