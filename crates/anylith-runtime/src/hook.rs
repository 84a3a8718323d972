//! The hooks of a component, `start`, `serve`, `healthy`, `hand_over` and `stop`, as the derive calls them: through traits, so that a hook with
//! another signature is explained, once, where its name is written in `#[component(...)]`.

use std::{error::Error, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    component::{Assembled, StartError},
    stopping::Stopping,
    wiring::Wiring,
};

/// Calls the hook `start`.
///
/// # Errors
///
/// The hook's own.
///
/// # Cancellation
///
/// The hook is dropped where it waits, and the parts with it: there is no component, and its `stop` is not called.
pub async fn start<C: Assembled, H: StartHook<C>>(
    hook: H,
    parts: C::Parts,
) -> Result<C, StartError> {
    hook.begin(parts).await.map_err(StartError::from_cause)
}

/// Calls the hook `start` of a component that is handed the state of the one before it.
///
/// # Errors
///
/// The hook's own.
///
/// # Cancellation
///
/// As in [`start`]; what was handed over is handed over again.
pub async fn start_with<C, S, H, G>(
    hook: H,
    _: G,
    parts: C::Parts,
    wiring: &Wiring,
) -> Result<C, StartError>
where
    C: Assembled,
    S: Serialize + DeserializeOwned,
    H: HandedStartHook<C, S>,
    G: for<'a> HandOverHook<'a, C, State = S>,
{
    let begun = hook.begin(parts, wiring.handed());
    begun.await.map_err(StartError::from_cause)
}

/// Calls the hook `hand_over`, and writes what it returns as JSON.
///
/// # Errors
///
/// JSON has no form for it: a map with keys that are no text, for one.
///
/// # Cancellation
///
/// The hook is dropped where it waits, and nothing is handed over.
pub async fn hand_over<'a, C, H: HandOverHook<'a, C>>(
    hook: H,
    component: &'a C,
) -> Result<String, StartError> {
    let state = hook.begin(component).await;
    serde_json::to_string(&state).map_err(StartError::from_cause)
}

/// Calls the hook `serve`.
///
/// # Errors
///
/// The hook's own.
///
/// # Cancellation
///
/// The hook is dropped where it waits, as it is when it takes too long to end; the component is as it left it.
pub async fn serve<C, H: ServeHook<C>>(
    hook: H,
    component: Arc<C>,
    stopping: Stopping,
) -> Result<(), StartError> {
    let work = hook.begin(component, stopping);
    work.await.map_err(StartError::from_cause)
}

/// Calls the hook `healthy`.
///
/// # Errors
///
/// The hook's own: why the component is better not called.
///
/// # Cancellation
///
/// The hook is dropped where it waits, and has not answered.
pub async fn healthy<'a, C, H: HealthyHook<'a, C>>(
    hook: H,
    component: &'a C,
) -> Result<(), StartError> {
    hook.begin(component).await.map_err(StartError::from_cause)
}

/// Calls the hook `stop`.
///
/// # Cancellation
///
/// The hook is dropped where it waits, and is not called again: what it had not written out is lost.
pub async fn stop<'a, C, H: StopHook<'a, C>>(hook: H, component: &'a C) {
    hook.begin(component).await;
}

/// What a `start` hook is: it takes the parts, and makes the component.
#[diagnostic::on_unimplemented(
    message = "the hook `start` of `{C}` cannot be called",
    label = "it is `{Self}`",
    note = "write `async fn start(parts: {C}Parts) -> Result<Self, E>`, where `E` is an error or a text"
)]
pub trait StartHook<C: Assembled> {
    /// Why it could not be made.
    type Error: Into<Box<dyn Error + Send + Sync>>;
    /// The hook at work.
    type Work: Future<Output = Result<C, Self::Error>>;

    /// Calls it.
    fn begin(self, parts: C::Parts) -> Self::Work;
}

#[diagnostic::do_not_recommend]
impl<C, F, W, E> StartHook<C> for F
where
    C: Assembled,
    F: FnOnce(C::Parts) -> W,
    W: Future<Output = Result<C, E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Error = E;
    type Work = W;

    fn begin(self, parts: C::Parts) -> W {
        self(parts)
    }
}

/// What a `start` hook is that takes the state of the one before it.
#[diagnostic::on_unimplemented(
    message = "the hook `start` of `{C}` cannot be called with what is handed over",
    label = "it is `{Self}`",
    note = "with `hand_over` write `async fn start(parts: {C}Parts, handed: Option<State>) -> Result<Self, E>`, where `State` is what `hand_over` returns"
)]
pub trait HandedStartHook<C: Assembled, S> {
    /// Why it could not be made.
    type Error: Into<Box<dyn Error + Send + Sync>>;
    /// The hook at work.
    type Work: Future<Output = Result<C, Self::Error>>;

    /// Calls it.
    fn begin(self, parts: C::Parts, handed: Option<S>) -> Self::Work;
}

#[diagnostic::do_not_recommend]
impl<C, S, F, W, E> HandedStartHook<C, S> for F
where
    C: Assembled,
    F: FnOnce(C::Parts, Option<S>) -> W,
    W: Future<Output = Result<C, E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Error = E;
    type Work = W;

    fn begin(self, parts: C::Parts, handed: Option<S>) -> W {
        self(parts, handed)
    }
}

/// What a `hand_over` hook is: it returns what the next one is to begin with.
#[diagnostic::on_unimplemented(
    message = "the hook `hand_over` of `{C}` cannot be called",
    label = "it is `{Self}`",
    note = "write `async fn hand_over(&self) -> State`, where `State` implements `serde::Serialize` and `serde::Deserialize`, and is what \
            `start` takes as `Option<State>`"
)]
pub trait HandOverHook<'a, C> {
    /// What is handed over.
    type State: Serialize;
    /// The hook at work.
    type Work: Future<Output = Self::State>;

    /// Calls it.
    fn begin(self, component: &'a C) -> Self::Work;
}

#[diagnostic::do_not_recommend]
impl<'a, C: 'a, F, W, S> HandOverHook<'a, C> for F
where
    F: FnOnce(&'a C) -> W,
    W: Future<Output = S>,
    S: Serialize,
{
    type State = S;
    type Work = W;

    fn begin(self, component: &'a C) -> W {
        self(component)
    }
}

/// What a `serve` hook is: it works until it is asked to stop.
#[diagnostic::on_unimplemented(
    message = "the hook `serve` of `{C}` cannot be called",
    label = "it is `{Self}`",
    note = "write `async fn serve(self: Arc<Self>, stopping: Stopping) -> Result<(), E>`, where `E` is an error or a text"
)]
pub trait ServeHook<C> {
    /// Why it ended early.
    type Error: Into<Box<dyn Error + Send + Sync>>;
    /// The hook at work.
    type Work: Future<Output = Result<(), Self::Error>>;

    /// Calls it.
    fn begin(self, component: Arc<C>, stopping: Stopping) -> Self::Work;
}

#[diagnostic::do_not_recommend]
impl<C, F, W, E> ServeHook<C> for F
where
    F: FnOnce(Arc<C>, Stopping) -> W,
    W: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Error = E;
    type Work = W;

    fn begin(self, component: Arc<C>, stopping: Stopping) -> W {
        self(component, stopping)
    }
}

/// What a `healthy` hook is: it looks whether the component can do its work, and says why not.
#[diagnostic::on_unimplemented(
    message = "the hook `healthy` of `{C}` cannot be called",
    label = "it is `{Self}`",
    note = "write `async fn healthy(&self) -> Result<(), E>`, where `E` is an error or a text: the reason why it is not"
)]
pub trait HealthyHook<'a, C> {
    /// Why it is not healthy.
    type Error: Into<Box<dyn Error + Send + Sync>>;
    /// The hook at work.
    type Work: Future<Output = Result<(), Self::Error>>;

    /// Calls it.
    fn begin(self, component: &'a C) -> Self::Work;
}

#[diagnostic::do_not_recommend]
impl<'a, C: 'a, F, W, E> HealthyHook<'a, C> for F
where
    F: FnOnce(&'a C) -> W,
    W: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Error = E;
    type Work = W;

    fn begin(self, component: &'a C) -> W {
        self(component)
    }
}

/// What a `stop` hook is: it finishes, and cannot fail.
#[diagnostic::on_unimplemented(
    message = "the hook `stop` of `{C}` cannot be called",
    label = "it is `{Self}`",
    note = "write `async fn stop(&self)`: it has nothing to return, since nobody is left to be told"
)]
pub trait StopHook<'a, C> {
    /// The hook at work.
    type Work: Future<Output = ()>;

    /// Calls it.
    fn begin(self, component: &'a C) -> Self::Work;
}

#[diagnostic::do_not_recommend]
impl<'a, C: 'a, F, W> StopHook<'a, C> for F
where
    F: FnOnce(&'a C) -> W,
    W: Future<Output = ()>,
{
    type Work = W;

    fn begin(self, component: &'a C) -> W {
        self(component)
    }
}
