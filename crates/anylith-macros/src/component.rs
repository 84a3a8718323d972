//! `#[derive(Component)]` on a struct.

mod expand;
mod model;
mod parse;

use proc_macro2::TokenStream;
use syn::{DeriveInput, parse2};

use crate::mistakes::Mistakes;

/// Expands the derive.
pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let item: DeriveInput = match parse2(item) {
        Ok(item) => item,
        Err(error) => return error.into_compile_error(),
    };
    let mut mistakes = Mistakes::default();
    let implementation = parse::implementation(&item, &mut mistakes);
    match mistakes.into_error() {
        None => expand::implementation(&implementation),
        Some(error) => {
            let error = error.into_compile_error();
            let stand_in = item
                .generics
                .params
                .is_empty()
                .then(|| expand::stand_in(&implementation));
            quote::quote!(#error #stand_in)
        }
    }
}
