//! What every other crate of Anylith agrees on: names, the context of a call, the ways a call can
//! fail, and the manifest in which an application describes itself.
//!
//! This crate only computes. It knows no socket, clock, disk or process: where an instant is needed,
//! the caller passes it in.

mod causes;
mod context;
mod counters;
mod directory;
mod error;
mod manifest;
mod name;
mod scaling;
mod secret;
mod settings;
mod shape;
mod telemetry;

pub use causes::with_causes;
pub use context::{
    Baggage, BaggageFull, BaggageItem, CallContext, InvalidTraceParent, TraceContext,
};
pub use counters::Counters;
pub use directory::{Address, Directory, Endpoint, InvalidEndpoint, Whereabouts};
pub use error::{Allowance, BadAnswer, CallError, Edge, Execution, LostAnswer, Overload, Refusal};
pub use manifest::{
    ComponentManifest, Fingerprint, Manifest, MethodManifest, MethodShape, MisfitManifest,
    Singleton,
};
pub use name::{InvalidName, Name};
pub use scaling::{Burst, Scaling, Size, Target};
pub use secret::{SecretReference, SecretSource};
pub use settings::{ComponentLimits, Concurrency, EdgeSettings, Limits};
pub use shape::Misfit;
pub use telemetry::{Metrics, Telemetry, Traces};
