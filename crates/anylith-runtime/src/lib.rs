//! The inside of a replica: builds its components, makes each edge local or remote, and drains.
//!
//! An application does not name this crate, but `anylith`, which re-exports what is public here.
//!
//! Where to start: [`Builder::run`] is the life of a process. [`ClientEdge::begin`](__rt::ClientEdge::begin) is where a
//! call goes one way or the other; `local` and `serve` are the two ways.

mod ambient;
mod app;
mod backlog;
mod checked;
mod component;
mod conductor;
mod config;
pub mod context;
mod counted_items;
mod deadline;
mod descriptors;
mod edge;
mod encoding;
mod fetching;
mod framed;
mod gate;
mod guard;
mod hook;
mod inherited;
mod interface;
mod link;
mod listener;
mod local;
mod logging;
mod message;
mod meter;
mod notify;
mod orders;
mod place;
mod relay;
mod replica;
mod role;
mod routing;
mod running;
mod serve;
mod signals;
mod standalone;
mod stopping;
mod stopwatch;
mod streaming;
mod survey;
mod task;
mod trail;
mod trails;
mod underway;
mod variants;
mod wiring;

pub use anylith_telemetry as telemetry;
pub use app::{AppError, Application, Builder};
pub use component::{Assembled, Component, StartError};
pub use edge::CallCounts;
pub use listener::Listener;
pub use logging::JsonLine;
pub use orders::OrdersError;
pub use role::InvalidRole;
pub use running::Running;
pub use standalone::SetupError;
pub use stopping::Stopping;
pub use streaming::Streaming;
pub use wiring::Wiring;

/// What the expansions of the macros call. No promise is made about it.
#[doc(hidden)]
pub mod __rt {
    pub use anylith_core::{Fingerprint, MethodShape, MisfitManifest};
    pub use anylith_rpc::{Answer, Failure};
    pub use futures_core::Stream;
    pub use serde_json::Value;

    pub use crate::{
        app::Application,
        checked::{AnswerOf, ArgumentOf, StreamOf, Unchecked, assert_answer, assert_argument},
        component::{Assembled, Component, Registration, assert_closed},
        config::{ConfigProblem, read_config},
        edge::{Call, ClientEdge, WriteArguments},
        interface::{
            Dependencies, DynInterface, FromCallError, ImplementedBy, Interface, InterfacePrint,
            Method, NoInterface, ProvidedBy, Provides, Travels, assert_first_of_its_name,
        },
        message::{ArgumentReader, ArgumentWriter, PassedAs},
        serve::{BoxFuture, IncomingCall},
        streaming::{Streaming, StreamingOf},
        survey::config_problems,
        wiring::Wiring,
    };

    /// Calling the hooks of a component.
    pub mod hook {
        pub use crate::hook::{
            HandOverHook, HandedStartHook, HealthyHook, ServeHook, StartHook, StopHook, hand_over,
            healthy, serve, start, start_with, stop,
        };
    }
}
