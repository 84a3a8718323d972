//! Takes values out of the tree, and keeps a problem for each that is not what it should be.

use std::ops::RangeInclusive;

use serde_json::Number;

use crate::{
    Problem,
    nearest::suggest,
    source::{At, Source},
    tree::{Item, Table, Value},
};

pub(crate) struct Reader<'a> {
    pub(crate) source: &'a Source,
    pub(crate) problems: Vec<Problem>,
    /// Whether there were syntax errors, so that what seems to be missing may only be unreadable.
    pub(crate) incomplete: bool,
}

/// Keys of `[app]` that are sought elsewhere, and mean nothing else there.
const OF_APP: [&str; 5] = ["package", "binary", "transport", "env", "dashboard"];

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a Source, problems: Vec<Problem>, incomplete: bool) -> Self {
        Self {
            source,
            problems,
            incomplete,
        }
    }

    pub(crate) fn report(&mut self, at: &At, what: impl Into<String>, mend: impl Into<String>) {
        self.problems.push(self.source.problem(at, what, mend));
    }

    /// Reports that something is not there, if `known` says that there is no unknown key in its place.
    pub(crate) fn missing(&mut self, known: bool, at: &At, what: String, mend: &str) {
        if known && !self.incomplete {
            self.report(at, what, mend);
        }
    }

    /// Reports every key of `table` that is not one of `known`. Where there is one, nothing is said to be
    /// missing: it is likely to be what that key was meant for.
    pub(crate) fn only(&mut self, table: &Table, known: &[&str], place: &str) -> bool {
        let before = self.problems.len();
        for entry in &table.entries {
            if !known.contains(&entry.key.as_str()) {
                let what = format!("unknown key `{}` in {place}", entry.key);
                let mend = match OF_APP.contains(&entry.key.as_str()) {
                    true => "move it to [app] of anylith.toml".to_owned(),
                    false => suggest(&entry.key, known, "keys", "take it out"),
                };
                self.report(&entry.at, what, mend);
            }
        }
        self.problems.len() == before
    }

    pub(crate) fn table<'i>(
        &mut self,
        item: &'i Item,
        name: &str,
        mend: &str,
    ) -> Option<&'i Table> {
        match &item.value {
            Value::Table(table) => Some(table),
            other => {
                self.report(
                    &item.at,
                    format!("{name} is {}, not a table", other.kind()),
                    mend,
                );
                None
            }
        }
    }

    pub(crate) fn text<'i>(&mut self, item: &'i Item, name: &str, mend: &str) -> Option<&'i str> {
        match &item.value {
            Value::Text(text) => Some(text),
            other => {
                self.report(
                    &item.at,
                    format!("{name} is {}, not text", other.kind()),
                    mend,
                );
                None
            }
        }
    }

    pub(crate) fn list<'i>(
        &mut self,
        item: &'i Item,
        name: &str,
        mend: &str,
    ) -> Option<&'i [Item]> {
        match &item.value {
            Value::List(items) => Some(items),
            other => {
                self.report(
                    &item.at,
                    format!("{name} is {}, not a list", other.kind()),
                    mend,
                );
                None
            }
        }
    }

    /// A whole number out of `range`.
    pub(crate) fn count(
        &mut self,
        item: &Item,
        name: &str,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let mend = format!(
            "write a whole number from {} to {}",
            range.start(),
            range.end()
        );
        self.number(item, name, &mend, |number| {
            let count = number
                .as_u64()
                .and_then(|number| u32::try_from(number).ok());
            count.filter(|count| range.contains(count))
        })
    }

    /// A part of a core, or several, in thousandths out of `range`.
    pub(crate) fn cores(
        &mut self,
        item: &Item,
        name: &str,
        range: RangeInclusive<f64>,
        mend: &str,
    ) -> Option<u32> {
        self.number(item, name, mend, |number| {
            let millis = number.as_f64().map(|cores| (cores * 1000.0).round());
            let millis = millis.filter(|millis| range.contains(millis));
            millis.map(|millis| millis as u32)
        })
    }

    /// What `take` makes of a number.
    fn number(
        &mut self,
        item: &Item,
        name: &str,
        mend: &str,
        take: impl FnOnce(&Number) -> Option<u32>,
    ) -> Option<u32> {
        let what = match &item.value {
            Value::Number(number) => match take(number) {
                Some(taken) => return Some(taken),
                None => format!("{name} is {number}"),
            },
            other => format!("{name} is {}, not a number", other.kind()),
        };
        self.report(&item.at, what, mend);
        None
    }
}
