//! Reads a struct into the model and notes every mistake on the way.

use quote::ToTokens as _;
use syn::{
    Attribute, Data, DeriveInput, Fields, GenericArgument, Ident, LitStr, Path, PathArguments,
    Type, TypeParamBound, ext::IdentExt as _, spanned::Spanned as _,
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
    let Marks {
        client,
        hooks,
        singleton,
    } = struct_attributes(&item.attrs, mistakes);
    if let Some(hand_over) = &hooks.hand_over {
        if !singleton {
            mistakes.at(
                hand_over,
                "only a component of which there is one at a time hands its state over to the next: add `singleton`",
            );
        }
        if hooks.start.is_none() {
            mistakes.at(
                hand_over,
                "the next one takes what is handed over in its hook `start`: add `start`, and write \
                 `async fn start(parts: …Parts, handed: Option<State>)`",
            );
        }
    }
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
        singleton,
        fields,
    }
}

/// What `#[component(...)]` says.
#[derive(Default)]
struct Marks {
    client: Option<Path>,
    hooks: Hooks,
    singleton: bool,
}

fn struct_attributes(attributes: &[Attribute], mistakes: &mut Mistakes) -> Marks {
    let mut marks = Marks::default();
    let Marks {
        client,
        hooks,
        singleton,
    } = &mut marks;
    for attribute in attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("component"))
    {
        let read = attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("interface") {
                let interface: Path = meta.value()?.parse()?;
                *client = Some(expand::client_path(&interface));
            } else if meta.path.is_ident("start") {
                hooks.start = meta.path.get_ident().cloned();
            } else if meta.path.is_ident("serve") {
                hooks.serve = meta.path.get_ident().cloned();
            } else if meta.path.is_ident("stop") {
                hooks.stop = meta.path.get_ident().cloned();
            } else if meta.path.is_ident("healthy") {
                hooks.healthy = meta.path.get_ident().cloned();
            } else if meta.path.is_ident("singleton") {
                *singleton = true;
            } else if meta.path.is_ident("hand_over") {
                hooks.hand_over = meta.path.get_ident().cloned();
            } else {
                return Err(meta.error(
                    "not known here: write `interface = Trait`, `start`, `serve`, `healthy`, `stop`, `singleton` or \
                     `hand_over`",
                ));
            }
            Ok(())
        });
        if let Err(error) = read {
            mistakes.add(error);
        }
    }
    marks
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
            if matches!(source, Source::Dependency) && !named_as_client(&field.ty) {
                let written = &field.ty;
                mistakes.at(
                    written,
                    format!(
                        "`{}` is not the client of a component, whose name would end in `Client`, and \
                         `{name}` has no mark that says what fills it: `#[init]` for what is made by hand, \
                         by the hook `start` or in `main`; `#[init(default)]` for what begins empty; `#[config]` for the component's section of \
                         anylith.toml; `#[listener]` for a door for outside traffic",
                        shown(written)
                    ),
                );
                source = Source::Unknown;
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
            made_by(attribute, mistakes)
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

/// Whether a type is called as clients are: `CartClient`, `shop::CartClient`. What is behind the name the compiler
/// knows, and says at the same place.
fn named_as_client(written: &Type) -> bool {
    match written {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| {
            last.arguments.is_none() && last.ident.to_string().ends_with("Client")
        }),
        Type::Group(inner) => named_as_client(&inner.elem),
        Type::Paren(inner) => named_as_client(&inner.elem),
        // What another macro makes, a macro that runs later knows.
        Type::Macro(_) => true,
        _ => false,
    }
}

/// A type as one would write it, without the blanks that tokens have between them.
fn shown(written: &Type) -> String {
    let text = written.to_token_stream().to_string();
    let marks = ["::", "<", ">", "(", ")", "[", "]", "&"];
    let tight = marks.into_iter().fold(text, |text, mark| {
        let text = text.replace(&format!(" {mark}"), mark);
        text.replace(&format!("{mark} "), mark)
    });
    tight.replace(" ,", ",")
}

/// `#[init]`, or `#[init(default)]`.
fn made_by(attribute: &Attribute, mistakes: &mut Mistakes) -> Source {
    if attribute.meta.require_path_only().is_ok() {
        return Source::Init;
    }
    let read = attribute.parse_nested_meta(|meta| match meta.path.is_ident("default") {
        true => Ok(()),
        false => Err(meta.error("not known here: write `#[init]` or `#[init(default)]`")),
    });
    if let Err(error) = read {
        mistakes.add(error);
    }
    Source::Default
}

fn plain(attribute: &Attribute, mistakes: &mut Mistakes) {
    if let Err(error) = attribute.meta.require_path_only() {
        mistakes.add(error);
    }
}

/// The name in `#[listener(name = "web")]`, or else the field's.
fn listener_name(field: &Ident, attribute: &Attribute, mistakes: &mut Mistakes) -> String {
    let mut name = field.unraw().to_string();
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
