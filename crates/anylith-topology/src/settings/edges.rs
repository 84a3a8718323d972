//! `[edges."A -> B"]`.

use std::time::Duration;

use anylith_core::{EdgeSettings, Name};

use super::{
    PlacedEdge,
    reader::Reader,
    sections::{LONGEST_WAIT, Length, checked_name},
};
use crate::{
    source::At,
    tree::{Entry, Item, Table, Value},
};

const EDGE_MEND: &str = "write [edges.\"Caller -> Callee\"], then deadline = \"100ms\"";

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
        let timeout = match reader.table(item, &section, EDGE_MEND) {
            Some(table) => {
                reader.only(table, &["deadline"], &section);
                let entry = table.get("deadline");
                entry.and_then(|entry| deadline(&entry.item, &section, reader))
            }
            None => None,
        };
        let Some((caller, callee, method)) = ends else {
            continue;
        };
        let settings = EdgeSettings {
            caller,
            callee,
            method,
            timeout_ms: timeout.map(|timeout| timeout.as_millis() as u64),
        };
        let edge = PlacedEdge {
            at: at.clone(),
            settings,
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
