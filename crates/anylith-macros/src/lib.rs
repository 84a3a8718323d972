//! The attributes of Anylith. Each goes the same way: *parse* the tokens, build a *model* that can only
//! hold what is right while collecting every mistake, and *expand* the model.
//!
//! - [`macro@component`] on a trait: the interface of a component. See `interface/`.
//! - [`macro@Component`] on a struct: an implementation with its dependencies. See `component/`.
//! - [`app!`]: the closed set of components that make an application. See `app.rs`.
//!
//! Expansions call into `anylith::__rt` and hold no logic of their own. All mistakes are reported at once,
//! each at its token, and what the user wrote is still emitted, so that one mistake does not bring a
//! second wave of errors with it.

use proc_macro::TokenStream;

mod app;
mod component;
#[cfg(test)]
mod expansions;
mod interface;
mod mistakes;

/// Makes a trait the interface of a component.
///
/// The trait stays an ordinary trait: an implementation needs no attribute, and a test can implement it by
/// hand. Next to a trait `Cart` comes a struct `CartClient`, which implements `Cart` by calling the component
/// wherever it runs.
///
/// - Every method is an `async fn` with `&self` that returns a `Result`. Its error type has a
///   `From<anylith::CallError>`, since a call can fail on the way.
/// - Arguments are owned values or shared references; arguments, results and errors are serde types.
/// - One argument, the `Ok` of the result, or both can be `impl Stream<Item = Result<T, E>>`.
/// - `#[idempotent]` on a method says that a call that may have run can be sent again.
///
/// A trait that has `#[async_trait]` can keep it, below this attribute. Then its implementations keep theirs, and
/// `Arc<dyn Cart>` goes on being a type: a client fits in it. It costs an allocation a call more, and such a trait has
/// no streams.
#[proc_macro_attribute]
pub fn component(arguments: TokenStream, item: TokenStream) -> TokenStream {
    interface::expand(arguments.into(), &item.into()).into()
}

/// Makes a struct the implementation of a component.
///
/// `#[component(interface = Cart)]` names the trait that it implements; a component that nobody calls, such
/// as a web front end, has none. The words `start`, `serve` and `stop` beside it say which hooks the struct has:
///
/// - `start`: `async fn start(parts: NameParts) -> Result<Self, E>`, where the struct `NameParts` is made by
///   this macro and holds every field that is not marked `#[init]`.
/// - `serve`: `async fn serve(self: Arc<Self>, stopping: anylith::Stopping) -> Result<(), E>`, which runs beside
///   the calls until it is asked to stop.
/// - `stop`: `async fn stop(&self)`, after the last call.
///
/// A field is a client of a component that this one is dependent on (`CartClient`; or `Arc<dyn Cart>`, where the trait
/// keeps its `#[async_trait]`), or is marked `#[config]` (the component's section of `anylith.toml`), `#[listener]` (a
/// door for outside traffic) or `#[init]` (made by `start`, or by hand: see `Builder::with` and `Builder::assemble`).
#[proc_macro_derive(Component, attributes(component, config, listener, init))]
pub fn derive_component(item: TokenStream) -> TokenStream {
    component::expand(item.into()).into()
}

/// Closes the set of components that make an application.
///
/// ```ignore
/// anylith::app! {
///     /// The online shop.
///     pub Shop = "shop" { CartService, CheckoutService }
/// }
/// ```
///
/// A dependency that no component provides, and an interface that two provide, are compile errors here.
#[proc_macro]
pub fn app(input: TokenStream) -> TokenStream {
    app::expand(input.into()).into()
}
