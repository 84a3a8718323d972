//! Which components of a group get replicas of their own when there is a burst of calls.

use anylith_core::{Burst, Name, Scaling, Target};

use super::{
    reader::Reader,
    scaling::{cooldown, target},
    sections::checked_name,
};
use crate::{
    MAX_REPLICAS,
    source::At,
    tree::{Entry, Item, Table, Value},
};

const MEND: &str = "write burst = true, burst = [\"Catalog\"], or burst = { Catalog = { max = 4, target = { concurrency = 16 } } }";

/// What a group says of bursts.
#[derive(Debug, Clone, Default)]
pub(crate) enum Bursts {
    /// They are borne as all else is.
    #[default]
    None,
    /// Each of its components that can have replicas of its own gets them.
    All(At),
    /// These do.
    Of(Vec<(Burst, At)>),
}

/// Reads `burst` of the group at `path`. What is wrong is reported, and left out.
pub(super) fn read(item: &Item, path: &str, reader: &mut Reader<'_>) -> Bursts {
    let name = format!("`burst` of {path}");
    match &item.value {
        Value::Bool(true) => Bursts::All(item.at.clone()),
        Value::Bool(false) => Bursts::None,
        Value::List(items) => Bursts::Of(list(items, &name, reader)),
        Value::Table(table) => Bursts::Of(each(table, &name, reader)),
        other @ (Value::Text(_) | Value::Number(_)) => {
            let what = format!("{name} is {}", other.kind());
            reader.report(&item.at, what, MEND);
            Bursts::None
        }
    }
}

fn list(items: &[Item], name: &str, reader: &mut Reader<'_>) -> Vec<(Burst, At)> {
    let mut bursts: Vec<(Burst, At)> = Vec::new();
    for item in items {
        let Some(text) = reader.text(item, &format!("a component of {name}"), MEND) else {
            continue;
        };
        let Some(component) = checked_name(text, &item.at, name, reader) else {
            continue;
        };
        if bursts.iter().any(|(burst, _)| burst.component == component) {
            let what = format!("{component} is in {name} twice");
            reader.report(&item.at, what, "say it once");
            continue;
        }
        bursts.push((Burst::of(component), item.at.clone()));
    }
    bursts
}

fn each(table: &Table, name: &str, reader: &mut Reader<'_>) -> Vec<(Burst, At)> {
    let mut bursts = Vec::new();
    for Entry { key, at, item } in &table.entries {
        let Some(component) = checked_name(key, at, name, reader) else {
            continue;
        };
        let of = format!("`{key}` of {name}");
        let scaling = match &item.value {
            Value::Bool(true) => Some(Burst::of(component.clone()).scaling),
            Value::Bool(false) => None,
            Value::Table(table) => details(table, &component, &of, reader),
            other @ (Value::Text(_) | Value::Number(_) | Value::List(_)) => {
                let what = format!("{of} is {}", other.kind());
                let mend = format!(
                    "write {key} = true, or {key} = {{ max = 4, target = {{ concurrency = 16 }} }}"
                );
                reader.report(&item.at, what, mend);
                None
            }
        };
        bursts.extend(scaling.map(|scaling| (Burst { component, scaling }, at.clone())));
    }
    bursts
}

fn details(
    table: &Table,
    component: &Name,
    name: &str,
    reader: &mut Reader<'_>,
) -> Option<Scaling> {
    reader.only(table, &["max", "target", "cooldown"], name);
    let mut scaling = Burst::of(component.clone()).scaling;
    for Entry { key, item, .. } in &table.entries {
        let of = format!("`{key}` of {name}");
        match key.as_str() {
            "max" => scaling.max = reader.count(item, &of, 1..=MAX_REPLICAS)?,
            "target" => {
                scaling.target = target(item, &of, reader)?;
                if let Target::Cpu(_) = scaling.target {
                    let what = format!(
                        "{of} is a share of a core, and what one component of a process uses cannot be told apart"
                    );
                    let mend = "write target = { concurrency = 16 }, or { p99 = \"50ms\" }";
                    reader.report(&item.at, what, mend);
                    return None;
                }
            }
            "cooldown" => scaling.cooldown_ms = cooldown(item, of, reader)?,
            _ => {}
        }
    }
    Some(scaling)
}
