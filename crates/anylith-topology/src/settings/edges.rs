//! `[edges."A -> B"]`.

use std::time::Duration;

use anylith_core::{EdgeSettings, Name};

use super::{
    PlacedEdge,
    reader::Reader,
    sections::{LONGEST_WAIT, Length, checked_name},
};
use crate::{
    quantity,
    source::At,
    tree::{Entry, Item, Table, Value},
};

const EDGE_MEND: &str = "write [edges.\"Caller -> Callee\"], then deadline = \"100ms\"";
const KEYS: [&str; 4] = ["deadline", "retries", "hedge", "concurrency"];
/// The most calls that can be allowed along an edge.
const MOST_CALLS: u32 = 1_000_000;

pub(super) fn read(table: &Table, reader: &mut Reader<'_>) -> Vec<PlacedEdge> {
    let mut edges: Vec<PlacedEdge> = Vec::new();
    for Entry { key, at, item } in &table.entries {
        let section = format!("[edges.\"{key}\"]");
        if let Some(callee) = unquoted(key, item) {
            let what = format!("`{key}.{callee}` does not name an edge");
            let mend = format!("write [edges.\"{key} -> {callee}\"], in quotes");
            reader.report(at, what, mend);
            continue;
        }
        let ends = ends(key, at, &section, reader);
        let table = reader.table(item, &section, EDGE_MEND);
        if let Some(table) = table {
            reader.only(table, &KEYS, &section);
        }
        let set = table.map(|table| policy(table, key, &section, reader));
        let set = set.unwrap_or_default();
        let Some((caller, callee, method)) = ends else {
            continue;
        };
        let edge = PlacedEdge {
            at: at.clone(),
            hedge: table
                .and_then(|table| table.get("hedge"))
                .map(|entry| entry.item.at.clone()),
            settings: EdgeSettings {
                caller,
                callee,
                method,
                timeout_ms: set.timeout_ms,
                retries_percent: set.retries_percent,
                hedge_ms: set.hedge_ms,
                concurrency: set.concurrency,
            },
        };
        if edges.iter().any(|other| other.name() == edge.name()) {
            let what = format!("the edge {} is there already", edge.name());
            reader.report(at, what, "join the two sections");
        }
        edges.push(edge);
    }
    edges
}

/// The callee, where an edge was written as `[edges.Caller.Callee]`.
fn unquoted<'i>(key: &str, item: &'i Item) -> Option<&'i str> {
    match &item.value {
        Value::Table(table) if !key.contains(['>', '<', '→', '←']) => {
            let inner = table.entries.iter();
            let mut inner = inner.filter(|entry| matches!(entry.item.value, Value::Table(_)));
            inner.next().map(|entry| entry.key.as_str())
        }
        _ => None,
    }
}

/// `Caller -> Callee`, or `Caller -> Callee.method`.
fn ends(
    key: &str,
    at: &At,
    section: &str,
    reader: &mut Reader<'_>,
) -> Option<(Name, Name, Option<Name>)> {
    let arrow = key.split_once("->").or_else(|| key.split_once('→'));
    let has_arrow = |text: &str| {
        ["->", "<-", "→", "←"]
            .iter()
            .any(|arrow| text.contains(arrow))
    };
    let Some((caller, callee)) = arrow.filter(|(_, callee)| !has_arrow(callee)) else {
        let mend = match key.split_once("<-").or_else(|| key.split_once('←')) {
            Some((callee, caller)) if !has_arrow(callee) && !has_arrow(caller) => {
                format!("write [edges.\"{} -> {}\"]", caller.trim(), callee.trim())
            }
            _ => EDGE_MEND.to_owned(),
        };
        reader.report(at, format!("`{key}` does not name an edge"), mend);
        return None;
    };
    let (callee, method) = match callee.split_once('.') {
        Some((callee, method)) => (callee, Some(method)),
        None => (callee, None),
    };
    let mut name = |text: &str| checked_name(text.trim(), at, section, reader);
    let (caller, callee) = (name(caller), name(callee));
    match method.map(name) {
        Some(method) => Some((caller?, callee?, Some(method?))),
        None => Some((caller?, callee?, None)),
    }
}

/// What a section sets.
#[derive(Default)]
struct Policy {
    timeout_ms: Option<u64>,
    retries_percent: Option<u32>,
    hedge_ms: Option<u64>,
    concurrency: Option<u32>,
}

/// Reads the section of `edge`, whether or not that names one.
fn policy(table: &Table, edge: &str, section: &str, reader: &mut Reader<'_>) -> Policy {
    let mut settings = Policy::default();
    for Entry { key, at, item } in &table.entries {
        let of_all = matches!(key.as_str(), "retries" | "concurrency");
        if of_all && let Some((ends, _)) = edge.split_once('.') {
            let what =
                format!("`{key}` is for all calls along an edge, and {section} is for one method");
            let mend = format!("write it below [edges.\"{}\"]", ends.trim());
            reader.report(at, what, mend);
            continue;
        }
        match key.as_str() {
            "deadline" => {
                let timeout = deadline(item, section, reader);
                settings.timeout_ms = timeout.map(|timeout| timeout.as_millis() as u64);
            }
            "retries" => settings.retries_percent = retries(item, section, reader),
            "hedge" => settings.hedge_ms = hedge(item, section, reader),
            "concurrency" => {
                let name = format!("`concurrency` of {section}");
                settings.concurrency = reader.count(item, &name, 1..=MOST_CALLS);
            }
            _ => {}
        }
    }
    if let (Some(hedge), Some(timeout)) = (settings.hedge_ms, settings.timeout_ms)
        && hedge >= timeout
        && let Some(entry) = table.get("hedge")
    {
        let what =
            format!("`hedge` of {section} is not below its deadline, so it never comes to that");
        let mend = "set it to what most calls take at most, such as \"20ms\"";
        reader.report(&entry.item.at, what, mend);
    }
    settings
}

/// How many retries a hundred calls allow.
fn retries(item: &Item, section: &str, reader: &mut Reader<'_>) -> Option<u32> {
    let mend = "write a share of the calls, from \"1%\" to \"100%\", or \"none\"";
    let name = format!("`retries` of {section}");
    let text = reader.text(item, &name, mend)?;
    if text == "none" {
        return Some(0);
    }
    let percent = quantity::percent(text).filter(|percent| (1..=100).contains(percent));
    if percent.is_none() {
        reader.report(&item.at, format!("{name} is `{text}`"), mend);
    }
    percent
}

/// After how many milliseconds a call is sent a second time; 0 for never.
fn hedge(item: &Item, section: &str, reader: &mut Reader<'_>) -> Option<u64> {
    if matches!(&item.value, Value::Text(text) if text == "none") {
        return Some(0);
    }
    let range = "set it from \"1ms\" to \"24h\", or to \"none\"";
    if let Value::Text(text) = &item.value
        && quantity::duration(text) == Some(Duration::ZERO)
    {
        let what = format!("`hedge` of {section} is `{text}`, so every call would be made twice");
        reader.report(&item.at, what, range);
        return None;
    }
    let length = Length {
        name: format!("`hedge` of {section}"),
        range,
        within: Duration::from_millis(1)..=LONGEST_WAIT,
    };
    let after = length.read(item, reader)?;
    Some(after.as_millis() as u64)
}

fn deadline(item: &Item, section: &str, reader: &mut Reader<'_>) -> Option<Duration> {
    let name = format!("`deadline` of {section}");
    if let Value::Text(text) = &item.value
        && ["none", "never", "infinite", "unlimited"].contains(&text.as_str())
    {
        let what = format!("{name} is `{text}`, but every call has a deadline");
        reader.report(&item.at, what, "set it to the longest: \"24h\"");
        return None;
    }
    let length = Length {
        name,
        range: "set it from \"1ms\" to \"24h\"",
        within: Duration::from_millis(1)..=LONGEST_WAIT,
    };
    length.read(item, reader)
}
