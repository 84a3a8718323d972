//! What an implementation is once it has been checked.

use syn::{Ident, Path, Type, Visibility};

/// An implementation: a struct with declared dependencies.
pub(super) struct Implementation {
    pub(super) visibility: Visibility,
    pub(super) name: Ident,
    /// The first paragraph of its documentation.
    pub(super) summary: String,
    /// The client of the interface that it implements; `None` if nobody calls it.
    pub(super) client: Option<Path>,
    pub(super) hooks: Hooks,
    /// There is one of it at a time.
    pub(super) singleton: bool,
    pub(super) fields: Vec<Field>,
}

/// Which methods of its own the struct has for the stages of its life.
///
/// Each is the word that names it in `#[component(...)]`, where a wrong one is explained.
#[derive(Default)]
pub(super) struct Hooks {
    pub(super) start: Option<Ident>,
    pub(super) serve: Option<Ident>,
    pub(super) stop: Option<Ident>,
    pub(super) healthy: Option<Ident>,
    pub(super) hand_over: Option<Ident>,
}

/// A named field, and where its value comes from.
pub(super) struct Field {
    pub(super) name: Ident,
    pub(super) written: Type,
    pub(super) source: Source,
}

/// Where a field's value comes from.
pub(super) enum Source {
    /// The client of a component that this one is dependent on.
    Dependency,
    /// The same, as an `Arc<dyn Interface>`: the client.
    Shared(Box<Type>),
    /// The component's section of `anylith.toml`.
    Config,
    /// A door for outside traffic, with its name.
    Listener(String),
    /// The `start` hook, or the application's builder.
    Init,
    /// `Default::default()`.
    Default,
    /// Nobody can say: a mistake.
    Unknown,
}

impl Implementation {
    /// Whether some fields are left to somebody who takes the others as `Parts`.
    pub(super) fn has_parts(&self) -> bool {
        let init = |field: &Field| matches!(field.source, Source::Init);
        self.hooks.start.is_some() || self.fields.iter().any(init)
    }

    /// The fields that the runtime fills, and gives to whoever makes the others.
    pub(super) fn wired(&self) -> impl Iterator<Item = &Field> {
        self.fields
            .iter()
            .filter(|field| !matches!(field.source, Source::Init | Source::Default))
    }
}
