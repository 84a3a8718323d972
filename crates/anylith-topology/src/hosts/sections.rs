//! The sections of `hosts.toml`, one function each.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use super::{GroupPort, HostGroup, HostSettings, Places};
use crate::{
    MAX_REPLICAS,
    nearest::suggest,
    settings::{reader::Reader, sections::checked_name},
    source::At,
    tree::{Entry, Item, Table},
};

/// The first port for calls, where nothing is said.
const PORT: u16 = 7400;

const PLACES: [&str; 4] = ["user", "folder", "binary", "run"];
const HOST_MEND: &str =
    "write [hosts.NAME], then address = \"10.0.0.1\" and groups = { GROUP = 1 }";
const ADDRESS_MEND: &str = "write the IP address at which the other hosts reach it: \"10.0.0.1\"";
const GROUPS_MEND: &str = "write groups = { GROUP = 1 }: how many replicas of each run there";
const PORTS_MEND: &str = "write ports = { GROUP = 7500 }: the first port of the group's replicas";
const LISTENERS_MEND: &str = "write an address and a port: listeners.web = \"0.0.0.0:8080\"";

/// The hosts that can be read, and whether these are all that are meant.
pub(super) fn read(root: &Table, reader: &mut Reader<'_>) -> (Vec<HostSettings>, bool) {
    let sections = ["defaults", "hosts"];
    let mut known = true;
    for entry in &root.entries {
        if !sections.contains(&entry.key.as_str()) {
            known = false;
            let what = format!("unknown section [{}]", entry.key);
            let mend = suggest(&entry.key, &sections, "sections", "take it out");
            reader.report(&entry.at, what, mend);
        }
    }
    let defaults = root.get("defaults").and_then(|entry| {
        let mend = "write it as a section: [defaults]";
        reader.table(&entry.item, "`defaults`", mend)
    });
    let (places, port) = match defaults {
        Some(table) => {
            let keys: Vec<&str> = PLACES.into_iter().chain(["port"]).collect();
            reader.only(table, &keys, "[defaults]");
            let port = table
                .get("port")
                .and_then(|entry| port(&entry.item, "`port` of [defaults]", reader));
            (self::places(table, "[defaults]", reader), port)
        }
        None => (Places::default(), None),
    };
    let Some(entry) = root.get("hosts") else {
        let end = reader.source.end();
        reader.missing(known, &end, "there are no hosts".to_owned(), HOST_MEND);
        return (Vec::new(), false);
    };
    let Some(table) = reader.table(&entry.item, "`hosts`", HOST_MEND) else {
        return (Vec::new(), false);
    };
    if table.entries.is_empty() {
        reader.report(&entry.at, "there are no hosts", HOST_MEND);
    }
    let mut hosts: Vec<HostSettings> = Vec::new();
    for entry in &table.entries {
        let Some(host) = host(entry, &places, port.unwrap_or(PORT), reader) else {
            continue;
        };
        let other = host.address.and_then(|address| {
            let mut others = hosts.iter().filter(|other| other.address == Some(address));
            Some((others.next()?, address))
        });
        if let Some((other, address)) = other {
            let what = format!("[hosts.{}] has the address {address} already", other.name);
            let at = address_place(entry);
            reader.report(
                at,
                what,
                "give each host the address at which it alone is reached",
            );
        }
        hosts.push(host);
    }
    let all_read = known && !hosts.is_empty() && hosts.len() == table.entries.len();
    (hosts, all_read)
}

/// Where the address of a host was written.
fn address_place(entry: &Entry) -> &At {
    match &entry.item.value {
        crate::tree::Value::Table(table) => table
            .get("address")
            .map_or(&entry.at, |address| &address.item.at),
        _ => &entry.at,
    }
}

fn host(
    entry: &Entry,
    defaults: &Places,
    first_port: u16,
    reader: &mut Reader<'_>,
) -> Option<HostSettings> {
    let Entry { key, at, item } = entry;
    let section = format!("[hosts.{key}]");
    let name = checked_name(key, at, &section, reader);
    let table = reader.table(item, &section, HOST_MEND)?;
    let keys = ["address", "groups", "port", "ports", "listeners"];
    let keys: Vec<&str> = keys.into_iter().chain(PLACES).collect();
    let known = reader.only(table, &keys, &section);
    let address = match table.get("address") {
        Some(entry) => address(&entry.item, &section, reader),
        None => {
            let what = format!("{section} has no `address`");
            reader.missing(known, at, what, ADDRESS_MEND);
            None
        }
    };
    let groups = match table.get("groups") {
        Some(entry) => groups(&entry.item, &section, reader),
        None => {
            let what = format!("{section} has no `groups`");
            reader.missing(known, at, what, GROUPS_MEND);
            None
        }
    };
    let before = reader.problems.len();
    let named = format!("`port` of {section}");
    let port = table
        .get("port")
        .and_then(|entry| self::port(&entry.item, &named, reader));
    let ports = table
        .get("ports")
        .map(|entry| ports(&entry.item, &section, reader));
    let has_ports = reader.problems.len() == before;
    let listeners = table
        .get("listeners")
        .map(|entry| listeners(&entry.item, &section, reader));
    let own = places(table, &section, reader);
    let places = Places {
        user: own.user.or_else(|| defaults.user.clone()),
        folder: own.folder.or_else(|| defaults.folder.clone()),
        binary: own.binary.or_else(|| defaults.binary.clone()),
        run: own.run.or_else(|| defaults.run.clone()),
    };
    Some(HostSettings {
        name: name?,
        at: at.clone(),
        address,
        groups,
        port: port.unwrap_or(first_port),
        ports: ports.unwrap_or_default(),
        listeners: listeners.unwrap_or_default(),
        places,
        has_listeners: known || table.get("listeners").is_some(),
        has_ports,
    })
}

fn address(item: &Item, section: &str, reader: &mut Reader<'_>) -> Option<IpAddr> {
    let text = reader.text(item, &format!("`address` of {section}"), ADDRESS_MEND)?;
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() || address.is_multicast() => {
            let what = format!("nobody can reach a host at {address}");
            reader.report(&item.at, what, ADDRESS_MEND);
            None
        }
        Ok(address) => Some(address),
        Err(_) => {
            let what = format!("`{text}` is not an IP address");
            let bare = text.trim_start_matches('[').trim_end_matches(']');
            let alone = text.parse::<SocketAddr>().map(|address| address.ip());
            let mend = match bare.parse::<IpAddr>().or(alone) {
                Ok(address) => format!("write the address alone: \"{address}\""),
                Err(_) if is_name(text) => {
                    format!(
                        "write the IP address that the name stands for, as `getent hosts {text}` says it"
                    )
                }
                Err(_) => ADDRESS_MEND.to_owned(),
            };
            reader.report(&item.at, what, mend);
            None
        }
    }
}

/// Whether `text` can be the name of a host.
fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    text.chars().all(fits) && text.contains(|c: char| c.is_ascii_alphabetic())
}

/// What to write in the place of `text`, which is not an address and a port.
fn listener_mend(text: &str) -> String {
    if let Ok(address) = text.parse::<IpAddr>() {
        let example = SocketAddr::new(address, 8080);
        // `fd00::1:80` is an address as a whole, and was likely meant to be one with a port.
        let with_port = text
            .rsplit_once(':')
            .and_then(|(address, port)| Some((address.parse().ok()?, port.parse().ok()?)))
            .map(|(address, port)| SocketAddr::new(address, port));
        return match with_port {
            Some(meant) => format!("write an IPv6 address in brackets: \"{meant}\""),
            None => format!("write its port, too: \"{example}\""),
        };
    }
    match text.rsplit_once(':') {
        Some((name, port)) if is_name(name) => format!(
            "write the IP address in the place of the name: \"127.0.0.1:{port}\" for this host alone, \"0.0.0.0:{port}\" for all"
        ),
        _ => LISTENERS_MEND.to_owned(),
    }
}

fn groups(item: &Item, section: &str, reader: &mut Reader<'_>) -> Option<Vec<HostGroup>> {
    let table = reader.table(item, &format!("`groups` of {section}"), GROUPS_MEND)?;
    if table.entries.is_empty() {
        reader.report(&item.at, format!("{section} has no groups"), GROUPS_MEND);
    }
    let group = |Entry { key, at, item }: &Entry| {
        let name = format!("group `{key}` of {section}");
        let replicas = reader.count(item, &name, 1..=MAX_REPLICAS);
        HostGroup {
            name: key.clone(),
            at: at.clone(),
            replicas,
        }
    };
    Some(table.entries.iter().map(group).collect())
}

fn port(item: &Item, name: &str, reader: &mut Reader<'_>) -> Option<u16> {
    let port = reader.count(item, name, 1..=u32::from(u16::MAX))?;
    u16::try_from(port).ok()
}

fn ports(item: &Item, section: &str, reader: &mut Reader<'_>) -> Vec<GroupPort> {
    let Some(table) = reader.table(item, &format!("`ports` of {section}"), PORTS_MEND) else {
        return Vec::new();
    };
    let first = |Entry { key, at, item }: &Entry| {
        let port = port(
            item,
            &format!("the port of group `{key}` of {section}"),
            reader,
        )?;
        Some(GroupPort {
            group: key.clone(),
            at: at.clone(),
            port,
        })
    };
    table.entries.iter().filter_map(first).collect()
}

fn listeners(
    item: &Item,
    section: &str,
    reader: &mut Reader<'_>,
) -> BTreeMap<String, (Option<SocketAddr>, At)> {
    let name = format!("`listeners` of {section}");
    let Some(table) = reader.table(item, &name, LISTENERS_MEND) else {
        return BTreeMap::new();
    };
    let mut listeners = BTreeMap::new();
    for Entry { key, at, item } in &table.entries {
        let name = format!("the listener `{key}` of {section}");
        let text = reader.text(item, &name, LISTENERS_MEND);
        let address = match text.map(|text| (text, text.parse::<SocketAddr>())) {
            Some((_, Ok(address))) if address.port() != 0 => Some(address),
            Some((_, Ok(_))) => {
                let what = format!("{name} has no port of its own");
                reader.report(&item.at, what, "write the port that visitors know, not 0");
                None
            }
            Some((text, Err(_))) => {
                let what = format!("`{text}` is not an address and a port");
                reader.report(&item.at, what, listener_mend(text));
                None
            }
            None => None,
        };
        listeners.insert(key.clone(), (address, at.clone()));
    }
    listeners
}

fn places(table: &Table, section: &str, reader: &mut Reader<'_>) -> Places {
    let mut places = Places::default();
    for Entry { key, item, .. } in &table.entries {
        let place = match key.as_str() {
            "user" => &mut places.user,
            "folder" => &mut places.folder,
            "binary" => &mut places.binary,
            "run" => &mut places.run,
            _ => continue,
        };
        let name = format!("`{key}` of {section}");
        let mend = match key.as_str() {
            "user" => "write the name of a user of that host: user = \"boutique\"".to_owned(),
            _ => format!("write a path from the root, as in {key} = \"/opt/boutique\""),
        };
        let Some(text) = reader.text(item, &name, &mend) else {
            continue;
        };
        // Both end up in units of systemd, where other characters have a meaning.
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/@+".contains(c);
        let fits = match key.as_str() {
            "user" => {
                !text.contains(['/', '@', '+'])
                    && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            }
            _ => {
                text.len() > 1
                    && text.starts_with('/')
                    && text[1..]
                        .split('/')
                        .all(|part| !["", ".", ".."].contains(&part))
            }
        };
        if fits && text.chars().all(plain) {
            *place = Some(text.to_owned());
        } else {
            let what = match key.as_str() {
                "user" => format!("`{text}` cannot be the name of a user"),
                _ => format!("{name} is `{text}`, which is no plain path from the root"),
            };
            reader.report(&item.at, what, mend);
        }
    }
    places
}
