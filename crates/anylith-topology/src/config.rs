//! The config of one component: any value, with the place of each of its keys.

mod shown;

use std::fmt;

use anylith_core::{SecretReference, SecretSource};
use serde_json::{Map, Value as Json};

use crate::{
    Problem, Secrets,
    nearest::nearest,
    secrets,
    source::{At, Source},
    tree::{Item, Table, Value},
};

/// What stands in the place of a secret.
const HIDDEN: &str = "[secret]";

/// `[components.X]`.
#[derive(Clone)]
pub(crate) struct Config {
    /// Where the section begins.
    pub(crate) at: At,
    pub(crate) json: Json,
    table: Table,
    /// Texts that must not be shown.
    secrets: Vec<String>,
    references: Vec<Reference>,
}

/// A value of a config that is somewhere else: `{ env = "NAME" }` or `{ file = "path" }`.
#[derive(Clone)]
pub(crate) struct Reference {
    /// The value's path, with dots.
    pub(crate) key: String,
    /// Whether it was not found, so that nothing stands in its place.
    pub(crate) lost: bool,
}

impl Config {
    /// Puts the secrets in place and makes JSON of `table`.
    pub(crate) fn read(
        at: At,
        table: &Table,
        secrets: &dyn Secrets,
        source: &Source,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut reading = Reading {
            from: secrets,
            source,
            found: Vec::new(),
            references: Vec::new(),
            problems,
        };
        let json = reading.table(table, "");
        Self {
            at,
            json,
            secrets: reading.found,
            references: reading.references,
            table: table.clone(),
        }
    }

    /// The values that are somewhere else.
    pub(crate) fn references(&self) -> &[Reference] {
        &self.references
    }

    /// The config with nothing in the place of each secret, and where each of them is found.
    pub(crate) fn without_secrets(&self) -> (Json, Vec<SecretReference>) {
        let mut json = self.json.clone();
        let mut secrets = Vec::new();
        take_out(&self.table, "", &mut json, &mut secrets);
        (json, secrets)
    }

    /// The config as people may see it, whoever looks over their shoulder.
    pub(crate) fn shown(&self) -> Json {
        shown::table(&self.table)
    }

    /// The first text of the config that `message` speaks of, by its path; secrets are not looked for. Short
    /// texts are left out: they would be found in any message.
    pub(crate) fn mentioned(&self, message: &str) -> Option<(String, &At)> {
        fn search<'a>(
            table: &'a Table,
            path: &str,
            is_meant: &dyn Fn(&str) -> bool,
        ) -> Option<(String, &'a At)> {
            table.entries.iter().find_map(|entry| {
                let path = join(path, &entry.key);
                match &entry.item.value {
                    Value::Table(inner) if reference(inner).is_none() => {
                        search(inner, &path, is_meant)
                    }
                    Value::Text(text) if is_meant(text) => Some((path, &entry.at)),
                    _ => None,
                }
            })
        }
        let is_meant = |text: &str| {
            text.chars().count() > 3
                && message.contains(text)
                && !self.secrets.iter().any(|secret| secret == text)
        };
        search(&self.table, "", &is_meant)
    }

    /// Whether the table under `key` looks like a reference to a secret, and is none.
    pub(crate) fn is_almost_reference(&self, key: &str) -> bool {
        let value = key
            .split('.')
            .try_fold(&self.json, |json, part| json.get(part));
        value.and_then(Json::as_object).is_some_and(|table| {
            !table.is_empty() && table.keys().all(|key| key == "env" || key == "file")
        })
    }

    /// The key that was written and the one that was meant, where the table under `key` is a reference to a secret but for
    /// the name of its key.
    pub(crate) fn mistyped_reference(&self, key: &str) -> Option<(&str, &'static str)> {
        let value = key
            .split('.')
            .try_fold(&self.json, |json, part| json.get(part));
        let table = value.and_then(Json::as_object)?;
        match table.iter().collect::<Vec<_>>()[..] {
            [(wrong, Json::String(_))] => Some((wrong, nearest(wrong, &["env", "file"])?)),
            _ => None,
        }
    }

    /// Where the value under `key`, a path with dots, was written; or the longest part of the path that is there.
    pub(crate) fn place(&self, key: &str) -> &At {
        let (mut at, mut value) = (&self.at, None::<&Value>);
        let mut rest = key;
        while !rest.is_empty() {
            let found = match value {
                None => find(&self.table, rest),
                Some(Value::Table(table)) => find(table, rest),
                Some(Value::List(items)) => find_index(items, rest),
                Some(Value::Text(_) | Value::Number(_) | Value::Bool(_)) => None,
            };
            let Some((item, item_at, after)) = found else {
                break;
            };
            (at, value, rest) = (item_at, Some(&item.value), after);
        }
        at
    }

    /// `message` without the secrets.
    pub(crate) fn redact(&self, message: &str) -> String {
        let mut redacted = message.to_owned();
        for secret in &self.secrets {
            // Deserialisers quote text as Rust writes it, so the escaped form is looked for first.
            let quoted = format!("{secret:?}");
            redacted = redacted.replace(&quoted, HIDDEN);
            redacted = redacted.replace(&format!("`{secret}`"), HIDDEN);
            // A short one would be found in every word, and says little where it is not quoted.
            if secret.chars().count() > 3 {
                redacted = redacted.replace(&quoted[1..quoted.len() - 1], HIDDEN);
                redacted = redacted.replace(secret.as_str(), HIDDEN);
            }
        }
        redacted
    }
}

/// The entry of `table` with which the path begins: its value, its place and the rest of the path.
fn find<'a, 'k>(table: &'a Table, path: &'k str) -> Option<(&'a Item, &'a At, &'k str)> {
    table.entries.iter().find_map(|entry| {
        let rest = path.strip_prefix(entry.key.as_str())?;
        let rest = if rest.is_empty() {
            rest
        } else {
            rest.strip_prefix('.')?
        };
        Some((&entry.item, &entry.at, rest))
    })
}

/// `key` within `path`.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn find_index<'a, 'k>(items: &'a [Item], path: &'k str) -> Option<(&'a Item, &'a At, &'k str)> {
    let (index, rest) = path.split_once('.').unwrap_or((path, ""));
    let item = items.get(index.parse::<usize>().ok()?)?;
    Some((item, &item.at, rest))
}

struct Reading<'a> {
    from: &'a dyn Secrets,
    source: &'a Source,
    found: Vec<String>,
    references: Vec<Reference>,
    problems: &'a mut Vec<Problem>,
}

impl Reading<'_> {
    fn table(&mut self, table: &Table, path: &str) -> Json {
        let mut map = Map::new();
        for entry in &table.entries {
            let value = self.item(&entry.item, &join(path, &entry.key));
            map.insert(entry.key.clone(), value);
        }
        Json::Object(map)
    }

    fn item(&mut self, item: &Item, path: &str) -> Json {
        match &item.value {
            Value::Text(text) => {
                // The environment is where people keep secrets. What is typed as a flag is there to be seen.
                if matches!(&item.at, At::Given(label) if !label.starts_with("--")) {
                    self.keep(text);
                }
                Json::String(text.clone())
            }
            Value::Number(number) => Json::Number(number.clone()),
            Value::Bool(value) => Json::Bool(*value),
            Value::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.item(item, &join(path, &index.to_string())))
                .collect(),
            Value::Table(table) => match reference(table) {
                Some((kind, name)) => self.secret(&item.at, kind, name, path),
                None => self.table(table, path),
            },
        }
    }

    fn secret(&mut self, at: &At, kind: &str, name: &str, path: &str) -> Json {
        let result = match kind {
            "env" => secrets::variable(self.from, name),
            _ => secrets::file(self.from, name),
        };
        self.references.push(Reference {
            key: path.to_owned(),
            lost: result.is_err(),
        });
        match result {
            Ok(text) => {
                self.keep(&text);
                Json::String(text)
            }
            Err((what, mend)) => {
                self.problems.push(self.source.problem(at, what, mend));
                Json::Null
            }
        }
    }

    fn keep(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.found.push(secret.to_owned());
        }
    }
}

/// Puts nothing in the place of each secret of `table`, which is at `pointer` of `json`.
fn take_out(table: &Table, pointer: &str, json: &mut Json, secrets: &mut Vec<SecretReference>) {
    for entry in &table.entries {
        let key = entry.key.replace('~', "~0").replace('/', "~1");
        take_out_of(&entry.item, &format!("{pointer}/{key}"), json, secrets);
    }
}

fn take_out_of(item: &Item, pointer: &str, json: &mut Json, secrets: &mut Vec<SecretReference>) {
    match &item.value {
        Value::Table(table) => match reference(table) {
            Some((kind, name)) => {
                if let Some(value) = json.pointer_mut(pointer) {
                    *value = Json::Null;
                }
                let name = name.to_owned();
                let source = match kind {
                    "env" => SecretSource::Env(name),
                    _ => SecretSource::File(name),
                };
                let pointer = pointer.to_owned();
                secrets.push(SecretReference { pointer, source });
            }
            None => take_out(table, pointer, json, secrets),
        },
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                take_out_of(item, &format!("{pointer}/{index}"), json, secrets);
            }
        }
        Value::Text(_) | Value::Number(_) | Value::Bool(_) => {}
    }
}

/// `{ env = "NAME" }` or `{ file = "path" }`.
fn reference(table: &Table) -> Option<(&str, &str)> {
    match table.entries.as_slice() {
        [only] if table.inline && (only.key == "env" || only.key == "file") => {
            match &only.item.value {
                Value::Text(name) => Some((&only.key, name)),
                _ => None,
            }
        }
        _ => None,
    }
}

impl fmt::Debug for Config {
    /// Shows no value: it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("keys", &self.table.keys())
            .finish_non_exhaustive()
    }
}
