//! Reads a struct into the model and notes every mistake on the way.

use syn::{
    Attribute, Data, DeriveInput, Fields, GenericArgument, Ident, LitStr, Path, PathArguments,
    Type, TypeParamBound, spanned::Spanned as _,
};

use super::model::{Field, Hooks, Implementation, Source};
use crate::{interface::expand, mistakes::Mistakes};

/// Reads a whole struct. What could not be understood is missing from the result, and noted.
pub(super) fn implementation(item: &DeriveInput, mistakes: &mut Mistakes) -> Implementation {
    if !item.generics.params.is_empty() {
        mistakes.at(
            &item.generics,
            "a component cannot be generic: an application names each of its components; \
             write the struct for one type",
        );
    }
    let (client, hooks) = struct_attributes(&item.attrs, mistakes);
    let fields = fields(item, mistakes);
    let config = fields
        .iter()
        .filter(|field| matches!(field.source, Source::Config));
    if let Some(second) = config.clone().nth(1) {
        mistakes.at(
            &second.name,
            "a component has one section in `anylith.toml`, and so one `#[config]` field: \
             put both into one struct",
        );
    }
    Implementation {
        visibility: item.vis.clone(),
        name: item.ident.clone(),
        summary: expand::summary(&item.attrs),
        client,
        hooks,
        fields,
    }
}

fn struct_attributes(attributes: &[Attribute], mistakes: &mut Mistakes) -> (Option<Path>, Hooks) {
    let mut client = None;
    let mut hooks = Hooks::default();
    for attribute in attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("component"))
    {
        let read = attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("interface") {
                let interface: Path = meta.value()?.parse()?;
                client = Some(expand::client_path(&interface));
            } else if meta.path.is_ident("start") {
                hooks.start = true;
            } else if meta.path.is_ident("serve") {
                hooks.serve = true;
            } else if meta.path.is_ident("stop") {
                hooks.stop = true;
            } else {
                return Err(meta.error(
                    "not known here: write `interface = Trait`, `start`, `serve` or `stop`",
                ));
            }
            Ok(())
        });
        if let Err(error) = read {
            mistakes.add(error);
        }
    }
    (client, hooks)
}

fn fields(item: &DeriveInput, mistakes: &mut Mistakes) -> Vec<Field> {
    let fields = match &item.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => &fields.named,
            Fields::Unit => return Vec::new(),
            Fields::Unnamed(fields) => {
                mistakes.at(
                    fields,
                    "give the fields names: they say what the component needs",
                );
                return Vec::new();
            }
        },
        Data::Enum(_) | Data::Union(_) => {
            mistakes.at(
                &item.ident,
                "a component is a struct, whose fields are what it is dependent on",
            );
            return Vec::new();
        }
    };
    fields
        .iter()
        .filter_map(|field| {
            let name = field.ident.clone()?;
            let mut source = source(&name, &field.attrs, mistakes);
            if let (Source::Dependency, Some(interface)) = (&source, shared(&field.ty)) {
                source = Source::Shared(Box::new(syn::parse_quote_spanned! {interface.span()=>
                    <dyn #interface as ::anylith::__rt::DynInterface>::Client
                }));
            }
            Some(Field {
                name,
                written: field.ty.clone(),
                source,
            })
        })
        .collect()
}

fn source(field: &Ident, attributes: &[Attribute], mistakes: &mut Mistakes) -> Source {
    let mut source = Source::Dependency;
    for attribute in attributes {
        let path = attribute.path();
        let found = if path.is_ident("config") {
            plain(attribute, mistakes);
            Source::Config
        } else if path.is_ident("init") {
            plain(attribute, mistakes);
            Source::Init
        } else if path.is_ident("listener") {
            Source::Listener(listener_name(field, attribute, mistakes))
        } else {
            continue;
        };
        if !matches!(source, Source::Dependency) {
            mistakes.at(
                attribute,
                "a field is filled in one way: keep one of these marks",
            );
        }
        source = found;
    }
    source
}

/// The interface in `Arc<dyn Interface>`.
fn shared(written: &Type) -> Option<&Path> {
    let Type::Path(path) = written else {
        return None;
    };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    let Some(GenericArgument::Type(Type::TraitObject(object))) = arguments.args.first() else {
        return None;
    };
    match object.bounds.first()? {
        TypeParamBound::Trait(bound) if last.ident == "Arc" => Some(&bound.path),
        _ => None,
    }
}

fn plain(attribute: &Attribute, mistakes: &mut Mistakes) {
    if let Err(error) = attribute.meta.require_path_only() {
        mistakes.add(error);
    }
}

/// The name in `#[listener(name = "web")]`, or else the field's.
fn listener_name(field: &Ident, attribute: &Attribute, mistakes: &mut Mistakes) -> String {
    let mut name = field.to_string();
    if attribute.meta.require_path_only().is_ok() {
        return name;
    }
    let read = attribute.parse_nested_meta(|meta| {
        if !meta.path.is_ident("name") {
            return Err(meta.error("not known here: write `#[listener(name = \"web\")]`"));
        }
        let literal: LitStr = meta.value()?.parse()?;
        name = literal.value();
        let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            || name.len() > 48
            || !letters(&name)
        {
            return Err(syn::Error::new(
                literal.span(),
                "a listener's name is a letter, then letters, digits, `_` or `-`, at most 48 in all",
            ));
        }
        Ok(())
    });
    if let Err(error) = read {
        mistakes.add(error);
    }
    name
}
