//! Which types can travel with a call, as far as their tokens tell.
//!
//! The rest is said by the compiler, through the bounds of `anylith::__rt`, at the same tokens.

use quote::ToTokens as _;
use syn::{
    AssocType, GenericArgument, PathArguments, Type, TypeImplTrait, TypeParamBound, TypeReference,
    visit::{self, Visit},
};

use super::model::{ArgumentKind, Items};
use crate::mistakes::Mistakes;

/// How an argument of type `written` travels; `None` if it cannot, which is then noted.
pub(super) fn argument(written: &Type, mistakes: &mut Mistakes) -> Option<ArgumentKind> {
    match written {
        Type::Reference(reference) => self::reference(reference, mistakes),
        Type::ImplTrait(stream) => self::stream(stream, mistakes).map(ArgumentKind::Stream),
        Type::Paren(inner) => argument(&inner.elem, mistakes),
        Type::Group(inner) => argument(&inner.elem, mistakes),
        other => check_owned(other, mistakes).then(|| ArgumentKind::Owned(other.clone())),
    }
}

fn reference(reference: &TypeReference, mistakes: &mut Mistakes) -> Option<ArgumentKind> {
    if reference.mutability.is_some() {
        mistakes.at(
            reference,
            "a callee cannot change its caller's values, which may be in another process: \
             take `&T`, and return the new value",
        );
        return None;
    }
    if let Some(lifetime) = &reference.lifetime {
        mistakes.at(
            lifetime,
            "a reference that is passed in a call lives as long as the call: leave the lifetime out",
        );
        return None;
    }
    let target = &*reference.elem;
    match target {
        Type::Slice(slice) if is_path(&slice.elem, "u8") => Some(ArgumentKind::Bytes),
        Type::Slice(slice) => {
            let element = &slice.elem;
            check_owned(element, mistakes).then(|| ArgumentKind::Reference {
                target: target.clone(),
                owned: syn::parse_quote!(::std::vec::Vec<#element>),
            })
        }
        Type::Path(_) if is_path(target, "str") => Some(ArgumentKind::Str),
        Type::Path(_) if is_path(target, "Path") => Some(ArgumentKind::Reference {
            target: target.clone(),
            owned: syn::parse_quote!(::std::path::PathBuf),
        }),
        other => check_owned(other, mistakes).then(|| ArgumentKind::Reference {
            target: other.clone(),
            owned: other.clone(),
        }),
    }
}

/// Whether the last word of a path without generic arguments is `name`.
fn is_path(written: &Type, name: &str) -> bool {
    matches!(written, Type::Path(path) if path.path.segments.last()
        .is_some_and(|last| last.ident == name && last.arguments.is_none()))
}

/// The two arguments of a type that is written `Result<T, E>`.
pub(super) fn result_of(written: &Type) -> Option<(&Type, &Type)> {
    let Type::Path(path) = written else {
        return None;
    };
    let last = path
        .path
        .segments
        .last()
        .filter(|last| last.ident == "Result")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    let mut types = arguments.args.iter().map(|argument| match argument {
        GenericArgument::Type(argument) => Some(argument),
        _ => None,
    });
    match (types.next().flatten(), types.next().flatten(), types.next()) {
        (Some(value), Some(error), None) => Some((value, error)),
        _ => None,
    }
}

/// The items of `impl Stream<Item = Result<T, E>>`.
pub(super) fn stream(written: &TypeImplTrait, mistakes: &mut Mistakes) -> Option<Items> {
    const MEND: &str =
        "the only `impl Trait` that can travel is `impl Stream<Item = Result<T, E>>`";
    let item = written.bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else {
            return None;
        };
        let last = bound
            .path
            .segments
            .last()
            .filter(|last| last.ident == "Stream")?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else {
            return None;
        };
        arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(AssocType { ident, ty, .. }) if ident == "Item" => Some(ty),
            _ => None,
        })
    });
    let Some(item) = item else {
        mistakes.at(written, MEND);
        return None;
    };
    if matches!(item, Type::ImplTrait(_)) {
        mistakes.at(item, MEND);
        return None;
    }
    check_owned(item, mistakes).then(|| Items {
        result: item.clone(),
    })
}

/// Whether `written` holds nothing that cannot leave its process; if it does, that is noted.
pub(super) fn check_owned(written: &Type, mistakes: &mut Mistakes) -> bool {
    let mut search = Search {
        mistakes,
        clean: true,
    };
    search.visit_type(written);
    search.clean
}

struct Search<'a> {
    mistakes: &'a mut Mistakes,
    clean: bool,
}

impl<'ast> Visit<'ast> for Search<'_> {
    fn visit_type(&mut self, node: &'ast Type) {
        let problem = match node {
            Type::Reference(inner) if inner.mutability.is_some() => Some(
                "a callee cannot change its caller's values, which may be in another process: pass the \
                 value, and return the new one",
            ),
            Type::Reference(_) => Some(
                "only a whole argument can be a reference; what is inside one, and what comes back, is \
                 owned: write `String` for `&str`, `Vec<T>` for `&[T]`, `T` for `&T`",
            ),
            Type::ImplTrait(_) => Some(
                "the only `impl Trait` that can travel is `impl Stream<Item = Result<T, E>>`, as a whole \
                 argument or as the `Ok` of the result",
            ),
            Type::TraitObject(_) => Some(
                "a trait object cannot travel to another process: use an enum of the types that are meant",
            ),
            Type::FnPtr(_) => Some(
                "a function cannot travel to another process: pass a value that says what is to be done",
            ),
            Type::Ptr(_) => Some("a pointer means nothing in another process: pass the value"),
            Type::Path(path)
                if path
                    .path
                    .segments
                    .first()
                    .is_some_and(|it| it.ident == "Self") =>
            {
                Some(
                    "`Self` is the component, which stays in its process: write the name of the type that is meant",
                )
            }
            Type::Infer(_) => Some("the type must be written out: it is part of the interface"),
            _ => None,
        };
        match problem {
            Some(problem) => {
                self.mistakes.at(node.to_token_stream(), problem);
                self.clean = false;
            }
            None => visit::visit_type(self, node),
        }
    }
}
