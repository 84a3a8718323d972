//! Write an application once, as components. Decide at deployment whether it runs as a monolith or as
//! microservices, and change that decision while it runs.

pub use anylith_core::{
    BadAnswer, Baggage, BaggageFull, BaggageItem, CallContext, CallError, Edge, Execution,
    LostAnswer, Name, Refusal, TraceContext,
};
pub use anylith_macros::{Component, app, component, test};
#[doc(hidden)]
pub use anylith_runtime::__rt;
pub use anylith_runtime::__rt::Stream;
pub use anylith_runtime::{
    AppError, Assembled, Builder, CallCounts, Component, InvalidRole, Listener, Running,
    SetupError, StartError, Stopping, Streaming, Wiring, context,
};
