//! `#[component]` on a trait.

pub(crate) mod expand;
mod failed;
mod model;
mod parse;
mod routed;
mod travel;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemTrait, parse2};

use crate::mistakes::Mistakes;

/// Expands the attribute.
pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let item: ItemTrait = match parse2(item.clone()) {
        Ok(item) => item,
        Err(error) => {
            let error = syn::Error::new(
                error.span(),
                format!("`#[component]` goes on a trait, the interface of a component: {error}"),
            )
            .into_compile_error();
            return quote!(#item #error);
        }
    };
    let mut mistakes = Mistakes::default();
    if !arguments.is_empty() {
        mistakes.at(
            arguments,
            "`#[component]` on a trait takes no arguments; the component is named after the trait",
        );
    }
    let interface = parse::interface(&item, &mut mistakes);
    match mistakes.into_error() {
        None => expand::interface(&interface),
        Some(error) => failed::interface(&item, &error),
    }
}
