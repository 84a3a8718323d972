//! Writes out an implementation: how the runtime builds it, runs it and ends it.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Ident, ext::IdentExt as _, spanned::Spanned};

use super::model::{Field, Hooks, Implementation, Source};

/// The whole expansion.
pub(super) fn implementation(implementation: &Implementation) -> TokenStream {
    let parts = parts(implementation);
    let described = described(implementation);
    let hooks = [
        build(implementation),
        run(implementation),
        check_health(implementation),
        hand_over(implementation),
        shut_down(implementation),
    ];
    let name = &implementation.name;
    quote! {
        #parts

        #[automatically_derived]
        impl ::anylith::__rt::Component for #name {
            #described
            #(#hooks)*
        }
    }
}

/// How a field that the runtime fills is filled.
fn filled(
    Field {
        name,
        written,
        source,
        ..
    }: &Field,
) -> TokenStream {
    // What is wrong with a field is to be said at its type; but where a macro of the user's has brought that type along, a
    // name with its span would not be the argument's.
    let wiring = Ident::new("__wiring", Span::call_site());
    match source {
        Source::Config => quote_spanned!(written.span()=> #name: #wiring.config::<#written>()?),
        Source::Listener(text) => {
            quote_spanned!(written.span()=> #name: #wiring.listener(#text)?)
        }
        Source::Shared(client) => quote_spanned! {written.span()=>
            #name: ::std::sync::Arc::new(#wiring.client::<#client>())
        },
        Source::Default => {
            quote_spanned!(written.span()=> #name: ::core::default::Default::default())
        }
        Source::Dependency | Source::Init | Source::Unknown => {
            quote_spanned!(written.span()=> #name: #wiring.client::<#written>())
        }
    }
}

/// An implementation that compiles in the place of one with mistakes, so that they stay the only errors.
pub(super) fn stand_in(implementation: &Implementation) -> TokenStream {
    let Implementation {
        visibility, name, ..
    } = implementation;
    let text = name.unraw().to_string();
    let interface = interface(implementation);
    // Every field, whatever fills it: hooks may name any of them.
    let parts = implementation.has_parts().then(|| {
        let parts = parts_name(implementation);
        let fields = implementation
            .fields
            .iter()
            .map(|Field { name, written, .. }| quote!(#visibility #name: #written));
        quote! {
            #[allow(dead_code, private_interfaces, missing_docs)]
            #visibility struct #parts { #(#fields),* }

            impl ::anylith::__rt::Assembled for #name {
                type Parts = #parts;

                fn parts(
                    _: &::anylith::__rt::Wiring,
                ) -> ::core::result::Result<#parts, ::anylith::StartError> {
                    ::core::unreachable!("the component does not compile")
                }
            }
        }
    });
    quote! {
        #parts

        impl ::anylith::__rt::Component for #name {
            type Interface = #interface;
            type Dependencies = ();
            const NAME: &'static str = #text;

            async fn build(
                _: &::anylith::__rt::Wiring,
            ) -> ::core::result::Result<Self, ::anylith::StartError> {
                ::core::unreachable!("the component does not compile")
            }
        }
    }
}

fn parts_name(implementation: &Implementation) -> Ident {
    format_ident!("{}Parts", implementation.name.unraw())
}

/// The struct that the `start` hook takes, or what assembles the component in its place.
fn parts(implementation: &Implementation) -> TokenStream {
    if !implementation.has_parts() {
        return TokenStream::new();
    }
    let Implementation {
        visibility, name, ..
    } = implementation;
    let parts = parts_name(implementation);
    let about = format!(
        "What the runtime makes of a [`{}`]: each field that is not `#[init]`.",
        name.unraw()
    );
    let filled = implementation.wired().map(filled);
    let fields = implementation.wired().map(|Field { name, written, .. }| {
        let about = format!("The field `{}`.", name.unraw());
        quote!(#[doc = #about] #visibility #name: #written)
    });
    quote! {
        #[doc = #about]
        #[allow(dead_code, private_interfaces)]
        #visibility struct #parts { #(#fields),* }

        #[automatically_derived]
        impl ::anylith::__rt::Assembled for #name {
            type Parts = #parts;

            #[allow(unused_variables)]
            fn parts(
                __wiring: &::anylith::__rt::Wiring,
            ) -> ::core::result::Result<#parts, ::anylith::StartError> {
                ::core::result::Result::Ok(#parts { #(#filled),* })
            }
        }
    }
}

fn interface(implementation: &Implementation) -> TokenStream {
    match &implementation.client {
        Some(client) => quote!(#client),
        None => quote!(::anylith::__rt::NoInterface<Self>),
    }
}

fn described(implementation: &Implementation) -> TokenStream {
    let interface = interface(implementation);
    let summary = match (&implementation.summary, &implementation.client) {
        (own, Some(client)) if own.is_empty() => {
            quote!(<#client as ::anylith::__rt::Interface>::SUMMARY)
        }
        (own, _) => quote!(#own),
    };
    let name = match &implementation.client {
        Some(client) => quote!(<#client as ::anylith::__rt::Interface>::NAME),
        None => {
            let name = implementation.name.unraw().to_string();
            quote!(#name)
        }
    };
    let mut dependencies = quote!(());
    let mut listeners = Vec::new();
    let mut config = TokenStream::new();
    for field in implementation.fields.iter().rev() {
        let written = &field.written;
        match &field.source {
            Source::Dependency => {
                dependencies = quote_spanned!(written.span()=> (#written, #dependencies));
            }
            Source::Shared(client) => {
                dependencies = quote_spanned!(written.span()=> (#client, #dependencies));
            }
            Source::Listener(name) => listeners.insert(0, name),
            Source::Config => {
                config = quote_spanned! {written.span()=>
                    fn check_config(
                        config: &::anylith::__rt::Value,
                    ) -> ::std::vec::Vec<::anylith::__rt::ConfigProblem> {
                        ::anylith::__rt::config_problems::<#written>(config)
                    }
                    const HAS_CONFIG: bool = true;
                };
            }
            Source::Init | Source::Default | Source::Unknown => {}
        }
    }
    quote! {
        type Interface = #interface;
        type Dependencies = #dependencies;
        const NAME: &'static str = #name;
        const SUMMARY: &'static str = #summary;
        const LISTENERS: &'static [&'static str] = &[#(#listeners),*];
        #config
    }
}

fn build(implementation: &Implementation) -> TokenStream {
    // Only asked for where no field is left to somebody else.
    let filled = implementation.fields.iter().map(filled);
    let missing: Vec<String> = implementation
        .fields
        .iter()
        .filter(|field| matches!(field.source, Source::Init))
        .map(|field| field.name.unraw().to_string())
        .collect();
    let Hooks {
        start, hand_over, ..
    } = &implementation.hooks;
    let body = if let (Some(start), Some(hand_over)) = (start, hand_over) {
        let begun = quote_spanned! {start.span()=>
            ::anylith::__rt::hook::start_with::<Self, _, _, _>(
                Self::#start,
                Self::#hand_over,
                __parts,
                __wiring,
            ).await
        };
        quote! {
            let __parts = <Self as ::anylith::__rt::Assembled>::parts(__wiring)?;
            #begun
        }
    } else if let Some(start) = start {
        let begun = quote_spanned! {start.span()=>
            ::anylith::__rt::hook::start::<Self, _>(Self::#start, __parts).await
        };
        quote! {
            let __parts = <Self as ::anylith::__rt::Assembled>::parts(__wiring)?;
            #begun
        }
    } else if missing.is_empty() {
        quote!(::core::result::Result::Ok(Self { #(#filled),* }))
    } else {
        quote!(::core::result::Result::Err(::anylith::StartError::not_given(&[#(#missing),*])))
    };
    quote! {
        async fn build(
            __wiring: &::anylith::__rt::Wiring,
        ) -> ::core::result::Result<Self, ::anylith::StartError> {
            #body
        }
    }
}

fn run(implementation: &Implementation) -> TokenStream {
    let Some(serve) = &implementation.hooks.serve else {
        return TokenStream::new();
    };
    let begun = quote_spanned! {serve.span()=>
        ::anylith::__rt::hook::serve::<Self, _>(Self::#serve, self, __stopping).await
    };
    quote! {
        async fn run(
            self: ::std::sync::Arc<Self>,
            __stopping: ::anylith::Stopping,
        ) -> ::core::result::Result<(), ::anylith::StartError> {
            #begun
        }
    }
}

fn check_health(implementation: &Implementation) -> TokenStream {
    let Some(healthy) = &implementation.hooks.healthy else {
        return TokenStream::new();
    };
    let begun = quote_spanned! {healthy.span()=>
        ::anylith::__rt::hook::healthy::<Self, _>(Self::#healthy, self).await
    };
    quote! {
        const CHECKS_HEALTH: bool = true;

        async fn check_health(&self) -> ::core::result::Result<(), ::anylith::StartError> {
            #begun
        }
    }
}

fn hand_over(implementation: &Implementation) -> TokenStream {
    let singleton = implementation.singleton.then(|| {
        quote!(
            const SINGLETON: bool = true;
        )
    });
    let hook = implementation.hooks.hand_over.as_ref().map(|hand_over| {
        let begun = quote_spanned! {hand_over.span()=>
            ::anylith::__rt::hook::hand_over::<Self, _>(Self::#hand_over, self).await
        };
        quote! {
            const HANDS_OVER: bool = true;

            async fn hand_over(
                &self,
            ) -> ::core::result::Result<::std::string::String, ::anylith::StartError> {
                #begun
            }
        }
    });
    quote!(#singleton #hook)
}

fn shut_down(implementation: &Implementation) -> TokenStream {
    let Some(stop) = &implementation.hooks.stop else {
        return TokenStream::new();
    };
    let begun = quote_spanned! {stop.span()=>
        ::anylith::__rt::hook::stop::<Self, _>(Self::#stop, self).await
    };
    quote! {
        async fn shut_down(&self) {
            #begun;
        }
    }
}
