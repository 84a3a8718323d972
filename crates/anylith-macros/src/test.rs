//! `#[anylith::test]` on a function.

mod expand;
mod model;
mod parse;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemFn, parse2};

use crate::mistakes::Mistakes;

/// Expands the attribute.
pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let function: ItemFn = match parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let error = syn::Error::new(
                error.span(),
                format!("`#[anylith::test]` goes on an `async fn`, the body of a test: {error}"),
            )
            .into_compile_error();
            return quote!(#item #error);
        }
    };
    let mut mistakes = Mistakes::default();
    let test = parse::test(arguments, &function, &mut mistakes);
    match (test, mistakes.into_error()) {
        (Some(test), None) => expand::test(&test),
        (_, error) => {
            let error = error.map(syn::Error::into_compile_error);
            let body = expand::body_alone(&function);
            quote!(#error #body)
        }
    }
}
