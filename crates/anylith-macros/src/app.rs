//! `app!`: the closed set of components that make an application.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote, quote_spanned};
use syn::{
    Attribute, Ident, LitStr, Token, Type, Visibility, braced,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    spanned::Spanned,
};

use crate::{interface::expand::summary, mistakes::Mistakes};

/// `pub Shop = "shop" { CartService, CheckoutService }`.
struct App {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    name: Ident,
    text: LitStr,
    components: Punctuated<Type, Token![,]>,
}

impl Parse for App {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let name: Ident = input.parse()?;
        input.parse::<Token![=]>()?;
        let text: LitStr = input.parse()?;
        let value = text.value();
        let first = value.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        let rest = value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !first || !rest || value.len() > 48 {
            return Err(syn::Error::new(
                text.span(),
                "the name of an application is a letter, then letters, digits, `_` or `-`, at most 48 in all",
            ));
        }
        let list;
        braced!(list in input);
        let components = Punctuated::parse_terminated(&list)?;
        if components.is_empty() {
            return Err(syn::Error::new(
                name.span(),
                "an application has at least one component: name the structs with \
                 `#[derive(anylith::Component)]` between the braces",
            ));
        }
        Ok(Self {
            attributes,
            visibility,
            name,
            text,
            components,
        })
    }
}

/// Expands the macro.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let App {
        attributes,
        visibility,
        name,
        text,
        components,
    } = match syn::parse2(input) {
        Ok(app) => app,
        Err(error) => {
            let error = syn::Error::new(
                error.span(),
                format!(
                    "{error}; an application is written `pub Shop = \"shop\" {{ CartService, CheckoutService }}`"
                ),
            );
            return error.into_compile_error();
        }
    };
    let (components, twice) = distinct(components);
    let summary = summary(&attributes);
    let provided = components.iter().map(|component| {
        quote_spanned! {component.span()=>
            impl ::anylith::__rt::Provides<<#component as ::anylith::__rt::Component>::Interface> for #name {}
        }
    });
    let closed = components.iter().map(|component| {
        quote_spanned!(component.span()=> ::anylith::__rt::assert_closed::<#name, #component>();)
    });
    let names = components
        .iter()
        .enumerate()
        .skip(1)
        .map(|(at, component)| {
            let earlier = components[..at]
                .iter()
                .map(|earlier| quote!(<#earlier as ::anylith::__rt::Component>::NAME));
            quote_spanned! {component.span()=>
                const _: () = ::anylith::__rt::assert_first_of_its_name(
                    <#component as ::anylith::__rt::Component>::NAME,
                    &[#(#earlier),*],
                );
            }
        });
    let registered = components.iter();
    quote! {
        #twice

        #(#attributes)*
        #[derive(Clone, Copy, Debug)]
        #visibility struct #name;

        #(#provided)*

        #(#names)*

        const _: () = {
            #[allow(dead_code)]
            fn closed() {
                #(#closed)*
            }
        };

        impl ::anylith::__rt::Application for #name {
            const NAME: &'static str = #text;
            const SUMMARY: &'static str = #summary;

            fn components() -> ::std::vec::Vec<::anylith::__rt::Registration> {
                ::std::vec![#(::anylith::__rt::Registration::of::<#registered>()),*]
            }
        }

        #[allow(dead_code)]
        impl #name {
            /// Runs this process in the role that it was given, until it is told to stop. See
            /// [`anylith::Builder::run`](::anylith::Builder::run).
            #visibility async fn run() -> ::std::process::ExitCode {
                Self::builder().run().await
            }

            /// Starts this process in the role that it was given, beside what the process does already.
            /// See [`anylith::Builder::start`](::anylith::Builder::start).
            ///
            /// # Errors
            ///
            /// What kept a component from starting, or is wrong in `anylith.toml`.
            #visibility async fn start() -> ::core::result::Result<::anylith::Running, ::anylith::AppError> {
                Self::builder().start().await
            }

            /// Takes components that were made by hand, before the application runs.
            #visibility fn builder() -> ::anylith::Builder<Self> {
                ::anylith::Builder::new()
            }
        }
    }
}

/// Each component once, and the mistakes: those that are listed more often.
fn distinct(listed: Punctuated<Type, Token![,]>) -> (Vec<Type>, Option<TokenStream>) {
    let mut mistakes = Mistakes::default();
    let mut components: Vec<Type> = Vec::new();
    for component in listed {
        if components.contains(&component) {
            let name = component.to_token_stream();
            mistakes.at(
                &component,
                format!("`{name}` is listed twice: an application has each component once, and a topology says how many replicas it has"),
            );
        } else {
            components.push(component);
        }
    }
    (
        components,
        mistakes.into_error().map(syn::Error::into_compile_error),
    )
}
