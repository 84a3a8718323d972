//! How many replicas a group has: a number, or a range with what each of them is to bear.

use std::{ops::RangeInclusive, time::Duration};

use anylith_core::{Scaling, Target};

use super::{
    reader::Reader,
    sections::{LONGEST_WAIT, Length},
};
use crate::{
    MAX_REPLICAS,
    tree::{Entry, Item, Table, Value},
};

const MEND: &str =
    "write replicas = 2, or replicas = { min = 1, max = 6, target = { concurrency = 16 } }";
const TARGET_MEND: &str =
    "write one of target = { concurrency = 16 }, { cpu = 0.7 } and { p99 = \"50ms\" }";

/// The least and the most of a core that a replica can be to use, in thousandths.
const CPU: RangeInclusive<f64> = 50.0..=256_000.0;

/// The most calls that a replica can be to have under way.
const MOST_CALLS: u32 = 1_000_000;

/// How many replicas a group has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replicas {
    Fixed(u32),
    Scaled(Scaling),
}

impl Replicas {
    /// The most that there may be.
    pub(crate) fn most(self) -> u32 {
        match self {
            Self::Fixed(replicas) => replicas,
            Self::Scaled(scaling) => scaling.max,
        }
    }
}

/// Reads `replicas` of the group at `path`. What is wrong is reported, and something else stands in for it.
pub(super) fn read(item: &Item, path: &str, reader: &mut Reader<'_>) -> Replicas {
    let name = format!("`replicas` of {path}");
    match &item.value {
        Value::Table(table) => {
            let scaling = range(table, item, &name, reader);
            scaling.map_or(Replicas::Fixed(1), Replicas::Scaled)
        }
        Value::Text(_) | Value::Number(_) | Value::Bool(_) | Value::List(_) => {
            let count = reader.count(item, &name, 1..=MAX_REPLICAS);
            Replicas::Fixed(count.unwrap_or(1))
        }
    }
}

fn range(table: &Table, item: &Item, name: &str, reader: &mut Reader<'_>) -> Option<Scaling> {
    let known = reader.only(table, &["min", "max", "target", "cooldown"], name);
    let mut scaling = Scaling::between(1, 1);
    let mut bounds = [None, None];
    for Entry { key, item, .. } in &table.entries {
        let of = format!("`{key}` of {name}");
        match key.as_str() {
            "min" => bounds[0] = reader.count(item, &of, 0..=MAX_REPLICAS),
            "max" => bounds[1] = reader.count(item, &of, 1..=MAX_REPLICAS),
            "target" => scaling.target = target(item, &of, reader)?,
            "cooldown" => scaling.cooldown_ms = cooldown(item, of, reader)?,
            _ => {}
        }
    }
    for (key, _) in ["min", "max"]
        .iter()
        .zip(bounds)
        .filter(|it| it.1.is_none())
    {
        if table.get(key).is_none() {
            reader.missing(known, &item.at, format!("{name} has no `{key}`"), MEND);
        }
    }
    let [Some(min), Some(max)] = bounds else {
        return None;
    };
    if min > max {
        let what = format!("{name} has min = {min}, which is more than max = {max}");
        let at = table.get("min").map_or(&item.at, |entry| &entry.item.at);
        let mend = format!("write min = {max}, max = {min}, if the two were mixed up");
        reader.report(at, what, mend);
        return None;
    }
    Some(Scaling {
        min,
        max,
        ..scaling
    })
}

/// A cooldown, in milliseconds.
pub(super) fn cooldown(item: &Item, name: String, reader: &mut Reader<'_>) -> Option<u64> {
    let length = Length {
        name,
        range: "write a time from 1s to 24h",
        within: Duration::from_secs(1)..=LONGEST_WAIT,
    };
    Some(length.read(item, reader)?.as_millis() as u64)
}

pub(super) fn target(item: &Item, name: &str, reader: &mut Reader<'_>) -> Option<Target> {
    let table = reader.table(item, name, TARGET_MEND)?;
    if !reader.only(table, &["concurrency", "cpu", "p99"], name) {
        return None;
    }
    let [entry] = table.entries.as_slice() else {
        let what = match table.entries.len() {
            0 => format!("{name} is empty"),
            _ => format!("{name} says more than one thing"),
        };
        reader.report(&item.at, what, TARGET_MEND);
        return None;
    };
    let of = format!("`{}` of {name}", entry.key);
    match entry.key.as_str() {
        "concurrency" => {
            let calls = reader.count(&entry.item, &of, 1..=MOST_CALLS)?;
            Some(Target::Concurrency(calls))
        }
        "cpu" => {
            let mend = "write how many cores each replica is to use, from 0.05 to 256: cpu = 0.7";
            reader.cores(&entry.item, &of, CPU, mend).map(Target::Cpu)
        }
        _ => {
            let length = Length {
                name: of,
                range: "write a time from 1ms to 24h",
                within: Duration::from_millis(1)..=LONGEST_WAIT,
            };
            let length = length.read(&entry.item, reader)?;
            Some(Target::P99(length.as_millis() as u64))
        }
    }
}
