//! What an implementation is to the runtime, and how it is kept where its type is no longer known.

use std::{any::Any, error::Error, fmt, sync::Arc};

use anylith_core::{
    ComponentManifest, InvalidName, MethodManifest, MisfitManifest, Name, Singleton,
};
use anylith_rpc::Answer;
use serde_json::Value;

use crate::{
    config::ConfigProblem,
    interface::{Dependencies, ImplementedBy, Interface, Method, ProvidedBy, check_names},
    serve::{BoxFuture, Dispatch, IncomingCall},
    stopping::Stopping,
    wiring::Wiring,
};

/// An implementation: a struct with declared dependencies.
///
/// `#[derive(Component)]` implements it. Where the derive does not fit, implement it by hand:
///
/// ```ignore
/// impl anylith::Component for CartService {
///     type Interface = CartClient;
///     type Dependencies = (CatalogClient, ());
///     const NAME: &'static str = "Cart";
///
///     async fn build(wiring: &anylith::Wiring) -> Result<Self, anylith::StartError> {
///         Ok(Self::new(wiring.client()))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a component",
    label = "not a component",
    note = "add `#[derive(anylith::Component)]` to the struct"
)]
pub trait Component: Sized + Send + Sync + 'static {
    /// The client of the interface that it implements, or [`NoInterface`](crate::__rt::NoInterface).
    type Interface: ImplementedBy<Self>;
    /// The clients that it asks its [`Wiring`] for: a list `(A, (B, ()))`.
    type Dependencies: Dependencies;
    /// The component's name: its interface's, or the struct's where it has none.
    const NAME: &'static str;
    /// What it is for, in a sentence.
    const SUMMARY: &'static str = "";
    /// The listeners that it asks its [`Wiring`] for.
    const LISTENERS: &'static [&'static str] = &[];
    /// Whether it reads its section of `anylith.toml`.
    const HAS_CONFIG: bool = false;

    /// Everything that is wrong with the component's section of `anylith.toml`.
    fn check_config(config: &Value) -> Vec<ConfigProblem> {
        let _ = config;
        Vec::new()
    }

    /// Makes the component. Everything that it is dependent on is ready.
    ///
    /// # Cancellation
    ///
    /// The future is dropped when the replica is stopped before it is ready.
    fn build(wiring: &Wiring) -> impl Future<Output = Result<Self, StartError>> + Send;

    /// Works beside the calls until `stopping` resolves, and ends soon after it. An error takes the replica down.
    fn run(
        self: Arc<Self>,
        stopping: Stopping,
    ) -> impl Future<Output = Result<(), StartError>> + Send {
        drop(stopping);
        async { Ok(()) }
    }

    /// Whether [`Component::check_health`] has anything to look at.
    const CHECKS_HEALTH: bool = false;

    /// Looks whether the component can do its work. It is asked once a second from the end of `build` on, and has 2 s to
    /// answer; the component is ready once it has agreed. An error, a panic and no answer mean the same: after two in a row
    /// the component gets no more calls from other processes where another replica can take them, until it agrees again.
    ///
    /// # Cancellation
    ///
    /// The future is dropped when its time is over, and when the component is drained.
    fn check_health(&self) -> impl Future<Output = Result<(), StartError>> + Send {
        async { Ok(()) }
    }

    /// Whether at most one of it is ready at any time, in the whole application. One that takes the place of another
    /// starts after that has stopped.
    const SINGLETON: bool = false;

    /// Whether [`Component::hand_over`] has anything to hand over.
    const HANDS_OVER: bool = false;

    /// What the next one is to begin with, as JSON, where there is one at a time: see [`Wiring::handed`]. Called after the
    /// last call, where another one waits to take the place; it has 5 s.
    ///
    /// # Cancellation
    ///
    /// The future is dropped when its time is over, and nothing is handed over.
    fn hand_over(&self) -> impl Future<Output = Result<String, StartError>> + Send {
        async { Ok("null".to_owned()) }
    }

    /// Finishes, after the last call.
    fn shut_down(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// A component that somebody else puts together: the runtime fills some of its fields, and gives them away as `Parts`.
///
/// `#[derive(Component)]` implements it for a struct that has a `start` hook or an `#[init]` field. What takes the
/// parts is that hook, or [`Builder::assemble`](crate::Builder::assemble).
#[diagnostic::on_unimplemented(
    message = "nothing is left to be assembled of `{Self}`",
    label = "the runtime makes all of its fields",
    note = "mark the fields that are made by hand with `#[init]`"
)]
pub trait Assembled: Component {
    /// The fields that the runtime fills: clients, config and listeners.
    type Parts;

    /// Takes them out of `wiring`.
    ///
    /// # Errors
    ///
    /// The config does not fit, or a listener is missing.
    fn parts(wiring: &Wiring) -> Result<Self::Parts, StartError>;
}

/// Why a component could not start, or stopped serving.
#[derive(Debug)]
pub struct StartError(Box<dyn Error + Send + Sync>);

impl StartError {
    /// Takes any error, or a text.
    pub fn from_cause(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }

    /// Some fields of the component can only be made by hand.
    #[doc(hidden)]
    pub fn not_given(fields: &[&str]) -> Self {
        let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
        Self::from_cause(format!(
            "nothing makes {}: give the component to the application, `builder().with(...)` or \
             `builder().assemble(...)`, or write a hook `start` and name it in `#[component(start)]`",
            fields.join(", ")
        ))
    }
}

impl fmt::Display for StartError {
    /// Writes the error as it was given. Its causes are its sources.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl From<ConfigProblem> for StartError {
    fn from(problem: ConfigProblem) -> Self {
        Self::from_cause(problem)
    }
}

/// Says at compile time that `A` provides every dependency of `C`.
pub fn assert_closed<A, C>()
where
    C: Component,
    C::Dependencies: ProvidedBy<A>,
{
}

/// One component of an application, with its type forgotten.
#[derive(Clone)]
pub struct Registration {
    pub(crate) name: &'static str,
    /// The path of the struct behind it, as the compiler writes it.
    implementation: fn() -> &'static str,
    summary: &'static str,
    pub(crate) dependencies: Vec<&'static str>,
    pub(crate) listeners: &'static [&'static str],
    pub(crate) methods: &'static [Method],
    fingerprint: fn() -> anylith_core::Fingerprint,
    misfits: fn() -> Vec<MisfitManifest>,
    pub(crate) singleton: Option<Singleton>,
    has_config: bool,
    check_config: fn(&Value) -> Vec<ConfigProblem>,
    pub(crate) build: Build,
}

/// `Shelf` of `shop::catalog::Shelf<alloc::string::String>`.
fn struct_name(path: &str) -> &str {
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}

type Build = Arc<dyn Fn(Wiring) -> BoxFuture<'static, Result<Built, StartError>> + Send + Sync>;

impl Registration {
    /// Registers `C`, which is built when its replica starts.
    pub fn of<C: Component>() -> Self {
        const {
            assert!(
                Name::allows(C::NAME),
                "the name of a component is a letter, then ASCII letters, digits and `_`, at most 48 in all"
            );
            check_names::<C::Interface>();
        }
        Self {
            name: C::NAME,
            implementation: std::any::type_name::<C>,
            summary: C::SUMMARY,
            dependencies: C::Dependencies::names(),
            listeners: C::LISTENERS,
            methods: C::Interface::METHODS,
            fingerprint: C::Interface::fingerprint,
            misfits: C::Interface::misfits,
            singleton: C::SINGLETON.then_some(Singleton {
                hands_over: C::HANDS_OVER,
            }),
            has_config: C::HAS_CONFIG,
            check_config: C::check_config,
            build: Arc::new(|wiring| {
                Box::pin(async move {
                    let component = Arc::new(C::build(&wiring).await?);
                    Ok(Built::component(component))
                })
            }),
        }
    }

    /// Takes a component that was made by hand in the place of one to be built.
    pub(crate) fn made<C: Component>(component: Arc<C>) -> Self {
        let mut registration = Self::of::<C>();
        // Whoever made it has read its config, if it has one.
        registration.check_config = |_| Vec::new();
        registration.takes_nothing();
        registration.build = Arc::new(move |_| {
            let built = Built::component(Arc::clone(&component));
            Box::pin(std::future::ready(Ok(built)))
        });
        registration
    }

    /// Takes a component that `assemble` makes of its parts.
    pub(crate) fn assembled<C: Assembled>(
        assemble: impl Fn(C::Parts) -> C + Send + Sync + 'static,
    ) -> Self {
        let mut registration = Self::of::<C>();
        registration.takes_nothing();
        registration.build = Arc::new(move |wiring| {
            let built = C::parts(&wiring).map(|parts| Built::component(Arc::new(assemble(parts))));
            Box::pin(std::future::ready(built))
        });
        registration
    }

    /// Takes an implementation of `I` that is no component: it is dependent on nothing.
    pub(crate) fn stand_in<I: ImplementedBy<C>, C: Send + Sync + 'static>(
        implementation: &Arc<C>,
    ) -> Self {
        const { check_names::<I>() };
        let implementation = Arc::clone(implementation);
        Self {
            name: I::NAME,
            implementation: std::any::type_name::<C>,
            summary: I::SUMMARY,
            dependencies: Vec::new(),
            listeners: &[],
            methods: I::METHODS,
            fingerprint: I::fingerprint,
            misfits: I::misfits,
            singleton: None,
            has_config: false,
            check_config: |_| Vec::new(),
            build: Arc::new(move |_| {
                let built = Built::stand_in::<I, C>(Arc::clone(&implementation));
                Box::pin(std::future::ready(Ok(built)))
            }),
        }
    }

    /// It is made by hand, and takes nothing of the one before it.
    fn takes_nothing(&mut self) {
        self.singleton = self.singleton.map(|_| Singleton::default());
    }

    /// The same component, dependent on `components` and no others.
    pub(crate) fn dependent_on(mut self, components: Vec<&'static str>) -> Self {
        self.dependencies = components;
        self
    }

    /// The component as the manifest describes it.
    pub(crate) fn manifest(&self) -> Result<ComponentManifest, InvalidName> {
        let methods = self.methods.iter().map(|method| {
            Ok(MethodManifest {
                name: Name::new(method.name)?,
                idempotent: method.idempotent,
                shape: method.shape,
                routed: method.routed.map(str::to_owned),
            })
        });
        Ok(ComponentManifest {
            name: Name::new(self.name)?,
            implementation: struct_name((self.implementation)()).to_owned(),
            summary: self.summary.to_owned(),
            dependencies: self
                .dependencies
                .iter()
                .map(Name::new)
                .collect::<Result<_, _>>()?,
            listeners: self
                .listeners
                .iter()
                .map(Name::new)
                .collect::<Result<_, _>>()?,
            methods: methods.collect::<Result<_, _>>()?,
            fingerprint: self.fingerprint(),
            misfits: (self.misfits)(),
            singleton: self.singleton,
        })
    }

    pub(crate) fn fingerprint(&self) -> anylith_core::Fingerprint {
        (self.fingerprint)()
    }

    /// Everything that is wrong with the component's section of `anylith.toml`.
    pub(crate) fn check_config(&self, config: &Value) -> Vec<ConfigProblem> {
        let empty = config.is_null() || config.as_object().is_some_and(serde_json::Map::is_empty);
        if !self.has_config && !empty {
            return vec![ConfigProblem {
                key: String::new(),
                message: format!(
                    "`{}` has no config: give it a `#[config]` field, or take the section out",
                    self.name
                ),
            }];
        }
        (self.check_config)(config)
    }
}

/// A component that was built, with its type forgotten.
pub(crate) struct Built {
    /// An `Arc<C>`.
    pub(crate) component: Arc<dyn Any + Send + Sync>,
    /// An `Arc<I::Object>`.
    pub(crate) object: Box<dyn Any + Send + Sync>,
    pub(crate) serve: Box<dyn Dispatch>,
    pub(crate) hooks: Arc<dyn Hooks>,
}

impl Built {
    fn component<C: Component>(component: Arc<C>) -> Self {
        Self {
            hooks: Arc::new(HooksOf(Arc::clone(&component))),
            ..Self::stand_in::<C::Interface, C>(component)
        }
    }

    fn stand_in<I: ImplementedBy<C>, C: Send + Sync + 'static>(implementation: Arc<C>) -> Self {
        Self {
            object: Box::new(I::object(Arc::clone(&implementation))),
            serve: Box::new(ServedAs::<I, C>(
                Arc::clone(&implementation),
                std::marker::PhantomData,
            )),
            hooks: Arc::new(NoHooks),
            component: implementation,
        }
    }
}

struct ServedAs<I, C>(Arc<C>, std::marker::PhantomData<fn() -> I>);

impl<I: ImplementedBy<C>, C: Send + Sync + 'static> Dispatch for ServedAs<I, C> {
    fn dispatch(&self, call: IncomingCall) -> BoxFuture<'static, Answer> {
        I::serve(Arc::clone(&self.0), call)
    }
}

/// The hooks of a component after its start.
pub(crate) trait Hooks: Send + Sync {
    fn run(&self, stopping: Stopping) -> BoxFuture<'static, Result<(), StartError>>;
    /// A look at its health; `None` if there is nothing to look at.
    fn check_health(&self) -> Option<BoxFuture<'static, Result<(), StartError>>>;
    /// What the next one is to begin with; `None` if there is nothing.
    fn hand_over(&self) -> Option<BoxFuture<'static, Result<String, StartError>>>;
    fn shut_down(&self) -> BoxFuture<'static, ()>;
}

struct HooksOf<C>(Arc<C>);

impl<C: Component> Hooks for HooksOf<C> {
    fn run(&self, stopping: Stopping) -> BoxFuture<'static, Result<(), StartError>> {
        Box::pin(Arc::clone(&self.0).run(stopping))
    }

    fn check_health(&self) -> Option<BoxFuture<'static, Result<(), StartError>>> {
        if !C::CHECKS_HEALTH {
            return None;
        }
        let component = Arc::clone(&self.0);
        Some(Box::pin(async move { component.check_health().await }))
    }

    fn hand_over(&self) -> Option<BoxFuture<'static, Result<String, StartError>>> {
        if !C::HANDS_OVER {
            return None;
        }
        let component = Arc::clone(&self.0);
        Some(Box::pin(async move { component.hand_over().await }))
    }

    fn shut_down(&self) -> BoxFuture<'static, ()> {
        let component = Arc::clone(&self.0);
        Box::pin(async move { component.shut_down().await })
    }
}

/// The hooks of an implementation that is no component.
struct NoHooks;

impl Hooks for NoHooks {
    fn run(&self, _: Stopping) -> BoxFuture<'static, Result<(), StartError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn check_health(&self) -> Option<BoxFuture<'static, Result<(), StartError>>> {
        None
    }

    fn hand_over(&self) -> Option<BoxFuture<'static, Result<String, StartError>>> {
        None
    }

    fn shut_down(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Told {
        text: &'static str,
        source: Option<Box<Told>>,
    }

    #[test]
    fn a_cause_is_kept_as_source_and_told_once_whether_or_not_its_error_tells_it() {
        let told = |text, source: Option<Told>| Told {
            text,
            source: source.map(Box::new),
        };
        let cause = || Some(told("no such file", None));
        for text in [
            "rates.json cannot be read",
            "rates.json cannot be read: no such file",
        ] {
            let error = StartError::from_cause(told(text, cause()));
            assert_eq!(error.to_string(), text);
            assert_eq!(error.source().unwrap().to_string(), "no such file");
            let whole = "rates.json cannot be read: no such file";
            assert_eq!(anylith_core::with_causes(&error), whole);
        }
    }
}
