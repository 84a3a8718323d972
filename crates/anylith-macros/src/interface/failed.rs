//! What is emitted for a trait with mistakes in it: the mistakes, and enough of everything else that the
//! code around it still compiles.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, FnArg, ItemTrait, ReturnType, TraitItem};

use super::{expand::client_name, parse};

/// The trait as it was written, less our marks; a client without an edge; and the mistakes.
pub(super) fn interface(item: &ItemTrait, error: &Error) -> TokenStream {
    let mut item = item.clone();
    for member in &mut item.items {
        if let TraitItem::Fn(method) = member {
            method
                .attrs
                .retain(|attribute| !attribute.path().is_ident("idempotent"));
        }
    }
    let error = error.to_compile_error();
    let (visibility, name) = (&item.vis, &item.ident);
    let client = client_name(name);
    let text = name.to_string();
    // A trait with parameters has no one client that could stand in for it.
    let implemented = item.generics.params.is_empty() && item.items.iter().all(can_stand_in);
    let stand_in = implemented.then(|| {
        let methods = item.items.iter().filter_map(|member| match member {
            TraitItem::Fn(method) => {
                let signature = &method.sig;
                Some(quote! {
                    #[allow(unused_variables)]
                    #signature { ::core::unreachable!("the interface does not compile") }
                })
            }
            _ => None,
        });
        let boxing = parse::boxing(&item.attrs);
        let dynamic = boxing.map(|_| {
            quote! {
                impl ::anylith::__rt::DynInterface for dyn #name {
                    type Client = #client;
                }
            }
        });
        quote! {
            #boxing
            impl #name for #client { #(#methods)* }

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

/// Whether a body that never returns fits the member's signature.
fn can_stand_in(member: &TraitItem) -> bool {
    let TraitItem::Fn(method) = member else {
        return false;
    };
    let no_opaque_result = match &method.sig.output {
        ReturnType::Default => true,
        ReturnType::Type(_, output) => !quote!(#output)
            .to_string()
            .split_whitespace()
            .any(|word| word == "impl"),
    };
    let named = method.sig.inputs.iter().all(|input| match input {
        FnArg::Receiver(_) => true,
        FnArg::Typed(argument) => matches!(*argument.pat, syn::Pat::Ident(_) | syn::Pat::Wild(_)),
    });
    no_opaque_result && named
}
