//! An argument and a result that cannot leave the process.

use anylith::CallError;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub struct Failed(CallError);

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self(error)
    }
}

pub struct Connection {
    pub socket: std::net::TcpStream,
}

#[anylith::component]
pub trait Cart {
    async fn by_value(&self, connection: Connection) -> Result<(), Failed>;
    async fn by_reference(&self, connection: &Connection) -> Result<(), Failed>;
    async fn returned(&self) -> Result<Connection, Failed>;
}

fn main() {}
