//! What a test is once it has been checked.

use syn::{Attribute, Expr, Ident, ItemFn, Path, Type};

/// A test and what it runs against.
pub(super) struct Test {
    /// The application.
    pub(super) app: Path,
    pub(super) fakes: Vec<Fake>,
    /// Components that are made by hand.
    pub(super) with: Vec<Expr>,
    /// What `anylith.toml` would say.
    pub(super) settings: Option<Expr>,
    /// The topologies, each once.
    pub(super) topologies: Vec<Ident>,
    /// The user's function, without the attributes that belong on the tests made of it.
    pub(super) body: ItemFn,
    /// `#[ignore]`, `#[should_panic]`.
    pub(super) on_tests: Vec<Attribute>,
    /// `#[cfg]`.
    pub(super) on_everything: Vec<Attribute>,
    pub(super) start: Start,
}

/// `PaymentClient = FakePayment::default()`.
pub(super) struct Fake {
    pub(super) client: Path,
    pub(super) value: Expr,
}

/// Who starts the application.
pub(super) enum Start {
    /// The test kit, which then hands these to the body.
    Kit(Vec<Argument>),
    /// The body, which takes a `ClusterBuilder`.
    Body,
}

/// What the body asks for.
pub(super) enum Argument {
    /// `CheckoutClient`.
    Client(Type),
    /// `Arc<FakePayment>`: the fake's type.
    Fake(Type),
    /// `&Cluster<Shop>`.
    Cluster,
}
