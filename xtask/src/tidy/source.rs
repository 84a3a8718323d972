//! What may not stand in a Rust source file.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::{
    Attribute, Item, ItemUse, Macro, Meta, Path, UseTree, spanned::Spanned as _, visit::Visit,
};

use super::{File, Finding, arrows::PURE};

/// What a crate that only computes cannot name: each would give it a socket, a clock, a disk, a process
/// or the process' surroundings.
const ACTS: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os::fd",
    "std::os::unix::net",
    "std::process",
    "std::thread",
    "std::time::SystemTime",
    "Instant::now",
    "SystemTime::now",
];

/// Macros that write to the process' output.
const PRINTS: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];

/// Everything that is wrong with one source file. One that cannot be parsed is the compiler's affair.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let Ok(syntax) = syn::parse_file(&file.text) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    // What must not compile may do anything.
    let mistake = file.path.contains("/tests/mistakes/");
    if !mistake && let Ok(tokens) = file.text.parse::<TokenStream>() {
        findings.extend(unsafe_code(&file.path, tokens));
    }
    let pure = PURE
        .iter()
        .any(|name| file.path.starts_with(&format!("crates/{name}/src/")));
    if pure {
        let mut reader = Reader {
            file: &file.path,
            findings: Vec::new(),
        };
        reader.visit_file(&syntax);
        findings.extend(reader.findings);
    }
    findings
}

/// Every use of `unsafe`, tests included. The lint table forbids it too; this also reads what is not
/// compiled.
fn unsafe_code(path: &str, tokens: TokenStream) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => findings.extend(unsafe_code(path, group.stream())),
            TokenTree::Ident(ident) if ident == "unsafe" => {
                // The word alone, as in `Token![unsafe]`, does nothing.
                let used = match tokens.peek() {
                    Some(TokenTree::Group(_)) => true,
                    Some(TokenTree::Ident(next)) => {
                        ["fn", "impl", "trait", "extern", "auto", "static"]
                            .iter()
                            .any(|word| next == word)
                    }
                    _ => false,
                };
                if used {
                    let mend = "find a way, or a well-kept crate, that does without";
                    findings.push(Finding::new(path, line(ident.span()), "unsafe", mend));
                }
            }
            _ => {}
        }
    }
    findings
}

fn line(span: Span) -> usize {
    span.start().line
}

/// Walks a file of a crate that only computes, past its tests, and notes what it may not name.
struct Reader<'a> {
    file: &'a str,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    /// Notes `path` if it, or a module around it, is in [`ACTS`].
    fn read(&mut self, path: &str, span: Span) {
        let path = path.trim_start_matches("::");
        let acts = ACTS.iter().any(|act| {
            let within = path
                .strip_prefix(act)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
            // `Instant::now` is called by the short name of its type.
            within || (!act.starts_with("std") && path.ends_with(&format!("::{act}")))
        });
        if acts {
            let mend =
                format!("this crate only computes: take the result of `{path}` as an argument");
            self.findings
                .push(Finding::new(self.file, line(span), "pure", mend));
        }
    }

    fn read_use(&mut self, before: &str, tree: &UseTree) {
        let join = |name: &dyn std::fmt::Display| match before {
            "" => name.to_string(),
            before => format!("{before}::{name}"),
        };
        match tree {
            UseTree::Path(path) => self.read_use(&join(&path.ident), &path.tree),
            UseTree::Name(name) if name.ident == "self" => self.read(before, name.span()),
            UseTree::Name(name) => self.read(&join(&name.ident), name.span()),
            UseTree::Rename(rename) => self.read(&join(&rename.ident), rename.span()),
            UseTree::Glob(glob) => self.read(before, glob.span()),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.read_use(before, tree);
                }
            }
        }
    }

    /// Reads the paths in the arguments of a macro, which are not parsed.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let mut path = String::new();
        let mut begin = Span::call_site();
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if !path.ends_with("::") {
                        self.read(&std::mem::take(&mut path), begin);
                        begin = ident.span();
                    }
                    path.push_str(&ident.to_string());
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    path.push(':');
                }
                TokenTree::Group(group) => self.read_tokens(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.read(&std::mem::take(&mut path), begin);
                }
            }
        }
        self.read(&path, begin);
    }
}

impl Visit<'_> for Reader<'_> {
    fn visit_item(&mut self, item: &Item) {
        let attributes: &[Attribute] = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &[],
        };
        if !attributes.iter().any(is_cfg_test) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        self.read_use("", &item.tree);
    }

    fn visit_path(&mut self, path: &Path) {
        let segments: Vec<_> = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        self.read(&segments.join("::"), path.span());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &Macro) {
        let name = call.path.segments.last().map(|part| part.ident.to_string());
        if name.is_some_and(|name| PRINTS.contains(&&*name)) {
            let mend = "this crate only computes: return the text";
            self.findings
                .push(Finding::new(self.file, line(call.span()), "pure", mend));
        }
        self.read_tokens(call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }
}

/// Whether an attribute is `#[cfg(test)]`, alone or as a part of `all(…)`.
fn is_cfg_test(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    if !list.path.is_ident("cfg") {
        return false;
    }
    let condition = list.tokens.to_string();
    condition == "test" || (condition.starts_with("all") && condition.contains("test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        let file = File {
            path: path.into(),
            text: text.into(),
        };
        check(&file)
            .into_iter()
            .map(|finding| (finding.rule, finding.line))
            .collect()
    }

    #[test]
    fn unsafe_code_is_found_and_the_word_is_not() {
        assert_eq!(
            found("a.rs", "fn f() {\n    unsafe { g() }\n}\n"),
            [("unsafe", 2)]
        );
        assert_eq!(
            found("a.rs", "macro_rules! m { () => { unsafe {} } }\n"),
            [("unsafe", 1)]
        );
        assert_eq!(found("a.rs", "type U = Token![unsafe];\n"), []);
        assert_eq!(
            found("a.rs", "// unsafe\nfn f() -> &str { \"unsafe\" }\n"),
            []
        );
    }

    #[test]
    fn a_crate_that_computes_names_nothing_that_acts() {
        for bad in [
            "use std::fs;",
            "use std::{fmt, net::{IpAddr, TcpStream}};",
            "use std::fs::{self, File};",
            "use std::time::*; fn f() { Instant::now(); }",
            "fn f() -> std::time::Instant { std::time::Instant::now() }",
            "fn f() { let at = SystemTime::now(); }",
            "fn f() { vec![std::env::var(\"A\")]; }",
            "fn f() { println!(\"hello\"); }",
            "#[cfg(not(test))] use std::process;",
        ] {
            let found = found("crates/anylith-core/src/a.rs", bad);
            assert!(found.contains(&("pure", 1)), "{bad} was taken: {found:?}");
        }
    }

    #[test]
    fn plain_data_of_the_standard_library_is_no_act() {
        for good in [
            "use std::{net::SocketAddr, path::PathBuf, time::{Duration, Instant}};",
            "fn f(now: Instant) -> Instant { now + Duration::from_secs(1) }",
            "#[cfg(test)] mod tests { use std::fs; fn f() { Instant::now(); } }",
        ] {
            assert_eq!(
                found("crates/anylith-core/src/a.rs", good),
                [],
                "{good} was refused"
            );
        }
    }

    #[test]
    fn other_crates_may_act() {
        assert_eq!(found("crates/anylith-rpc/src/a.rs", "use std::fs;"), []);
        assert_eq!(found("crates/anylith-core/tests/a.rs", "use std::fs;"), []);
    }
}
