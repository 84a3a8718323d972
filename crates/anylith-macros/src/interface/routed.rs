//! `#[routed(by = user)]` on a method: which argument is the key, and whether it can be one.

use syn::{Attribute, Error, Ident, Token, Type, parse::ParseStream, visit::Visit};

use super::model::{Argument, ArgumentKind};
use crate::mistakes::Mistakes;

const FORM: &str = "name the argument by which calls are routed: `#[routed(by = user)]`";

/// The name in `#[routed(by = name)]`.
pub(super) fn key(attribute: &Attribute) -> Result<Ident, Error> {
    let list = attribute.meta.require_list();
    let list = list.map_err(|_| Error::new_spanned(attribute, FORM))?;
    let read = |input: ParseStream<'_>| {
        let by: Ident = input.parse()?;
        input.parse::<Token![=]>()?;
        let name: Ident = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        if by == "by" && input.is_empty() {
            Ok(name)
        } else {
            Err(input.error(FORM))
        }
    };
    list.parse_args_with(read)
        .map_err(|_| Error::new_spanned(attribute, FORM))
}

/// Notes why the argument `key` cannot be one.
pub(super) fn check(key: &Ident, arguments: &[Argument], mistakes: &mut Mistakes) {
    let Some(argument) = arguments.iter().find(|it| it.name == *key) else {
        let names: Vec<String> = arguments
            .iter()
            .filter(|it| !matches!(it.kind, ArgumentKind::Stream(_)))
            .map(|it| format!("`{}`", it.name))
            .collect();
        let mend = match &names[..] {
            [] => "take the mark out: there is none to route by".to_owned(),
            names => format!("write {}", names.join(" or ")),
        };
        return mistakes.at(key, format!("the method has no argument `{key}`: {mend}"));
    };
    let written = match &argument.kind {
        ArgumentKind::Stream(_) => {
            return mistakes.at(
                key,
                "a call cannot be routed by a stream: its items come when it is on its way already; \
                 give the key an argument of its own",
            );
        }
        ArgumentKind::Str | ArgumentKind::Bytes => return,
        ArgumentKind::Owned(owned) | ArgumentKind::Reference { owned, .. } => owned,
    };
    if let Some(unstable) = Unstable::in_type(written) {
        let why = match unstable.to_string().as_str() {
            "f32" | "f64" => "equal numbers can differ in their bits",
            _ => "equal ones can be written in different orders",
        };
        mistakes.at(
            &unstable,
            format!(
                "a call cannot be routed by a `{unstable}`, since {why}, and one key would lead to several \
                 replicas: route by a name or a whole number"
            ),
        );
    }
}

/// A type whose equal values need not be encoded alike.
struct Unstable(Option<Ident>);

impl Unstable {
    fn in_type(written: &Type) -> Option<Ident> {
        let mut found = Self(None);
        found.visit_type(written);
        found.0
    }
}

impl<'ast> Visit<'ast> for Unstable {
    fn visit_ident(&mut self, ident: &'ast Ident) {
        if ["f32", "f64", "HashMap", "HashSet"]
            .iter()
            .any(|it| ident == it)
        {
            self.0.get_or_insert_with(|| ident.clone());
        }
    }
}
