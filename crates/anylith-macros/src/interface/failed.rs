//! What is emitted for a trait with mistakes in it: the mistakes, and enough of everything else that the
//! code around it still compiles.

use std::collections::HashSet;

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    Error, FnArg, ItemTrait, Pat, ReturnType, TraitItem, Type, TypeImplTrait, TypeParamBound,
    ext::IdentExt as _,
    parse_quote,
    visit_mut::{self, VisitMut},
};

use super::{expand::client_name, parse, travel};
use crate::mistakes::Mistakes;

/// The trait as it was written, less our marks; a client without an edge; and the mistakes.
pub(super) fn interface(item: &ItemTrait, error: &Error) -> TokenStream {
    let mut item = item.clone();
    said_once(&mut item);
    for member in &mut item.items {
        if let TraitItem::Fn(method) = member {
            method
                .attrs
                .retain(|it| !it.path().is_ident("idempotent") && !it.path().is_ident("routed"));
            // `Stream` needs no import in an interface, so it has to be found in this one as well.
            NamedStreams.visit_signature_mut(&mut method.sig);
        }
    }
    let error = error.to_compile_error();
    let (visibility, unsafety, name) = (&item.vis, &item.unsafety, &item.ident);
    let client = client_name(name);
    let text = name.unraw().to_string();
    // A trait with parameters has no one client that could stand in for it.
    let implemented = item.generics.params.is_empty() && item.items.iter().all(can_stand_in);
    let stand_in = implemented.then(|| {
        let methods = item.items.iter().filter_map(|member| match member {
            TraitItem::Fn(method) => {
                let mut signature = method.sig.clone();
                NamedResults.visit_return_type_mut(&mut signature.output);
                Some(quote! {
                    #[allow(unused_variables, refining_impl_trait)]
                    #signature { ::core::unreachable!("the interface does not compile") }
                })
            }
            _ => None,
        });
        let boxing = parse::boxing(&item.attrs);
        let fits_a_pointer = !item
            .items
            .iter()
            .any(|it| is_opaque(it) || names_itself(it));
        let dynamic = boxing.as_ref().filter(|_| fits_a_pointer).map(|_| {
            quote! {
                impl ::anylith::__rt::DynInterface for dyn #name {
                    type Client = #client;
                }
            }
        });
        quote! {
            #boxing
            #unsafety impl #name for #client { #(#methods)* }

            #dynamic
        }
    });
    quote! {
        #error

        #[allow(async_fn_in_trait)]
        #item

        #[derive(Clone, Debug)]
        #visibility struct #client(());

        #stand_in

        impl ::anylith::__rt::Interface for #client {
            const NAME: &'static str = #text;
            const SUMMARY: &'static str = "";
            const METHODS: &'static [::anylith::__rt::Method] = &[];
            type Object = ();

            fn fingerprint() -> ::anylith::__rt::Fingerprint {
                ::anylith::__rt::InterfacePrint::new().finish()
            }

            fn from_edge(_: ::anylith::__rt::ClientEdge<Self::Object>) -> Self {
                Self(())
            }
        }

        impl<__C: ::core::marker::Send + ::core::marker::Sync + 'static>
            ::anylith::__rt::ImplementedBy<__C> for #client
        {
            fn object(_: ::std::sync::Arc<__C>) -> ::std::sync::Arc<()> {
                ::std::sync::Arc::new(())
            }

            fn serve(
                _: ::std::sync::Arc<__C>,
                call: ::anylith::__rt::IncomingCall,
            ) -> ::anylith::__rt::BoxFuture<'static, ::anylith::__rt::Answer> {
                call.unknown_method()
            }
        }
    }
}

/// Takes out what the compiler would find fault with once more, in other words.
fn said_once(item: &mut ItemTrait) {
    let mut methods = HashSet::new();
    item.items.retain(|member| match member {
        TraitItem::Fn(method) => methods.insert(method.sig.ident.clone()),
        _ => true,
    });
    for member in &mut item.items {
        let TraitItem::Fn(method) = member else {
            continue;
        };
        let mut arguments = HashSet::new();
        for input in &mut method.sig.inputs {
            if let FnArg::Typed(argument) = input
                && let Pat::Ident(pattern) = &*argument.pat
                && !arguments.insert(pattern.ident.clone())
            {
                *argument.pat = parse_quote!(_);
            }
        }
    }
    if item.items.iter().any(names_itself) {
        item.supertraits.push(parse_quote!(::core::marker::Sized));
    }
}

/// Whether the member's signature names `Self`, which has to have a size then.
fn names_itself(member: &TraitItem) -> bool {
    let TraitItem::Fn(method) = member else {
        return false;
    };
    has_word(&method.sig, "Self")
}

/// Whether a type in the member's signature is left to the implementation.
fn is_opaque(member: &TraitItem) -> bool {
    let TraitItem::Fn(method) = member else {
        return false;
    };
    has_word(&method.sig, "impl")
}

fn has_word(tokens: &impl ToTokens, sought: &str) -> bool {
    fn has(tokens: TokenStream, sought: &str) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(word) => word == sought,
            TokenTree::Group(group) => has(group.stream(), sought),
            _ => false,
        })
    }
    has(tokens.to_token_stream(), sought)
}

/// Whether a body that never returns fits the member's signature.
fn can_stand_in(member: &TraitItem) -> bool {
    let TraitItem::Fn(method) = member else {
        return false;
    };
    let no_opaque_result = match &method.sig.output {
        ReturnType::Default => true,
        ReturnType::Type(_, output) => {
            let mut output = output.clone();
            NamedResults.visit_type_mut(&mut output);
            !has_word(&output, "impl")
        }
    };
    let named = method.sig.inputs.iter().all(|input| match input {
        FnArg::Receiver(_) => true,
        FnArg::Typed(argument) => matches!(*argument.pat, Pat::Ident(_) | Pat::Wild(_)),
    });
    no_opaque_result && named
}

/// Writes the whole path for `Stream` in `impl Stream<..>`.
struct NamedStreams;

impl VisitMut for NamedStreams {
    fn visit_type_impl_trait_mut(&mut self, node: &mut TypeImplTrait) {
        for bound in &mut node.bounds {
            if let TypeParamBound::Trait(bound) = bound
                && bound.path.segments.len() == 1
                && bound.path.segments[0].ident == "Stream"
            {
                let stream = &bound.path.segments[0];
                bound.path = parse_quote!(::anylith::__rt::#stream);
            }
        }
        visit_mut::visit_type_impl_trait_mut(self, node);
    }
}

/// Gives a stream in a result a type with a name, which a body that never returns can have.
struct NamedResults;

impl VisitMut for NamedResults {
    fn visit_type_mut(&mut self, node: &mut Type) {
        if let Type::ImplTrait(stream) = node
            && let Some(items) = travel::stream(stream, &mut Mistakes::default())
        {
            let result = items.result;
            *node = parse_quote!(::anylith::__rt::StreamingOf<#result>);
        }
        visit_mut::visit_type_mut(self, node);
    }
}
