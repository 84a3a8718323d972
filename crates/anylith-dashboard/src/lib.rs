//! The control API over HTTP, and the page that shows an application as it runs.
//!
//! Begin at [`Door::bind`], then [`Door::open`]. It has a thread of its own and asks the supervisor through the control
//! socket, as the command does: whatever it can do, the command can, and nothing that goes wrong here reaches the
//! supervisor.
//!
//! `openapi.json` describes the API. The page is in `ui/`, built by Vite into `ui/dist`, which is checked in and becomes a
//! part of the program; so `cargo build` needs no Node. `cargo xtask page` builds it anew.

mod api;
mod assets;
mod connection;
mod control;
mod difference;
mod door;
mod guard;
mod hub;
mod impatient;
mod invitation;
mod line;
mod now;
mod premises;
mod refusal;
mod token;

pub use door::{Dashboard, Door};
pub use invitation::Invitation;
pub use premises::{Look, Looked, Premises};
pub use token::Token;
