//! Reads the attribute and its function into the model, and notes every mistake on the way.

use proc_macro2::TokenStream;
use syn::{
    Attribute, Expr, FnArg, GenericArgument, Ident, ItemFn, PatType, Path, PathArguments, Token,
    Type, parenthesized,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
};

use super::model::{Argument, Fake, Start, Test};
use crate::mistakes::Mistakes;

/// The topologies of a test that names none.
const USUAL: [&str; 3] = ["direct", "wire", "processes"];

/// Reads a whole test. `None` if there is no application to run it against.
pub(super) fn test(
    arguments: TokenStream,
    function: &ItemFn,
    mistakes: &mut Mistakes,
) -> Option<Test> {
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        mistakes.at(
            signature.fn_token,
            "the body of a test calls components, and calls are awaited: write `async fn`",
        );
    }
    if !signature.generics.params.is_empty() {
        mistakes.at(
            &signature.generics,
            "a test cannot be generic: nobody says for which types it is to run",
        );
    }
    let start = start(function, mistakes);
    let attributes = Attributes::sorted(&function.attrs);
    let parsed = Parser::parse2(|input: ParseStream<'_>| settings(input), arguments);
    let given = match parsed {
        Ok(given) => given,
        Err(error) => {
            mistakes.add(error);
            return None;
        }
    };
    let mut topologies: Vec<Ident> = Vec::new();
    for topology in given.topologies {
        if topologies.contains(&topology) {
            mistakes.at(&topology, format!("`{topology}` is there twice"));
        } else {
            topologies.push(topology);
        }
    }
    if topologies.is_empty() {
        let usual = |name| Ident::new(name, signature.ident.span());
        topologies.extend(USUAL.map(usual));
    }
    let mut body = function.clone();
    body.attrs = attributes.on_body;
    Some(Test {
        app: given.app,
        fakes: given.fakes,
        with: given.with,
        settings: given.settings,
        topologies,
        body,
        on_tests: attributes.on_tests,
        on_everything: attributes.on_everything,
        start,
    })
}

/// The attributes of the user's function, by where they belong.
#[derive(Default)]
struct Attributes {
    on_body: Vec<Attribute>,
    on_tests: Vec<Attribute>,
    on_everything: Vec<Attribute>,
}

impl Attributes {
    fn sorted(all: &[Attribute]) -> Self {
        let mut sorted = Self::default();
        for attribute in all {
            let is = |name| attribute.path().is_ident(name);
            let place = match () {
                () if is("ignore") || is("should_panic") => &mut sorted.on_tests,
                () if is("cfg") => &mut sorted.on_everything,
                () => &mut sorted.on_body,
            };
            place.push(attribute.clone());
        }
        sorted
    }
}

/// What stands in the parentheses of the attribute.
struct Given {
    app: Path,
    fakes: Vec<Fake>,
    with: Vec<Expr>,
    settings: Option<Expr>,
    topologies: Vec<Ident>,
}

fn settings(input: ParseStream<'_>) -> syn::Result<Given> {
    if input.is_empty() {
        return Err(syn::Error::new(
            input.span(),
            "say which application the test runs against: `#[anylith::test(Shop)]`, where \
             `Shop` is the name in `app!`",
        ));
    }
    let mut given = Given {
        app: input.parse()?,
        fakes: Vec::new(),
        with: Vec::new(),
        settings: None,
        topologies: Vec::new(),
    };
    while !input.is_empty() {
        input.parse::<Token![,]>()?;
        if input.is_empty() {
            break;
        }
        let word: Ident = input.parse()?;
        match word.to_string().as_str() {
            "fakes" => given.fakes.extend(list::<Fake>(input)?),
            "with" => given.with.extend(list::<Expr>(input)?),
            "topologies" => given.topologies.extend(list::<Ident>(input)?),
            "settings" => {
                input.parse::<Token![=]>()?;
                given.settings = Some(input.parse()?);
            }
            _ => {
                return Err(syn::Error::new(
                    word.span(),
                    "not known here: write `fakes(Client = value)`, `with(component)`, \
                     `settings = \"...\"` or `topologies(direct, wire, processes)`",
                ));
            }
        }
    }
    Ok(given)
}

fn list<T: Parse>(input: ParseStream<'_>) -> syn::Result<Punctuated<T, Token![,]>> {
    let inside;
    parenthesized!(inside in input);
    Punctuated::parse_terminated(&inside)
}

impl Parse for Fake {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let client: Path = input.parse()?;
        if !input.peek(Token![=]) {
            return Err(syn::Error::new_spanned(
                client,
                "say what stands in for the component: `CartClient = FakeCart::default()`",
            ));
        }
        input.parse::<Token![=]>()?;
        let value = input.parse()?;
        Ok(Self { client, value })
    }
}

fn start(function: &ItemFn, mistakes: &mut Mistakes) -> Start {
    let written: Vec<&PatType> = function
        .sig
        .inputs
        .iter()
        .filter_map(|input| match input {
            FnArg::Typed(argument) => Some(argument),
            FnArg::Receiver(receiver) => {
                mistakes.at(receiver, "a test is a function of its own, without `self`");
                None
            }
        })
        .collect();
    let is_builder = |argument: &&&PatType| {
        last_of(&argument.ty).is_some_and(|(name, _)| name == "ClusterBuilder")
    };
    if let Some(builder) = written.iter().find(is_builder) {
        if written.len() > 1 {
            mistakes.at(
                &builder.ty,
                "a test that starts the application itself takes nothing else: ask the `Cluster` that \
                 comes out of `start` for clients and fakes",
            );
        }
        return Start::Body;
    }
    let arguments = written.iter().filter_map(|it| argument(&it.ty, mistakes));
    Start::Kit(arguments.collect())
}

fn argument(written: &Type, mistakes: &mut Mistakes) -> Option<Argument> {
    const MEND: &str = "a test is given clients (`CartClient`), its fakes (`Arc<FakeCart>`) and the \
                        application (`&Cluster<Shop>`)";
    if let Type::Reference(reference) = written {
        let is_cluster = last_of(&reference.elem).is_some_and(|(name, _)| name == "Cluster");
        if is_cluster && reference.mutability.is_none() {
            return Some(Argument::Cluster);
        }
        mistakes.at(written, MEND);
        return None;
    }
    match last_of(written) {
        Some((name, Some(inner))) if name == "Arc" => Some(Argument::Fake(inner.clone())),
        Some((name, _)) if name == "Cluster" => {
            mistakes.at(
                written,
                "write `&Cluster<…>`: the test kit keeps the application, to stop it",
            );
            None
        }
        Some(_) => Some(Argument::Client(written.clone())),
        None => {
            mistakes.at(written, MEND);
            None
        }
    }
}

/// The last word of a path, and its generic argument if it has just one.
fn last_of(written: &Type) -> Option<(&Ident, Option<&Type>)> {
    let Type::Path(path) = written else {
        return None;
    };
    let last = path.path.segments.last()?;
    let inner = match &last.arguments {
        PathArguments::AngleBracketed(arguments) if arguments.args.len() == 1 => {
            match arguments.args.first() {
                Some(GenericArgument::Type(inner)) => Some(inner),
                _ => None,
            }
        }
        _ => None,
    };
    Some((&last.ident, inner))
}
