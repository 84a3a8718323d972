//! `[limits]`, and `[limits.components.X]` for one component.

use std::time::Duration;

use anylith_core::{ComponentLimits, Concurrency};

use super::{
    Settings,
    reader::Reader,
    sections::{LONGEST_WAIT, Length, Named},
};
use crate::{
    quantity,
    tree::{Entry, Item, Table, Value},
};

/// The largest message that can be allowed.
const MAX_MESSAGE: u64 = 2 << 30;
/// The most calls that can be allowed, on a connection or in a component.
const MOST_CALLS: u32 = 1_000_000;

const KEYS: [&str; 5] = [
    "message",
    "calls_per_connection",
    "reach_timeout",
    "concurrency",
    "components",
];

pub(super) fn read(table: &Table, reader: &mut Reader<'_>, settings: &mut Settings) {
    reader.only(table, &KEYS, "[limits]");
    let limits = &mut settings.limits;
    for Entry { key, item, .. } in &table.entries {
        let name = format!("`{key}` of [limits]");
        match key.as_str() {
            "message" => {
                limits.message_bytes = message(item, &name, reader).unwrap_or(limits.message_bytes);
            }
            "calls_per_connection" => {
                if let Some(calls) = reader.count(item, &name, 1..=MOST_CALLS) {
                    limits.calls_per_connection = calls;
                }
            }
            "reach_timeout" => {
                let length = Length {
                    name,
                    range: "set it from \"0ms\" to \"24h\"",
                    within: Duration::ZERO..=LONGEST_WAIT,
                };
                if let Some(timeout) = length.read(item, reader) {
                    limits.reach_timeout_ms = timeout.as_millis() as u32;
                }
            }
            "concurrency" => {
                limits.concurrency = concurrency(item, &name, reader).unwrap_or(limits.concurrency);
            }
            _ => {}
        }
    }
    if let Some(Entry { item, .. }) = table.get("components") {
        components(item, reader, settings);
    }
}

fn message(item: &Item, name: &str, reader: &mut Reader<'_>) -> Option<u32> {
    let mend = "write a number and its unit, at most 2 GiB: \"64MiB\"";
    let text = reader.text(item, name, mend)?;
    match quantity::size(text) {
        Some(bytes @ 1024..=MAX_MESSAGE) => return Some(bytes as u32),
        Some(bytes) => {
            let what = format!("messages of at most {bytes} bytes cannot be had");
            reader.report(&item.at, what, "set it from \"1KiB\" to \"2GiB\"");
        }
        None => reader.report(&item.at, format!("`{text}` is not a size"), mend),
    }
    None
}

/// A number of calls, or the word for finding it out.
fn concurrency(item: &Item, name: &str, reader: &mut Reader<'_>) -> Option<Concurrency> {
    match &item.value {
        Value::Text(text) if text == "adaptive" => Some(Concurrency::Adaptive),
        Value::Text(text) if text.parse::<u32>().is_err() => {
            let mend = format!("write a whole number from 1 to {MOST_CALLS}, or \"adaptive\"");
            reader.report(&item.at, format!("{name} is `{text}`"), mend);
            None
        }
        _ => reader
            .count(item, name, 1..=MOST_CALLS)
            .map(Concurrency::AtMost),
    }
}

fn components(item: &Item, reader: &mut Reader<'_>, settings: &mut Settings) {
    const NAMED: Named = Named {
        of: "limits",
        key: "components",
        mend: "write [limits.components.NAME], then concurrency = 64",
    };
    let read = NAMED.read(item, reader, |table, _, section, reader| {
        reader.only(table, &["concurrency"], section);
        let own = table.get("concurrency");
        let own = own.and_then(|entry| {
            concurrency(&entry.item, &format!("`concurrency` of {section}"), reader)
        });
        ComponentLimits { concurrency: own }
    });
    for (name, at, limits) in read {
        settings.limited.push((name.clone(), at));
        settings.limits.components.insert(name, limits);
    }
}
