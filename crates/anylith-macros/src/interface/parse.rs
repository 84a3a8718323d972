//! Reads a trait into the model and notes every mistake on the way.

use std::collections::HashSet;

use syn::{
    Attribute, FnArg, Ident, ItemTrait, Meta, Pat, PatType, ReceiverKind, ReturnType, Safety,
    TraitItem, TraitItemFn, Type, TypeParamBound,
};

use super::{
    model::{Answer, Argument, ArgumentKind, Interface, Method},
    routed, travel,
};
use crate::mistakes::Mistakes;

/// Reads a whole trait. What could not be understood is missing from the result, and noted.
pub(super) fn interface(item: &ItemTrait, mistakes: &mut Mistakes) -> Interface {
    if !item.generics.params.is_empty() {
        mistakes.at(
            &item.generics,
            "the interface of a component cannot be generic: there is one component behind it; \
             write the trait for one type, or let its methods take an enum",
        );
    }
    if let Some(unsafety) = &item.unsafety {
        mistakes.at(unsafety, "the interface of a component cannot be unsafe");
    }
    for bound in &item.supertraits {
        if !is_implied(bound) {
            mistakes.at(
                bound,
                "the interface of a component has no supertraits but `Send`, `Sync` and `'static`, \
                 which it has anyway: its client could not implement others",
            );
        }
    }
    let boxing = boxing(&item.attrs);
    if let Some(Attribute {
        meta: Meta::List(list),
        ..
    }) = boxing
    {
        mistakes.at(
            list,
            "the futures of a component can be sent between threads: write `#[async_trait]`",
        );
    }
    let mut names = HashSet::new();
    let methods: Vec<Method> = item
        .items
        .iter()
        .filter_map(|item| match item {
            TraitItem::Fn(method) if is_boxed_already(method) => {
                mistakes.at(
                    &method.sig.ident,
                    "`#[async_trait]` has rewritten the method already: write `#[anylith::component]` \
                     above `#[async_trait]`",
                );
                None
            }
            TraitItem::Fn(method) => {
                let name = &method.sig.ident;
                if !names.insert(name) {
                    mistakes.at(
                        name,
                        format!(
                            "the interface has a method `{name}` already, and a call names its method: \
                             give this one another name"
                        ),
                    );
                    return None;
                }
                self::method(method, mistakes)
            }
            other => {
                mistakes.at(
                    other,
                    "the interface of a component has only methods: nothing else can be asked of a \
                     component in another process",
                );
                None
            }
        })
        .collect();
    if boxing.is_some() {
        for method in methods.iter().filter(|method| method.streams()) {
            mistakes.at(
                &method.name,
                "`#[async_trait]` has no place for a stream: take it out, here and above the \
                 implementations",
            );
        }
    }
    Interface {
        attributes: item.attrs.clone(),
        visibility: item.vis.clone(),
        name: item.ident.clone(),
        boxing: boxing.cloned(),
        methods,
    }
}

/// `#[async_trait]` among the attributes of a trait.
pub(super) fn boxing(attributes: &[Attribute]) -> Option<&Attribute> {
    attributes.iter().find(|attribute| {
        let last = attribute.path().segments.last();
        last.is_some_and(|last| last.ident == "async_trait")
    })
}

/// Whether `#[async_trait]` was here before us: it names a lifetime after itself.
fn is_boxed_already(method: &TraitItemFn) -> bool {
    let mut lifetimes = method.sig.generics.lifetimes();
    lifetimes.any(|parameter| parameter.lifetime.ident == "async_trait")
}

fn is_implied(bound: &TypeParamBound) -> bool {
    match bound {
        TypeParamBound::Lifetime(lifetime) => lifetime.ident == "static",
        TypeParamBound::Trait(bound) => bound
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == "Send" || last.ident == "Sync"),
        _ => false,
    }
}

fn method(item: &TraitItemFn, mistakes: &mut Mistakes) -> Option<Method> {
    let signature = &item.sig;
    if signature.asyncness.is_none() {
        mistakes.at(
            signature.fn_token,
            "a method of a component is an `async fn`, since the component may be in another process: \
             write `async fn`",
        );
    }
    if let Safety::Unsafe(unsafety) = &signature.safety {
        mistakes.at(
            unsafety,
            "a method of a component cannot be unsafe: its caller may be another process, which can promise nothing",
        );
    }
    if !signature.generics.params.is_empty() {
        mistakes.at(
            &signature.generics,
            "a method of a component cannot be generic: its arguments travel as one fixed type; \
             write the type out (lifetimes need no name here)",
        );
    }
    if let Some(body) = &item.default {
        mistakes.at(
            body,
            "a method of a component has no body here: its client could not run it; \
             move the body to the implementation",
        );
    }
    let marks = method_attributes(&item.attrs, mistakes);
    check_receiver(item, mistakes);
    let arguments: Vec<Argument> = signature
        .inputs
        .iter()
        .filter_map(|input| match input {
            FnArg::Typed(argument) => self::argument(argument, mistakes),
            FnArg::Receiver(_) => None,
        })
        .collect();
    let mut names = HashSet::new();
    for second in arguments.iter().filter(|it| !names.insert(&it.name)) {
        let name = &second.name;
        mistakes.at(
            name,
            format!("the method has an argument `{name}` already: give this one another name"),
        );
    }
    if let Some(key) = &marks.routed {
        routed::check(key, &arguments, mistakes);
    }
    let answer = answer(&signature.ident, &signature.output, mistakes)?;
    let idempotent = marks.idempotent;
    let method = Method {
        attributes: marks.others,
        name: signature.ident.clone(),
        idempotent,
        routed: marks.routed,
        arguments,
        answer,
    };
    let streams = method
        .arguments
        .iter()
        .filter(|it| matches!(it.kind, ArgumentKind::Stream(_)))
        .count();
    if streams > 1 {
        mistakes.at(
            &signature.inputs,
            "a method of a component takes one stream at most: join them into one stream of an enum",
        );
    }
    if idempotent && streams > 0 {
        let mark = item
            .attrs
            .iter()
            .find(|attribute| attribute.path().is_ident("idempotent"));
        mistakes.at(
            mark,
            "a method that takes a stream cannot be `#[idempotent]`: the items that were already taken \
             from the stream could not be sent again; leave the mark out",
        );
    }
    Some(method)
}

/// The attributes of a method, ours apart from the others.
#[derive(Default)]
struct Marks {
    idempotent: bool,
    routed: Option<Ident>,
    others: Vec<Attribute>,
}

/// Takes our own marks out of a method's attributes.
fn method_attributes(all: &[Attribute], mistakes: &mut Mistakes) -> Marks {
    let mut marks = Marks::default();
    for attribute in all {
        if attribute.path().is_ident("idempotent") {
            if let Err(error) = attribute.meta.require_path_only() {
                mistakes.add(error);
            }
            marks.idempotent = true;
        } else if attribute.path().is_ident("routed") {
            match routed::key(attribute) {
                Ok(_) if marks.routed.is_some() => mistakes.at(
                    attribute,
                    "a call is routed by one key: take one of the two out, or join both arguments in one \
                     type",
                ),
                Ok(key) => marks.routed = Some(key),
                Err(error) => mistakes.add(error),
            }
        } else if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
            mistakes.at(
                attribute,
                "a method of a component cannot be conditional: caller and callee must agree on the \
                 interface; put the condition on the whole trait",
            );
        } else {
            marks.others.push(attribute.clone());
        }
    }
    marks
}

fn check_receiver(item: &TraitItemFn, mistakes: &mut Mistakes) {
    const MEND: &str = "a component is shared by all its callers: write `&self`, and keep what changes \
                        in a `Mutex` or an atomic";
    let Some(receiver) = item.sig.receiver() else {
        mistakes.at(
            &item.sig.ident,
            "a method of a component takes `&self`: there is nothing else to call it on",
        );
        return;
    };
    match &receiver.kind {
        ReceiverKind::Reference(_, _, None) => {}
        ReceiverKind::Reference(_, _, Some(_)) => {
            mistakes.at(
                receiver,
                format!("a call cannot have the component for itself: {MEND}"),
            );
        }
        ReceiverKind::Value => {
            mistakes.at(
                receiver,
                format!("a call cannot consume the component: {MEND}"),
            );
        }
        _ => {
            mistakes.at(
                receiver,
                format!("the receiver cannot have a type of its own: {MEND}"),
            );
        }
    }
}

fn argument(argument: &PatType, mistakes: &mut Mistakes) -> Option<Argument> {
    for attribute in &argument.attrs {
        mistakes.at(
            attribute,
            "an argument of a component's method has no attributes",
        );
    }
    let name: Ident = match &*argument.pat {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
            pattern.ident.clone()
        }
        other => {
            mistakes.at(
                other,
                "give the argument a name: it is part of the interface",
            );
            return None;
        }
    };
    let kind = travel::argument(&argument.ty, mistakes)?;
    Some(Argument { name, kind })
}

fn answer(method: &Ident, output: &ReturnType, mistakes: &mut Mistakes) -> Option<Answer> {
    let ReturnType::Type(_, output) = output else {
        mistakes.at(
            method,
            "a method of a component returns a `Result`, since a call can fail on the way: \
             write `-> Result<(), E>`, where `E: From<anylith::CallError>`",
        );
        return None;
    };
    if let Type::ImplTrait(stream) = &**output {
        mistakes.at(
            stream,
            "a stream can fail to begin: write `Result<impl Stream<Item = Result<T, E>>, E>`",
        );
        return None;
    }
    if let Some((value, error)) = travel::result_of(output)
        && let Type::ImplTrait(stream) = value
    {
        travel::check_owned(error, mistakes);
        let items = travel::stream(stream, mistakes)?;
        return Some(Answer::Stream {
            items,
            error: error.clone(),
        });
    }
    travel::check_owned(output, mistakes);
    Some(Answer::Value((**output).clone()))
}
