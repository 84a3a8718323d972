//! What an interface is to the runtime, and what the macros promise about it.

use std::{marker::PhantomData, sync::Arc};

use anylith_core::{CallError, Fingerprint, MethodShape, Misfit, MisfitManifest, Name};
use anylith_rpc::Answer;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    edge::ClientEdge,
    serve::{BoxFuture, IncomingCall},
};

/// The client of a component: what `#[component]` makes of a trait.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the client of a component",
    label = "not a client",
    note = "a field is a dependency unless it is marked: `#[config]` for the component's section of anylith.toml, \
            `#[listener]` for a door for outside traffic, `#[init]` for what `start` makes"
)]
pub trait Interface: Clone + Send + Sync + 'static {
    /// The name of the trait, which is the component's.
    const NAME: &'static str;
    /// What the component is for, in a sentence.
    const SUMMARY: &'static str;
    /// The methods, in the order of the trait.
    const METHODS: &'static [Method];
    /// The trait in a form that can be called through a pointer.
    type Object: ?Sized + Send + Sync + 'static;

    /// Everything that caller and callee must agree on.
    fn fingerprint() -> Fingerprint;

    /// What would not arrive as it was sent.
    fn misfits() -> Vec<MisfitManifest> {
        Vec::new()
    }

    /// The client that calls along `edge`.
    fn from_edge(edge: ClientEdge<Self::Object>) -> Self;
}

/// An interface as a trait object, `dyn Cart`: of a trait that keeps its `#[async_trait]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the interface of a component",
    label = "no component is behind this field",
    note = "put `#[anylith::component]` above the `#[async_trait]` of the trait, or mark the field with `#[init]`: then \
            you give it its value"
)]
pub trait DynInterface {
    /// The client, which can be put in the place of the object.
    type Client: Interface;
}

/// Says that `C` implements the trait of this client.
pub trait ImplementedBy<C>: Interface {
    /// The implementation as the clients in its process call it.
    fn object(implementation: Arc<C>) -> Arc<Self::Object>;

    /// Begins a call that came from another process.
    fn serve(implementation: Arc<C>, call: IncomingCall) -> BoxFuture<'static, Answer>;
}

/// One method of an interface.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Whether a call that may have run can be sent again.
    pub idempotent: bool,
    /// Which sides are streams.
    pub shape: MethodShape,
    /// The argument by which calls are routed.
    pub routed: Option<&'static str>,
}

/// Fails to compile where the component or a method of `I` has a name that cannot be a [`Name`].
pub(crate) const fn check_names<I: Interface>() {
    assert!(
        I::NAME.is_empty() || Name::allows(I::NAME),
        "the name of a component is a letter, then ASCII letters, digits and `_`, at most 48 in all"
    );
    let mut method = 0;
    while method < I::METHODS.len() {
        assert!(
            Name::allows(I::METHODS[method].name),
            "the name of a method is a letter, then ASCII letters, digits and `_`, at most 48 in all"
        );
        method += 1;
    }
}

/// The name of a component or method, which [`check_names`] has seen.
pub(crate) fn checked(name: &'static str) -> Name {
    Name::new(name).expect("names were checked when the application was compiled")
}

/// The interface of a component that nobody calls, such as a web front end.
pub struct NoInterface<C>(PhantomData<fn() -> C>);

impl<C> Clone for NoInterface<C> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<C: 'static> Interface for NoInterface<C> {
    const NAME: &'static str = "";
    const SUMMARY: &'static str = "";
    const METHODS: &'static [Method] = &[];
    type Object = ();

    fn fingerprint() -> Fingerprint {
        Fingerprint::EMPTY
    }

    fn from_edge(_: ClientEdge<()>) -> Self {
        Self(PhantomData)
    }
}

impl<C: Send + Sync + 'static> ImplementedBy<C> for NoInterface<C> {
    fn object(_: Arc<C>) -> Arc<()> {
        Arc::new(())
    }

    fn serve(_: Arc<C>, call: IncomingCall) -> BoxFuture<'static, Answer> {
        call.unknown_method()
    }
}

/// Says that an application has a component with this interface. `app!` implements it.
#[diagnostic::on_unimplemented(
    message = "no component of `{Self}` provides what `{I}` calls",
    label = "this component is dependent on `{I}`",
    note = "add a component with that interface, `#[component(interface = ...)]`, to the list in `app!`"
)]
pub trait Provides<I> {}

/// Refuses a second component for an interface, while the application is compiled.
#[doc(hidden)]
#[track_caller]
pub const fn assert_first_of_its_name(name: &str, earlier: &[&str]) {
    let mut at = 0;
    while at < earlier.len() {
        assert!(
            !same(name.as_bytes(), earlier[at].as_bytes()),
            "an application has one component for each interface: take one of the two out of `app!`, \
             or give it an interface of its own"
        );
        at += 1;
    }
}

/// `==`, which cannot be used in a constant.
const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// The dependencies of a component: a list `(A, (B, ()))` of clients.
pub trait Dependencies {
    /// The names of the components, in order.
    fn names() -> Vec<&'static str>;
}

impl Dependencies for () {
    fn names() -> Vec<&'static str> {
        Vec::new()
    }
}

impl<I: Interface, Rest: Dependencies> Dependencies for (I, Rest) {
    fn names() -> Vec<&'static str> {
        let mut names = vec![I::NAME];
        names.extend(Rest::names().into_iter().filter(|name| *name != I::NAME));
        names
    }
}

/// Says that an application provides every dependency of a list.
#[diagnostic::on_unimplemented(message = "`{A}` lacks a dependency of this component")]
pub trait ProvidedBy<A> {}

impl<A> ProvidedBy<A> for () {}

impl<A: Provides<I>, I, Rest: ProvidedBy<A>> ProvidedBy<A> for (I, Rest) {}

/// A value that can be sent to another process.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel between components",
    label = "not `Serialize + DeserializeOwned + Send + Sync + 'static`",
    note = "arguments, results and errors of a component are serde types: add \
            `#[derive(serde::Serialize, serde::Deserialize)]` to `{Self}`"
)]
pub trait Travels: Serialize + DeserializeOwned + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Travels for T {}

/// The error type of a component's method: it has room for a call that failed on the way.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say that a call failed",
    label = "no `From<anylith::CallError>`",
    note = "a call between components can fail on the way: give `{Self}` a variant for it, such as \
            `Call(#[from] anylith::CallError)`, or write `impl From<anylith::CallError> for {Self}`"
)]
pub trait FromCallError: From<CallError> {}

#[diagnostic::do_not_recommend]
impl<E: From<CallError>> FromCallError for E {}

/// The result type of a component's method.
#[diagnostic::on_unimplemented(
    message = "a method of a component returns a `Result`, not `{Self}`",
    label = "a call can fail on the way",
    note = "write `Result<{Self}, E>`, where `E: From<anylith::CallError>`"
)]
pub trait CallResult: Sized + Send + 'static {
    /// What a call brings back.
    type Value: Send + 'static;
    /// How it can fail.
    type Error: Send + 'static;

    /// Makes it of a plain result.
    fn from_result(result: Result<Self::Value, Self::Error>) -> Self;

    /// Whether it is an error.
    fn is_error(&self) -> bool;

    /// The error, if it is one.
    fn error(&self) -> Option<&Self::Error>;

    /// The plain result.
    fn into_result(self) -> Result<Self::Value, Self::Error>;
}

impl<T: Send + 'static, E: Send + 'static> CallResult for Result<T, E> {
    type Value = T;
    type Error = E;

    fn from_result(result: Self) -> Self {
        result
    }

    #[inline]
    fn is_error(&self) -> bool {
        self.is_err()
    }

    fn error(&self) -> Option<&E> {
        self.as_ref().err()
    }

    fn into_result(self) -> Self {
        self
    }
}

/// Goes through the types of an interface, method by method: for its fingerprint, or for what does not travel.
#[derive(Debug)]
pub struct InterfacePrint {
    fingerprint: Fingerprint,
    /// Only where they are asked for.
    misfits: Option<Misfits>,
}

#[derive(Debug)]
struct Misfits {
    interface: &'static str,
    method: String,
    found: Vec<MisfitManifest>,
}

impl InterfacePrint {
    /// Begins a fingerprint.
    #[expect(clippy::new_without_default, reason = "only expansions call it")]
    pub fn new() -> Self {
        Self {
            fingerprint: Fingerprint::EMPTY,
            misfits: None,
        }
    }

    /// Begins a search for what does not travel.
    pub fn search(interface: &'static str) -> Self {
        let misfits = Misfits {
            interface,
            method: String::new(),
            found: Vec::new(),
        };
        Self {
            fingerprint: Fingerprint::EMPTY,
            misfits: Some(misfits),
        }
    }

    /// A method follows.
    #[must_use]
    pub fn method(mut self, name: &str) -> Self {
        if let Some(misfits) = &mut self.misfits {
            name.clone_into(&mut misfits.method);
        }
        self.with("fn").with(name)
    }

    /// An argument of the method.
    #[must_use]
    pub fn argument<T: Travels>(self, name: &str) -> Self {
        self.with(name).part::<T>(&format!("the argument `{name}`"))
    }

    /// What the method returns.
    #[must_use]
    pub fn answer<R: CallResult<Value: Travels, Error: Travels>>(self) -> Self {
        self.with("->")
            .part::<R::Value>("the result")
            .part::<R::Error>("the error")
    }

    /// The items of a stream: of the argument `name`, or of the result where it is empty.
    #[must_use]
    pub fn items<R: CallResult<Value: Travels, Error: Travels>>(self, name: &str) -> Self {
        self.with("stream").with(name).answer::<R>()
    }

    /// The fingerprint.
    pub fn finish(self) -> Fingerprint {
        self.fingerprint
    }

    /// What does not travel, if that was searched for.
    pub fn misfits(self) -> Vec<MisfitManifest> {
        self.misfits.map_or_else(Vec::new, |misfits| misfits.found)
    }

    fn with(mut self, text: &str) -> Self {
        self.fingerprint = self.fingerprint.with(text);
        self
    }

    fn part<T: Travels>(mut self, part: &str) -> Self {
        match &mut self.misfits {
            None => self.fingerprint = self.fingerprint.with_shape::<T>(),
            Some(misfits) => misfits.search::<T>(part),
        }
        self
    }
}

impl Misfits {
    fn search<T: Travels>(&mut self, part: &str) {
        let Some(misfit) = Misfit::of::<T>() else {
            return;
        };
        // An error type that many methods share is told once.
        if self.found.iter().all(|found| found.misfit != misfit) {
            let Self {
                interface, method, ..
            } = self;
            let place = format!("{part} of `{interface}.{method}`");
            self.found.push(MisfitManifest { place, misfit });
        }
    }
}
