//! Holds the expansions in `expansions/` equal to what the macros write. `UPDATE=1 cargo test -p anylith-macros`
//! rewrites them: read the difference before you commit it.

use std::{env, fs, path::PathBuf};

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::{File, Item};

/// Expands the one macro in `expansions/NAME.rs` and compares.
fn check(name: &str, expand: impl FnOnce(&Item) -> TokenStream) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("expansions");
    let written = fs::read_to_string(folder.join(format!("{name}.rs"))).unwrap();
    let file: File = syn::parse_str(&written).unwrap();
    let expansion: File = syn::parse2(expand(&file.items[0])).unwrap();
    let text = format!(
        "// What the macro makes of `{name}.rs`.\n\n{}",
        prettyplease::unparse(&expansion)
    );
    let golden = folder.join(format!("{name}.expanded.rs"));
    if env::var_os("UPDATE").is_some() {
        fs::write(&golden, &text).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&golden).unwrap_or_default(),
        text,
        "{} is out of date: UPDATE=1 cargo test -p anylith-macros",
        golden.display()
    );
}

#[test]
fn an_interface_expands_as_shown() {
    check("interface", |item| {
        let Item::Trait(mut interface) = item.clone() else {
            unreachable!()
        };
        interface
            .attrs
            .retain(|attribute| attribute.path().is_ident("doc"));
        crate::interface::expand(TokenStream::new(), &interface.into_token_stream())
    });
}

#[test]
fn a_component_expands_as_shown() {
    check("component", |item| {
        let Item::Struct(mut component) = item.clone() else {
            unreachable!()
        };
        component
            .attrs
            .retain(|attribute| !attribute.path().is_ident("derive"));
        crate::component::expand(quote!(#component))
    });
}

#[test]
fn an_application_expands_as_shown() {
    check("app", |item| {
        let Item::Macro(app) = item else {
            unreachable!()
        };
        crate::app::expand(app.mac.tokens.clone())
    });
}
