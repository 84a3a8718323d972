//! The attributes of Anylith. Each goes the same way: *parse* the tokens, build a *model* that can only
//! hold what is right while collecting every mistake, and *expand* the model.
//!
//! - [`macro@component`] on a trait: the interface of a component. See `interface/`.
//! - [`macro@Component`] on a struct: an implementation with its dependencies. See `component/`.
//! - [`app!`]: the closed set of components that make an application. See `app.rs`.
//! - [`macro@test`] on a function: a test in every topology. See `test/`.
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
mod test;

/// Makes a trait the interface of a component.
///
/// The trait stays an ordinary trait: an implementation needs no attribute, and a test can implement it by
/// hand. Next to a trait `Cart` comes a struct `CartClient`, which implements `Cart` by calling the component
/// wherever it runs.
///
/// - Every method is an `async fn` with `&self` that returns a `Result`. Its error type has a
///   `From<anylith::CallError>`, since a call can fail on the way.
/// - Arguments are owned values or shared references; arguments, results and errors are serde types.
/// - One argument, the `Ok` of the result, or both can be `impl Stream<Item = Result<T, E>>`. An implementation writes
///   such a result as `impl Stream<Item = Result<T, E>> + use<>`: its stream borrows neither the component nor the
///   arguments, since its reader may be in another process. Without `use<>` the compiler says that the type "does not
///   fulfill the required lifetime".
/// - `#[idempotent]` on a method says that a call that may have run can be sent again.
/// - `#[routed(by = user)]` on a method says that calls with the same value of the argument `user` go to the same replica,
///   as long as there are the same replicas. A component in the caller's own process is called there, whatever the key.
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
/// as a web front end, has none. The words `start`, `serve`, `healthy` and `stop` beside it say which hooks the struct has:
///
/// - `start`: `async fn start(parts: NameParts) -> Result<Self, E>`, where the struct `NameParts` is made by
///   this macro and holds every field that is not marked `#[init]`.
/// - `serve`: `async fn serve(self: Arc<Self>, stopping: anylith::Stopping) -> Result<(), E>`, which runs beside
///   the calls until it is asked to stop.
/// - `healthy`: `async fn healthy(&self) -> Result<(), E>`, which is asked once a second whether the component can do its work.
/// - `stop`: `async fn stop(&self)`, after the last call.
///
/// A field is a client of a component that this one is dependent on (`CartClient`, and any name of it ends in `Client`; or
/// `Arc<dyn Cart>`, where the trait keeps its `#[async_trait]`), or is marked `#[config]` (the component's section of `anylith.toml`), `#[listener]` (a
/// door for outside traffic), `#[init(default)]` (its `Default`) or `#[init]` (made by `start`, or by hand: see
/// `Builder::with` and `Builder::assemble`).
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

/// Makes a function a test that runs in every topology of an application. Add `anylith-test` to the
/// `[dev-dependencies]` to use it.
///
/// ```ignore
/// #[anylith::test(Shop, fakes(PaymentClient = FakePayment::default()))]
/// async fn an_order_is_charged_once(checkout: CheckoutClient, payment: Arc<FakePayment>) {
///     checkout.place_order(order()).await.unwrap();
///     assert_eq!(payment.charges(), 1);
/// }
/// ```
///
/// This makes the tests `an_order_is_charged_once::direct` (all components in one process), `::wire` (in one process,
/// but every call goes through a socket) and `::processes` (each component in a process of its own).
///
/// An argument of the function is the client of a component, by its type; an `Arc<Fake>`, which is one of the fakes;
/// `&Cluster<Shop>`, the application itself; or, as the only one, `ClusterBuilder<Shop>`, which starts it. The function
/// returns nothing or a `Result`.
///
/// After the application's name, in any order:
///
/// - `fakes(Client = value, ...)`: what stands in for the component that `Client` calls. Fakes are in the test's own
///   process in every topology.
/// - `with(value, ...)`: components that are made by hand, in whichever process they run.
/// - `settings = "..."`: what `anylith.toml` would say.
/// - `topologies(direct, wire, processes, processes_tcp, mine)`: in which to run it; the first three unless it is said.
///   A name of one's own is that of a topology in the settings.
///
/// `#[ignore]`, `#[should_panic]` and `#[cfg]` work as on any test.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    test::expand(arguments.into(), &item.into()).into()
}
