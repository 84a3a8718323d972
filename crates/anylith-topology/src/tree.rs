//! TOML as a tree in which every key and every value knows where it was written.

use serde_json::Number;
use toml::de::{DeTable, DeValue};

use crate::{
    Problem,
    source::{At, Source},
};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) at: At,
    pub(crate) value: Value,
}

/// What a value can be. A date is text, as in JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Number(Number),
    Bool(bool),
    List(Vec<Item>),
    Table(Table),
}

/// Keys and their values, in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
    /// Whether it was written in braces.
    pub(crate) inline: bool,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: At,
    pub(crate) item: Item,
}

impl Table {
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(crate) fn keys(&self) -> Vec<&str> {
        self.entries
            .iter()
            .map(|entry| entry.key.as_str())
            .collect()
    }

    /// The value under `key`, which is made an empty table at `at` if it is not there.
    pub(crate) fn item_or_table(&mut self, key: &str, at: &At) -> &mut Item {
        let index = self
            .entries
            .iter()
            .position(|entry| entry.key == key)
            .unwrap_or_else(|| {
                let item = Item {
                    at: at.clone(),
                    value: Value::Table(Table::default()),
                };
                self.entries.push(Entry {
                    key: key.to_owned(),
                    at: at.clone(),
                    item,
                });
                self.entries.len() - 1
            });
        &mut self.entries[index].item
    }
}

impl Value {
    /// What it is, for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Number(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Reads `source`, as far as it can be read: after a syntax error too, for what else is wrong with it.
pub(crate) fn parse(source: &Source) -> Parsed {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    let mut problems = Vec::new();
    let root = convert_table(table.get_ref(), source, false, &mut problems);
    let syntax = syntax_problems(source, &errors);
    Parsed {
        root,
        problems,
        syntax,
    }
}

/// What came of reading a text.
pub(crate) struct Parsed {
    pub(crate) root: Table,
    /// Values that are TOML, but cannot be taken.
    pub(crate) problems: Vec<Problem>,
    pub(crate) syntax: Syntax,
}

/// The syntax errors of a text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Syntax {
    pub(crate) problems: Vec<Problem>,
    /// From this line on nothing can be said about what the text means.
    unreadable_from: Option<usize>,
}

impl Syntax {
    /// Whether `problem` was found in a part that could be read.
    pub(crate) fn lets_stand(&self, problem: &Problem) -> bool {
        let Some(line) = problem.line() else {
            return true;
        };
        self.unreadable_from.is_none_or(|from| line < from)
            && self
                .problems
                .iter()
                .all(|syntax| syntax.line() != Some(line))
    }
}

/// One value on its own, as a flag or an environment variable gives it; `None` if it is not TOML.
pub(crate) fn parse_value(text: &str, at: &At) -> Option<Item> {
    let source = Source::new("", text);
    let value = DeValue::parse(text).ok()?;
    let mut problems = Vec::new();
    let mut item = convert(value.get_ref(), value.span(), &source, &mut problems);
    relocate(&mut item, at);
    problems.is_empty().then_some(item)
}

fn relocate(item: &mut Item, at: &At) {
    item.at = at.clone();
    match &mut item.value {
        Value::List(items) => items.iter_mut().for_each(|item| relocate(item, at)),
        Value::Table(table) => {
            for entry in &mut table.entries {
                entry.at = at.clone();
                relocate(&mut entry.item, at);
            }
        }
        Value::Text(_) | Value::Number(_) | Value::Bool(_) => {}
    }
}

fn convert_table(
    table: &DeTable<'_>,
    source: &Source,
    inline: bool,
    problems: &mut Vec<Problem>,
) -> Table {
    let mut pairs: Vec<_> = table.iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    let mut entries = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        let item = convert(value.get_ref(), value.span(), source, problems);
        let (key, at) = (key.get_ref().to_string(), At::Span(key.span()));
        entries.push(Entry { key, at, item });
    }
    Table { entries, inline }
}

fn convert(
    value: &DeValue<'_>,
    span: std::ops::Range<usize>,
    source: &Source,
    problems: &mut Vec<Problem>,
) -> Item {
    let inline = source.text[span.start..].starts_with('{');
    let at = At::Span(span);
    let value = match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(date) => Value::Text(date.to_string()),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| convert(item.get_ref(), item.span(), source, problems))
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(convert_table(table, source, inline, problems)),
        DeValue::Integer(digits) => {
            let number = i64::from_str_radix(digits.as_str(), digits.radix()).map(Number::from);
            Value::Number(number.unwrap_or_else(|_| {
                let what = format!("the number `{digits}` is too large");
                problems.push(source.problem(&at, what, "the largest is 9223372036854775807"));
                Number::from(0)
            }))
        }
        DeValue::Float(digits) => {
            let number = digits.as_str().parse().ok().and_then(Number::from_f64);
            Value::Number(number.unwrap_or_else(|| {
                let what = format!("`{digits}` is not a number that a setting can have");
                problems.push(source.problem(&at, what, "write a finite number, such as `1.5`"));
                Number::from(0)
            }))
        }
    };
    Item { at, value }
}

/// The first error of each line. An error that swallows what follows it is the last one.
fn syntax_problems(source: &Source, errors: &[toml::de::Error]) -> Syntax {
    let error = |error: &toml::de::Error| {
        let span = error.span().unwrap_or(0..0);
        // What the parser expected is said by the mend, in words.
        let message = error
            .message()
            .split(", expected")
            .next()
            .unwrap_or_default();
        let visible = error.message().contains("visible characters");
        let message = match message {
            "string values must be quoted" if span.is_empty() => "missing value",
            _ if visible => "invalid control character",
            other => other,
        };
        (span, message.to_owned())
    };
    let mut errors: Vec<_> = errors.iter().map(error).collect();
    errors.sort_by_key(|(span, _)| span.start);
    let mut syntax = Syntax::default();
    let mut last_line = 0;
    for (span, message) in errors {
        let line = source.line_of(span.start);
        if line == last_line {
            continue;
        }
        last_line = line;
        let mend = syntax_mend(&message);
        let what = format!("this is not TOML: {message}");
        syntax
            .problems
            .push(source.problem(&At::Span(span), what, mend));
        if ["array", "inline table", "multi-line"]
            .iter()
            .any(|word| message.contains(word))
        {
            syntax.unreadable_from = Some(line);
            break;
        }
        let header = source.line(line).trim_start().starts_with('[');
        if header {
            // The keys below it belong to a table that nobody knows.
            syntax.unreadable_from.get_or_insert(line);
        }
    }
    syntax
}

/// What to write instead, for each kind of error that the parser knows.
fn syntax_mend(message: &str) -> &'static str {
    const MENDS: &[(&str, &str)] = &[
        (
            "string values must be quoted",
            "put the value in quotes: `key = \"value\"`",
        ),
        (
            "duplicate key",
            "a key or a table can be there once: join the two, or rename one",
        ),
        ("key with no value", "write `key = value`"),
        (
            "missing value",
            "write a value after the `=`: text in quotes, a number, `true`, `false`",
        ),
        (
            "invalid value",
            "write text in quotes, a number, `true`, `false`, a `[list]` or a `{ table }`",
        ),
        (
            "multi-line",
            "close the text with the three quotes that it begins with",
        ),
        ("control character", "take the control character out"),
        (
            "float",
            "put text in quotes: `key = \"value\"`; a number has digits and one point",
        ),
        (
            "integer",
            "put text in quotes: `key = \"value\"`; a number has digits only",
        ),
        ("date", "put text in quotes: `key = \"value\"`"),
        (
            "string",
            "close the text with the quote that it begins with, on the same line",
        ),
        (
            "escape",
            "write a backslash as `\\\\`, or put the text in single quotes",
        ),
        (
            "inline table",
            "write a table as `{ key = value, key = value }`",
        ),
        ("array table", "close the table's name with `]]`"),
        (
            "comma between array elements",
            "put commas between the items, and `]` after the last",
        ),
        (
            "array",
            "close the list with `]`, and put commas between its items",
        ),
        (
            "table",
            "close the table's name with `]`, as in `[listeners.web]`",
        ),
        (
            "unquoted key",
            "a key is letters, digits, `-` and `_`; put any other in quotes",
        ),
        (
            "leading zero",
            "write the number without zeros in front of it, or in quotes",
        ),
        ("`_`", "write `_` only between two digits"),
        ("carriage return", "end lines with a newline"),
        ("comment", "take the control character out of the comment"),
        ("recurs", "nest less deeply"),
        (
            "dotted key",
            "that key already has a value that is not such a table: rename one of them",
        ),
        ("=", "write one `=` between a key and its value"),
        ("key-value", "write one `key = value` on a line"),
    ];
    let known = MENDS.iter().find(|(words, _)| message.contains(words));
    known.map_or("write `key = value`, or `[table]`", |(_, mend)| mend)
}
