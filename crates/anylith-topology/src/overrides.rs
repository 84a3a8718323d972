//! Values given from outside of the file: environment variables and flags.

use crate::{
    Problem,
    source::{At, Source},
    tree::{self, Item, Table, Value},
};

/// The prefix of environment variables that override a value.
const PREFIX: &str = "ANYLITH__";

/// The most parts of a path; the file itself cannot nest much deeper.
const MAX_PARTS: usize = 32;

/// The sections of the file, which a variable may name in any case.
const SECTIONS: [&str; 7] = [
    "app",
    "listeners",
    "components",
    "topologies",
    "edges",
    "limits",
    "telemetry",
];

/// Values that are put in place of what the file says, or added to it. Flags win over the environment,
/// and later ones over earlier ones.
///
/// A variable's name is the path of the key, its parts joined with two underscores, in any case:
/// `ANYLITH__components__Currency__rates`, `ANYLITH__LIMITS__MESSAGE`. A part is matched with the keys of
/// the file and with [the names that are known](Overrides::names); a part that matches nothing and is all
/// capitals is taken in small letters. Under `edges` two parts name an edge: `ANYLITH__edges__Frontend__Ads__deadline`.
///
/// A value is read as TOML, and where it is not TOML it is text. Where it replaces text it stays text.
///
/// A mistake in one of them is reported with all the others, by [`Settings::parse`](crate::Settings::parse).
#[derive(Clone, Default)]
pub struct Overrides {
    variables: Vec<Override>,
    flags: Vec<Override>,
    names: Vec<String>,
    problems: Vec<Problem>,
}

#[derive(Clone)]
struct Override {
    label: String,
    path: Vec<String>,
    value: String,
    /// Whether the path can be in any case.
    caseless: bool,
}

impl Overrides {
    /// Adds those of `variables` that are named `ANYLITH__…`.
    #[must_use]
    pub fn env<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: Into<String>,
    {
        let mut found = Vec::new();
        for (name, value) in variables {
            let name = name.as_ref();
            if name.len() < PREFIX.len() || !name.is_char_boundary(PREFIX.len()) {
                continue;
            }
            let (prefix, path) = name.split_at(PREFIX.len());
            if prefix != PREFIX {
                continue;
            }
            let path: Vec<String> = path.split("__").map(str::to_owned).collect();
            if path.len() > MAX_PARTS || path.iter().any(String::is_empty) {
                let mend = "write ANYLITH__section__key, as in ANYLITH__limits__message=32MiB";
                self.problems.push(Problem::given(
                    name,
                    "this variable does not name a key",
                    mend,
                ));
                continue;
            }
            found.push(Override {
                label: name.to_owned(),
                path,
                value: value.into(),
                caseless: true,
            });
        }
        // The environment has no order of its own; the same one must always give the same result.
        found.sort_by(|a, b| a.label.cmp(&b.label));
        self.variables.extend(found);
        self
    }

    /// Adds a flag `--set path.to.key=value`, given without `--set`. A part with dots stands in quotes.
    #[must_use]
    pub fn set(mut self, flag: &str) -> Self {
        match split_flag(flag) {
            Some((path, value)) => {
                let label = format!("--set {}", flag[..flag.len() - value.len() - 1].trim());
                let value = value.to_owned();
                self.flags.push(Override {
                    label,
                    path,
                    value,
                    caseless: false,
                });
            }
            None => {
                let shown = flag.split('=').next().unwrap_or_default();
                let mend = "write --set path.to.key=value, as in --set limits.message=32MiB";
                let what = "this does not set a key";
                self.problems
                    .push(Problem::given(&format!("--set {shown}"), what, mend));
            }
        }
        self
    }

    /// Adds a flag `--listen NAME=ADDRESS`, given without `--listen`.
    #[must_use]
    pub fn listen(mut self, flag: &str) -> Self {
        let label = format!("--listen {flag}");
        match flag.split_once('=') {
            Some((name, address)) if !name.trim().is_empty() => {
                let path = ["listeners", name.trim(), "address"]
                    .map(str::to_owned)
                    .to_vec();
                let value = format!("{address:?}");
                let begins = "--listen ";
                let earlier =
                    |flag: &&Override| flag.path == path && flag.label.starts_with(begins);
                if let Some(earlier) = self.flags.iter().find(earlier) {
                    let what = format!(
                        "the listener has its address from `{}` already",
                        earlier.label
                    );
                    let mend = "a listener has one address: keep one of the flags";
                    self.problems.push(Problem::given(&label, what, mend));
                    return self;
                }
                self.flags.push(Override {
                    label,
                    path,
                    value,
                    caseless: false,
                });
            }
            _ => {
                let mend = "write --listen NAME=ADDRESS, as in --listen web=127.0.0.1:8080";
                self.problems.push(Problem::given(
                    &label,
                    "this does not name a listener",
                    mend,
                ));
            }
        }
        self
    }

    /// Adds names that a variable may mean though the file does not have them: the application's
    /// components and listeners.
    #[must_use]
    pub fn names<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names
            .extend(names.into_iter().map(|name| name.as_ref().to_owned()));
        self
    }

    /// Puts every value into `root`.
    pub(crate) fn apply(&self, root: &mut Table, source: &Source, problems: &mut Vec<Problem>) {
        problems.extend(self.problems.iter().cloned());
        for given in self.variables.iter().chain(&self.flags) {
            self.apply_one(given, root, source, problems);
        }
    }

    fn apply_one(
        &self,
        given: &Override,
        root: &mut Table,
        source: &Source,
        problems: &mut Vec<Problem>,
    ) {
        let at = At::Given(given.label.clone());
        let path = join_edge(&given.path);
        let Some((last, parents)) = path.split_last() else {
            return;
        };
        let mut table = root;
        for (depth, part) in parents.iter().enumerate() {
            let key = self.key(part, depth, table, given.caseless);
            let item = table.item_or_table(&key, &at);
            match &mut item.value {
                Value::Table(inner) => table = inner,
                other => {
                    let what = format!("`{key}` is {}, so nothing can be set in it", other.kind());
                    problems.push(source.problem(&at, what, "set the whole value instead"));
                    return;
                }
            }
        }
        let key = self.key(last, parents.len(), table, given.caseless);
        if let [section] = parents
            && section.eq_ignore_ascii_case("app")
        {
            take_out_other_way(table, &key, &at);
        }
        let entry = table.item_or_table(&key, &at);
        *entry = read(&given.value, &at, &entry.value);
        if let Some(entry) = table.entries.iter_mut().find(|entry| entry.key == key) {
            entry.at = at;
        }
    }

    /// The key of `table` that `part` means.
    fn key(&self, part: &str, depth: usize, table: &Table, caseless: bool) -> String {
        if table.get(part).is_some() {
            return part.to_owned();
        }
        if part.contains("->") {
            let (wanted, keys) = (edge_key(part), table.keys());
            let written = keys
                .into_iter()
                .find(|key| edge_key(key).eq_ignore_ascii_case(&wanted));
            return written.unwrap_or(part).to_owned();
        }
        if !caseless {
            return part.to_owned();
        }
        let same = |known: &&str| known.eq_ignore_ascii_case(part);
        let sections: &[&str] = if depth == 0 { &SECTIONS } else { &[] };
        let names = self.names.iter().map(String::as_str);
        let names = names.take(if depth == 1 { usize::MAX } else { 0 });
        let known: Vec<&str> = table
            .keys()
            .into_iter()
            .chain(sections.iter().copied())
            .chain(names)
            .collect();
        // A component `Web` often has a listener `web`: what was written exactly is meant exactly.
        let known = known
            .iter()
            .find(|known| **known == part)
            .or_else(|| known.iter().find(|known| same(known)));
        match known {
            Some(known) => (*known).to_owned(),
            None if part.chars().any(|c| c.is_ascii_lowercase()) => part.to_owned(),
            None => part.to_ascii_lowercase(),
        }
    }
}

/// `package` and `binary` are two ways to say the same, so the one that is given from outside stands in the place of
/// the other; not of one that was given in the same way.
fn take_out_other_way(app: &mut Table, key: &str, at: &At) {
    let other = match key {
        "binary" => "package",
        "package" => "binary",
        _ => return,
    };
    let is_flag = |at: &At| matches!(at, At::Given(label) if label.starts_with("--"));
    app.entries.retain(|entry| {
        let is_equal = matches!(entry.at, At::Given(_)) && is_flag(&entry.at) == is_flag(at);
        entry.key != other || is_equal
    });
}

/// Reads `text`, which comes in place of `before`.
fn read(text: &str, at: &At, before: &Value) -> Item {
    let as_text = || Item {
        at: at.clone(),
        value: Value::Text(text.to_owned()),
    };
    match tree::parse_value(text.trim(), at) {
        Some(item) => match (before, &item.value) {
            (Value::Text(_), Value::Number(_) | Value::Bool(_)) => as_text(),
            _ => item,
        },
        None => as_text(),
    }
}

/// `edges`, `A`, `B`, … → `edges`, `A -> B`, …
fn join_edge(path: &[String]) -> Vec<String> {
    match path {
        [edges, caller, callee, rest @ ..]
            if edges.eq_ignore_ascii_case("edges")
                && !rest.is_empty()
                && !caller.contains(['>', '→']) =>
        {
            let mut joined = vec![edges.clone(), format!("{caller} -> {callee}")];
            joined.extend_from_slice(rest);
            joined
        }
        _ => path.to_vec(),
    }
}

/// An edge however it was written: `A->B`.
fn edge_key(key: &str) -> String {
    key.split_whitespace()
        .collect::<String>()
        .replace('→', "->")
}

/// `a."b.c".d=value` → its path and its value.
fn split_flag(flag: &str) -> Option<(Vec<String>, &str)> {
    let (mut path, mut part, mut quoted) = (Vec::new(), String::new(), false);
    for (index, character) in flag.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '.' if !quoted => path.push(std::mem::take(&mut part).trim().to_owned()),
            '=' if !quoted => {
                path.push(part.trim().to_owned());
                let named = path.iter().all(|part| !part.is_empty());
                let named = named && path.len() <= MAX_PARTS;
                return named.then_some((path, &flag[index + 1..]));
            }
            other => part.push(other),
        }
    }
    None
}

impl std::fmt::Debug for Overrides {
    /// Shows what is set, but no value: it may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let labels = self
            .variables
            .iter()
            .chain(&self.flags)
            .map(|given| &given.label);
        f.debug_list().entries(labels).finish()
    }
}
