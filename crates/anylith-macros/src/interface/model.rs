//! What an interface is once it has been checked.

use syn::{Attribute, Ident, Type, Visibility};

/// An interface: a trait that can be called from another process.
pub(super) struct Interface {
    /// The trait's attributes that are not ours, its documentation among them.
    pub(super) attributes: Vec<Attribute>,
    pub(super) visibility: Visibility,
    /// The trait's name, which is also the component's.
    pub(super) name: Ident,
    /// `#[async_trait]`, where the trait keeps it: its futures are boxed, and `dyn` of it is a type.
    pub(super) boxing: Option<Attribute>,
    pub(super) methods: Vec<Method>,
}

/// One method of an interface.
pub(super) struct Method {
    /// The method's attributes that are not ours.
    pub(super) attributes: Vec<Attribute>,
    pub(super) name: Ident,
    pub(super) idempotent: bool,
    /// The name of the argument by which calls are routed.
    pub(super) routed: Option<Ident>,
    pub(super) arguments: Vec<Argument>,
    pub(super) answer: Answer,
}

/// One argument after `&self`.
pub(super) struct Argument {
    pub(super) name: Ident,
    pub(super) kind: ArgumentKind,
}

/// How an argument is passed, and so how it travels.
#[expect(
    clippy::large_enum_variant,
    reason = "a handful of them live for one expansion"
)]
pub(super) enum ArgumentKind {
    /// By value: the type.
    Owned(Type),
    /// `&str`, which is read in place from the message.
    Str,
    /// `&[u8]`, which is read in place from the message.
    Bytes,
    /// Another shared reference: what it points at, and the type that is made from the message.
    Reference { target: Type, owned: Type },
    /// `impl Stream<Item = Result<T, E>>`.
    Stream(Items),
}

/// The item of a stream: `Result<T, E>`.
pub(super) struct Items {
    pub(super) result: Type,
}

/// What a method returns.
#[expect(
    clippy::large_enum_variant,
    reason = "a handful of them live for one expansion"
)]
pub(super) enum Answer {
    /// A `Result`, perhaps under another name.
    Value(Type),
    /// `Result<impl Stream<Item = Result<T, E>>, E>`.
    Stream { items: Items, error: Type },
}

impl Method {
    /// Whether a stream goes either way.
    pub(super) fn streams(&self) -> bool {
        self.stream_argument().is_some() || matches!(self.answer, Answer::Stream { .. })
    }

    /// The argument by which calls are routed.
    pub(super) fn key(&self) -> Option<&Argument> {
        let name = self.routed.as_ref()?;
        self.arguments.iter().find(|it| it.name == *name)
    }

    /// The argument that is a stream, if one is.
    pub(super) fn stream_argument(&self) -> Option<(&Ident, &Items)> {
        self.arguments
            .iter()
            .find_map(|argument| match &argument.kind {
                ArgumentKind::Stream(items) => Some((&argument.name, items)),
                _ => None,
            })
    }
}
