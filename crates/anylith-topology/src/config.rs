//! The config of one component: any value, with the place of each of its keys.

use std::fmt;

use serde_json::{Map, Value as Json};

use crate::{
    Problem,
    source::{At, Source},
    tree::{Item, Table, Value},
};

/// Where secrets are: this crate reads no environment and no file itself.
///
/// A value `{ env = "NAME" }` or `{ file = "path" }`, in braces, within `[components.…]` is replaced by
/// the text that is found there.
pub trait Secrets {
    /// The environment variable `name`, if it is set.
    fn variable(&self, name: &str) -> Option<String>;

    /// The text of the file at `path`, which is relative to the folder of `anylith.toml`. A newline at its
    /// end is left out.
    ///
    /// # Errors
    ///
    /// Why it cannot be read, in a few words.
    fn file(&self, path: &str) -> Result<String, String>;
}

/// Leaves every secret empty: for those who look at the topology only.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unread;

impl Secrets for Unread {
    fn variable(&self, _: &str) -> Option<String> {
        Some(String::new())
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Ok(String::new())
    }
}

/// `[components.X]`.
#[derive(Clone)]
pub(crate) struct Config {
    /// Where the section begins.
    pub(crate) at: At,
    pub(crate) json: Json,
    table: Table,
    secrets: Vec<String>,
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
            problems,
        };
        let json = reading.table(table);
        let secrets = reading.found;
        Self {
            at,
            json,
            table: table.clone(),
            secrets,
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
        const HIDDEN: &str = "[secret]";
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

fn find_index<'a, 'k>(items: &'a [Item], path: &'k str) -> Option<(&'a Item, &'a At, &'k str)> {
    let (index, rest) = path.split_once('.').unwrap_or((path, ""));
    let item = items.get(index.parse::<usize>().ok()?)?;
    Some((item, &item.at, rest))
}

struct Reading<'a> {
    from: &'a dyn Secrets,
    source: &'a Source,
    found: Vec<String>,
    problems: &'a mut Vec<Problem>,
}

impl Reading<'_> {
    fn table(&mut self, table: &Table) -> Json {
        let mut map = Map::new();
        for entry in &table.entries {
            map.insert(entry.key.clone(), self.item(&entry.item));
        }
        Json::Object(map)
    }

    fn item(&mut self, item: &Item) -> Json {
        // What came from outside of the file may be a secret as well, as people pass them so.
        let outside = matches!(item.at, At::Given(_));
        match &item.value {
            Value::Text(text) if outside => self.keep(text.clone()),
            Value::Text(text) => Json::String(text.clone()),
            Value::Number(number) => Json::Number(number.clone()),
            Value::Bool(value) => Json::Bool(*value),
            Value::List(items) => items.iter().map(|item| self.item(item)).collect(),
            Value::Table(table) => match reference(table) {
                Some((kind, name)) => self.secret(&item.at, kind, name),
                None => self.table(table),
            },
        }
    }

    fn secret(&mut self, at: &At, kind: &str, name: &str) -> Json {
        let result = if kind == "env" {
            self.from.variable(name).ok_or_else(|| {
                let mend = format!("set it: {name}=… before the command");
                (
                    format!("the environment variable `{name}` is not set"),
                    mend,
                )
            })
        } else {
            self.from.file(name).map_err(|why| {
                let mend = "write the path of a file that can be read, from the folder of this one";
                (
                    format!("the file `{name}` cannot be read: {why}"),
                    mend.to_owned(),
                )
            })
        };
        match result {
            Ok(mut text) => {
                if kind == "file" {
                    let end = text.strip_suffix('\n').unwrap_or(&text);
                    text.truncate(end.strip_suffix('\r').unwrap_or(end).len());
                }
                self.keep(text)
            }
            Err((what, mend)) => {
                self.problems.push(self.source.problem(at, what, mend));
                Json::Null
            }
        }
    }

    fn keep(&mut self, secret: String) -> Json {
        if !secret.is_empty() {
            self.found.push(secret.clone());
        }
        Json::String(secret)
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
