//! Writes out a test: the user's function, and a module of its name with a `#[test]` for each topology.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Ident, ItemFn, ext::IdentExt as _, spanned::Spanned};

use super::model::{Argument, Fake, Start, Test};

/// The whole expansion.
pub(super) fn test(test: &Test) -> TokenStream {
    let Test {
        body,
        on_tests,
        on_everything,
        ..
    } = test;
    let name = &body.sig.ident;
    let about = format!("The test [`{name}`](fn@{name}), in each topology.");
    let run = run(test);
    let run_name = run_name(name);
    let tests = test.topologies.iter().map(|topology| {
        let value = topology_value(topology);
        let path = format!("::{topology}");
        quote! {
            #[::core::prelude::v1::test]
            #(#on_tests)*
            fn #topology() {
                super::#run_name(#value, ::core::concat!(::core::module_path!(), #path));
            }
        }
    });
    quote! {
        #(#on_everything)*
        #[cfg(test)]
        #body

        #(#on_everything)*
        #run

        #(#on_everything)*
        #[doc = #about]
        #[cfg(test)]
        mod #name {
            #(#tests)*
        }
    }
}

/// The function alone, so that a mistake in the attribute stays the only error.
pub(super) fn body_alone(function: &ItemFn) -> TokenStream {
    let mut function = function.clone();
    function.attrs.retain(|attribute| {
        !attribute.path().is_ident("ignore") && !attribute.path().is_ident("should_panic")
    });
    quote!(#[allow(dead_code)] #function)
}

fn run_name(test: &Ident) -> Ident {
    let test = test.unraw();
    format_ident!("__{test}_in")
}

/// The function that all topologies share.
fn run(test: &Test) -> TokenStream {
    let Test { app, with, .. } = test;
    let name = &test.body.sig.ident;
    let run_name = run_name(name);
    let settings = match &test.settings {
        Some(settings) => quote!(#settings),
        None => quote!(""),
    };
    let fakes = test
        .fakes
        .iter()
        .map(|Fake { client, value }| quote_spanned!(client.span()=> .fake::<#client, _>(#value)));
    let (entry, body) = match &test.start {
        Start::Body => (
            quote!(run_unstarted),
            quote!(async move |__builder| #name(__builder).await),
        ),
        Start::Kit(arguments) => {
            let passed = arguments.iter().map(passed);
            (
                quote!(run),
                quote!(async |__cluster: &::anylith_test::Cluster<#app>| #name(#(#passed),*).await),
            )
        }
    };
    quote! {
        #[cfg(test)]
        fn #run_name(topology: ::anylith_test::Topology, path: &'static str) {
            ::anylith_test::__rt::#entry::<#app, _>(
                ::anylith_test::__rt::Case { topology, path, settings: #settings },
                |__app| __app #(.with(#with))*,
                |__cluster| __cluster #(#fakes)*,
                #body,
            )
        }
    }
}

fn passed(argument: &Argument) -> TokenStream {
    match argument {
        Argument::Client(client) => quote_spanned!(client.span()=> __cluster.client::<#client>()),
        Argument::Fake(fake) => quote_spanned!(fake.span()=> __cluster.fake::<#fake>()),
        Argument::Cluster => quote!(__cluster),
    }
}

fn topology_value(topology: &Ident) -> TokenStream {
    let name = topology.unraw().to_string();
    match name.as_str() {
        "direct" => quote!(::anylith_test::Topology::Direct),
        "wire" => quote!(::anylith_test::Topology::Wire),
        "processes" => quote!(::anylith_test::Topology::Processes),
        "processes_tcp" => quote!(::anylith_test::Topology::ProcessesTcp),
        own => quote!(::anylith_test::Topology::Named(#own)),
    }
}
