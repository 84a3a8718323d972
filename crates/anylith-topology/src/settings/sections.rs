//! The sections of `anylith.toml`, one function each.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use anylith_core::Name;

use super::{
    AppSettings, GroupSettings, ListenerSettings, Settings, TopologySettings, bursts, edges,
    kubernetes, limits,
    reader::Reader,
    scaling::{self, Replicas},
    telemetry,
};
use crate::{
    BUILT_IN, Secrets,
    config::Config,
    nearest::suggest,
    quantity,
    source::At,
    tree::{Entry, Item, Table},
};

/// The longest time that can be set. Nobody waits longer for one call.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// A replica is called `<group>-<ordinal>`, and that is a name too.
const MAX_GROUP_NAME: usize = 40;

pub(super) fn read(root: &Table, reader: &mut Reader<'_>, secrets: &dyn Secrets) -> Settings {
    let sections = [
        "app",
        "listeners",
        "components",
        "topologies",
        "edges",
        "limits",
        "telemetry",
        "kubernetes",
    ];
    for entry in &root.entries {
        if !sections.contains(&entry.key.as_str()) {
            let what = format!("unknown section [{}]", entry.key);
            let mend = suggest(&entry.key, &sections, "sections", "take it out");
            reader.report(&entry.at, what, mend);
        }
    }
    let mut settings = Settings {
        app_unclear: reader.incomplete || !reader.problems.is_empty(),
        ..Settings::default()
    };
    for Entry { key, at, item } in &root.entries {
        let mend = match &item.at {
            At::Span(_) => format!("write it as a section: [{key}]"),
            At::Given(_) => "name a key of that section, as in limits.message=32MiB".to_owned(),
        };
        if !sections.contains(&key.as_str()) {
            continue;
        }
        let Some(table) = reader.table(item, &format!("`{key}`"), &mend) else {
            continue;
        };
        match key.as_str() {
            "app" => {
                settings.app_places.insert(String::new(), at.clone());
                let before = reader.problems.len();
                app(table, reader, &mut settings);
                settings.app_unclear |= reader.problems.len() > before;
            }
            "listeners" => settings.listeners = listeners(table, reader),
            "components" => components(table, reader, secrets, &mut settings),
            "topologies" => settings.topologies = topologies(table, reader),
            "edges" => settings.edges = edges::read(table, reader),
            "telemetry" => telemetry::read(table, reader, &mut settings),
            "kubernetes" => kubernetes::read(table, reader, &mut settings),
            _ => limits::read(table, reader, &mut settings),
        }
    }
    settings
}

fn app(table: &Table, reader: &mut Reader<'_>, settings: &mut Settings) {
    let AppSettings {
        name,
        package,
        binary,
        transport,
        env,
        dashboard,
    } = &mut settings.app;
    let keys = ["name", "package", "binary", "transport", "env", "dashboard"];
    reader.only(table, &keys, "[app]");
    for Entry { key, at, item } in &table.entries {
        let path = format!("`{key}` of [app]");
        settings.app_places.insert(key.clone(), item.at.clone());
        match key.as_str() {
            "name" => *name = self::name(item, &path, reader),
            "package" => *package = path_like(item, &path, "package = \"boutique\"", reader),
            "binary" => {
                *binary = path_like(item, &path, "binary = \"target/release/boutique\"", reader);
                if table.get("package").is_some() {
                    let mend = "keep the one that says where the application is";
                    reader.report(at, "[app] has both `package` and `binary`", mend);
                }
            }
            "transport" => {
                let mend = "write transport = \"unix\" or transport = \"tcp\"";
                if let Some(text) = reader.text(item, &path, mend) {
                    match text.parse() {
                        Ok(known) => *transport = known,
                        Err(()) => {
                            reader.report(&item.at, format!("unknown transport `{text}`"), mend);
                        }
                    }
                }
            }
            "env" => *env = environment(item, reader),
            "dashboard" => {
                let mend = "write dashboard = \"127.0.0.1:9000\", or dashboard = \"off\"";
                if let Some(text) = reader.text(item, &path, mend) {
                    match text.parse() {
                        Ok(known) => *dashboard = Some(known),
                        Err(what) => reader.report(&item.at, what, mend),
                    }
                }
            }
            _ => {}
        }
    }
}

/// Text that is not empty.
fn path_like(item: &Item, path: &str, example: &str, reader: &mut Reader<'_>) -> Option<String> {
    let mend = format!("write {example}");
    let text = reader.text(item, path, &mend)?;
    if text.trim().is_empty() {
        reader.report(&item.at, format!("{path} is empty"), mend);
        return None;
    }
    Some(text.to_owned())
}

fn environment(item: &Item, reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let mend = "write [app.env], then NAME = \"value\"";
    let mut variables = BTreeMap::new();
    let Some(table) = reader.table(item, "`env` of [app]", mend) else {
        return variables;
    };
    for Entry { key, at, item } in &table.entries {
        let Some(value) = reader.text(item, &format!("the variable `{key}`"), mend) else {
            continue;
        };
        let ours = key.starts_with("ANYLITH_") || key.starts_with("LISTEN_");
        if ours {
            let mend = "take it out: replicas are told such things by the control plane";
            reader.report(at, format!("the variable `{key}` cannot be set"), mend);
        } else if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
            reader.report(
                at,
                format!("`{key}` cannot be an environment variable"),
                mend,
            );
        } else {
            variables.insert(key.clone(), value.to_owned());
        }
    }
    variables
}

fn name(item: &Item, path: &str, reader: &mut Reader<'_>) -> Option<Name> {
    let text = reader.text(item, path, "write it in quotes")?;
    checked_name(text, &item.at, path, reader)
}

pub(crate) fn checked_name(
    text: &str,
    at: &At,
    path: &str,
    reader: &mut Reader<'_>,
) -> Option<Name> {
    match Name::new(text) {
        Ok(name) => Some(name),
        Err(error) => {
            let mend = "begin with a letter, then letters, digits, `_` and `-`, at most 48";
            reader.report(at, format!("{path}: {error}"), mend);
            None
        }
    }
}

const LISTENER_MEND: &str = "write an address and a port: address = \"127.0.0.1:8080\"";

fn listeners(table: &Table, reader: &mut Reader<'_>) -> BTreeMap<Name, ListenerSettings> {
    let mut listeners = BTreeMap::new();
    let mut taken: Vec<(SocketAddr, &str)> = Vec::new();
    for Entry { key, at, item } in &table.entries {
        let section = format!("[listeners.{key}]");
        let name = checked_name(key, at, &section, reader);
        let address = listener_address(item, at, &section, reader);
        if let Some((address, at)) = &address {
            let other = taken
                .iter()
                .find(|(other, _)| other == address && address.port() != 0);
            if let Some((_, other)) = other {
                let what = format!("[listeners.{other}] has the address {address} already");
                reader.report(at, what, "give each listener a port of its own");
            }
            taken.push((*address, key));
        }
        // With a wrong address, too: its name may be wrong as well.
        listeners.extend(name.map(|name| {
            let at = at.clone();
            let address = address.map(|(address, _)| address);
            (name, ListenerSettings { at, address })
        }));
    }
    listeners
}

/// The address of one listener, and where it was written.
fn listener_address<'i>(
    item: &'i Item,
    at: &At,
    section: &str,
    reader: &mut Reader<'_>,
) -> Option<(SocketAddr, &'i At)> {
    let table = reader.table(item, section, LISTENER_MEND)?;
    let known = reader.only(table, &["address"], section);
    let Some(Entry { item, .. }) = table.get("address") else {
        reader.missing(
            known,
            at,
            format!("{section} has no `address`"),
            LISTENER_MEND,
        );
        return None;
    };
    let text = reader.text(item, &format!("`address` of {section}"), LISTENER_MEND)?;
    let found = address(text);
    if found.is_none() {
        let what = format!("`{text}` is not an address and a port");
        let mend = match &item.at {
            At::Span(_) => LISTENER_MEND,
            At::Given(_) => "write an address and a port, as in 127.0.0.1:8080",
        };
        reader.report(&item.at, what, mend);
    }
    found.map(|address| (address, &item.at))
}

/// An IP address, or `localhost`, and a port.
fn address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some((Ipv4Addr::LOCALHOST, port.parse().ok()?).into()),
        None => text.parse().ok(),
    }
}

fn components(
    table: &Table,
    reader: &mut Reader<'_>,
    secrets: &dyn Secrets,
    settings: &mut Settings,
) {
    for Entry { key, at, item } in &table.entries {
        let section = format!("[components.{key}]");
        let name = checked_name(key, at, &section, reader);
        let mend = format!("write the keys of the component's config below {section}");
        let Some(table) = reader.table(item, &section, &mend) else {
            let named = name.map(|name| (name, at.clone()));
            settings.unread_components.extend(named);
            continue;
        };
        let config = Config::read(
            at.clone(),
            table,
            secrets,
            reader.source,
            &mut reader.problems,
        );
        settings.components.extend(name.map(|name| (name, config)));
    }
}

/// `[topologies]`.
pub(crate) fn topologies(
    table: &Table,
    reader: &mut Reader<'_>,
) -> BTreeMap<Name, TopologySettings> {
    const MEND: &str = "write groups.NAME = { components = [\"*\"] } below it";
    let mut topologies = BTreeMap::new();
    for Entry { key, at, item } in &table.entries {
        let section = format!("[topologies.{key}]");
        let before = reader.problems.len();
        let name = checked_name(key, at, &section, reader);
        if BUILT_IN.contains(&key.as_str()) {
            let mend = "give it another name: this one always exists";
            reader.report(at, format!("the topology `{key}` cannot be changed"), mend);
        }
        let Some(table) = reader.table(item, &section, MEND) else {
            continue;
        };
        let known = reader.only(table, &["groups"], &section);
        let groups = match table.get("groups") {
            Some(entry) => {
                let path = format!("`groups` of {section}");
                match reader.table(&entry.item, &path, MEND) {
                    Some(table) => groups(table, &section, reader),
                    None => Vec::new(),
                }
            }
            None => {
                reader.missing(known, at, format!("{section} has no groups"), MEND);
                Vec::new()
            }
        };
        let complete = reader.problems.len() == before && !reader.incomplete;
        let topology = TopologySettings {
            at: at.clone(),
            groups,
            complete,
        };
        topologies.extend(name.map(|name| (name, topology)));
    }
    topologies
}

fn groups(table: &Table, section: &str, reader: &mut Reader<'_>) -> Vec<GroupSettings> {
    const MEND: &str = "write { components = [\"A\", \"B\"], replicas = 2 }";
    let mut groups = Vec::new();
    for Entry { key, at, item } in &table.entries {
        let path = format!("group `{key}` of {section}");
        let name = checked_name(key, at, &path, reader);
        if key.len() > MAX_GROUP_NAME {
            let mend = format!("use at most {MAX_GROUP_NAME} letters: replicas are named after it");
            reader.report(at, format!("the name of {path} is too long"), mend);
        }
        let Some(table) = reader.table(item, &path, MEND) else {
            continue;
        };
        let known = reader.only(table, &["components", "replicas", "burst"], &path);
        let replicas = match table.get("replicas") {
            Some(entry) => scaling::read(&entry.item, &path, reader),
            None => Replicas::Fixed(1),
        };
        let burst = table.get("burst");
        let bursts = burst.map(|entry| bursts::read(&entry.item, &path, reader));
        let Some(entry) = table.get("components") else {
            reader.missing(known, at, format!("{path} has no components"), MEND);
            continue;
        };
        let components = members(&entry.item, &path, reader);
        let at = at.clone();
        groups.extend(name.map(|name| GroupSettings {
            name,
            at,
            components,
            replicas,
            replicas_at: table.get("replicas").map(|entry| entry.item.at.clone()),
            bursts: bursts.unwrap_or_default(),
        }));
    }
    groups
}

fn members(item: &Item, path: &str, reader: &mut Reader<'_>) -> Vec<(String, At)> {
    const MEND: &str = "write components = [\"A\", \"B\"], or [\"*\"] for every other one";
    let Some(items) = reader.list(item, &format!("`components` of {path}"), MEND) else {
        return Vec::new();
    };
    if items.is_empty() {
        reader.report(&item.at, format!("{path} has no components"), MEND);
    }
    let mut members = Vec::with_capacity(items.len());
    for item in items {
        if let Some(text) = reader.text(item, &format!("a component of {path}"), MEND) {
            members.push((text.to_owned(), item.at.clone()));
        }
    }
    members
}

/// A setting that is a length of time.
pub(super) struct Length {
    /// What it is called in messages.
    pub(super) name: String,
    /// The mend, where it is out of bounds.
    pub(super) range: &'static str,
    pub(super) within: RangeInclusive<Duration>,
}

impl Length {
    pub(super) fn read(&self, item: &Item, reader: &mut Reader<'_>) -> Option<Duration> {
        let mend = "write a number and its unit: \"100ms\", \"2s\", \"1m\"";
        let Self {
            name,
            range,
            within,
        } = self;
        let text = reader.text(item, name, mend)?;
        let (what, mend) = match quantity::duration(text) {
            Some(length) if within.contains(&length) => return Some(length),
            Some(Duration::ZERO) => (format!("{name} leaves no time for any call"), *range),
            Some(short) if short < *within.start() => (format!("{name} is too short"), *range),
            Some(_) => (format!("{name} is longer than a day"), *range),
            None => (format!("`{text}` is not a length of time"), mend),
        };
        reader.report(&item.at, what, mend);
        None
    }
}

/// A table of sections, one for each component or listener: `[of.key.NAME]`.
pub(super) struct Named {
    pub(super) of: &'static str,
    pub(super) key: &'static str,
    /// The mend, where something else is in its place.
    pub(super) mend: &'static str,
}

impl Named {
    /// Has `read` read each section, of which it is told where it is written and what it is called. Returns what came of
    /// those with a name that can be one, with it.
    pub(super) fn read<T>(
        &self,
        item: &Item,
        reader: &mut Reader<'_>,
        mut read: impl FnMut(&Table, &At, &str, &mut Reader<'_>) -> T,
    ) -> Vec<(Name, At, T)> {
        let Self { of, key, mend } = self;
        let mut found = Vec::new();
        let Some(table) = reader.table(item, &format!("`{key}` of [{of}]"), mend) else {
            return found;
        };
        for Entry { key: one, at, item } in &table.entries {
            let section = format!("[{of}.{key}.{one}]");
            let name = checked_name(one, at, &section, reader);
            let Some(table) = reader.table(item, &section, mend) else {
                continue;
            };
            let has = read(table, at, &section, reader);
            found.extend(name.map(|name| (name, at.clone(), has)));
        }
        found
    }
}
