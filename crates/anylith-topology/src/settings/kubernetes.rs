//! `[kubernetes]`: what a cluster must know of an application, whatever the topology.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use anylith_core::Name;

use super::{
    Settings,
    reader::Reader,
    sections::{Length, Named},
};
use crate::{
    kubernetes::{is_domain, is_label},
    quantity,
    source::At,
    tree::{Entry, Item, Table},
};

/// What a cluster must know of an application: `[kubernetes]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubernetes {
    /// How long it may take until everybody has heard that a pod comes or goes.
    pub lag: Duration,
    /// The Secret with which images are pulled.
    pub pull_secret: Option<String>,
    /// The namespace whose pods may read the metrics; without it nobody may.
    pub metrics_from: Option<String>,
    /// Who issues certificates, where cert-manager does.
    pub issuer: Option<Issuer>,
    /// What components need; those that are not named need what is usual.
    pub components: BTreeMap<Name, ComponentNeeds>,
    /// Where listeners are reached; those that are not named within the cluster alone.
    pub listeners: BTreeMap<Name, Exposure>,
}

/// Who issues certificates by way of cert-manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// `Issuer`, or `ClusterIssuer`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

/// What a component needs wherever it runs. A pod gets the sum of what its components need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentNeeds {
    /// Of a core, in thousandths.
    pub cpu_millis: u32,
    /// In bytes.
    pub memory_bytes: u64,
    /// A volume that stays when its pod goes.
    pub storage: Option<Storage>,
    /// What it calls outside of the application.
    pub egress: Vec<Egress>,
}

/// A volume that stays when its pod goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// How large, in bytes.
    pub bytes: u64,
    /// Its storage class.
    pub class: String,
    /// Where the component finds it; `None` for the folder in which the process runs.
    pub path: Option<String>,
}

/// Somebody outside of the application who is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Egress {
    /// His addresses, as in `10.0.0.0/8`.
    pub range: String,
    /// His port.
    pub port: u16,
}

/// Where a listener is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// At which port its Service answers.
    pub port: u16,
    /// Who leads to it from outside of the cluster, if anybody does.
    pub route: Option<Route>,
    /// The namespace from which alone it may be called; from everywhere if there is none.
    pub from: Option<String>,
}

/// Who leads to a listener from outside of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// By which means.
    pub by: Way,
    /// Under which name; under every name if there is none.
    pub host: Option<String>,
    /// The Secret with the certificate for that name.
    pub tls_secret: Option<String>,
}

/// By which means a listener is reached from outside of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// An Ingress of this class.
    Ingress(String),
    /// An HTTPRoute at a Gateway.
    Gateway {
        /// Its namespace, if it is another one.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            lag: Duration::from_secs(10),
            pull_secret: None,
            metrics_from: None,
            issuer: None,
            components: BTreeMap::new(),
            listeners: BTreeMap::new(),
        }
    }
}

impl Default for ComponentNeeds {
    /// What a component needs that does little.
    fn default() -> Self {
        Self {
            cpu_millis: 50,
            memory_bytes: 32 << 20,
            storage: None,
            egress: Vec::new(),
        }
    }
}

impl Default for Exposure {
    fn default() -> Self {
        Self {
            port: 80,
            route: None,
            from: None,
        }
    }
}

/// The longest lag. Nobody waits longer for a pod to go.
const LONGEST_LAG: Duration = Duration::from_secs(300);

/// The least and the most of a core that a component can need, in thousandths.
const CPU: std::ops::RangeInclusive<f64> = 1.0..=256_000.0;

const MEMORY: std::ops::RangeInclusive<u64> = (1 << 20)..=(4 << 40);

const KEYS: [&str; 6] = [
    "lag",
    "pull_secret",
    "metrics_from",
    "issuer",
    "components",
    "listeners",
];

pub(super) fn read(table: &Table, reader: &mut Reader<'_>, settings: &mut Settings) {
    reader.only(table, &KEYS, "[kubernetes]");
    for Entry { key, item, .. } in &table.entries {
        let name = format!("`{key}` of [kubernetes]");
        let own = &mut settings.kubernetes;
        match key.as_str() {
            "lag" => {
                let length = Length {
                    name,
                    range: "set it from \"0s\" to \"5m\"",
                    within: Duration::ZERO..=LONGEST_LAG,
                };
                own.lag = length.read(item, reader).unwrap_or(own.lag);
            }
            "pull_secret" => {
                own.pull_secret = domain(item, &name, "pull_secret = \"registry\"", reader);
            }
            "metrics_from" => {
                own.metrics_from = label(item, &name, "metrics_from = \"monitoring\"", reader);
            }
            "issuer" => own.issuer = issuer(item, &name, reader),
            "components" => components(item, reader, settings),
            "listeners" => listeners(item, reader, settings),
            _ => {}
        }
    }
}

/// A name as namespaces and the like have it.
fn label(item: &Item, name: &str, example: &str, reader: &mut Reader<'_>) -> Option<String> {
    named(item, name, example, is_label, reader)
}

/// A name as Secrets, classes and hosts have it.
fn domain(item: &Item, name: &str, example: &str, reader: &mut Reader<'_>) -> Option<String> {
    named(item, name, example, is_domain, reader)
}

fn named(
    item: &Item,
    name: &str,
    example: &str,
    is_right: fn(&str) -> bool,
    reader: &mut Reader<'_>,
) -> Option<String> {
    let mend = format!("write {example}: small letters, digits and `-`");
    let text = reader.text(item, name, &mend)?;
    if is_right(text) {
        return Some(text.to_owned());
    }
    let what = format!("{name} is `{text}`, which Kubernetes takes for no name");
    reader.report(&item.at, what, mend);
    None
}

fn issuer(item: &Item, name: &str, reader: &mut Reader<'_>) -> Option<Issuer> {
    const MEND: &str = "write issuer = \"ClusterIssuer/NAME\", or issuer = \"Issuer/NAME\"";
    const KINDS: [&str; 2] = ["ClusterIssuer", "Issuer"];
    let text = reader.text(item, name, MEND)?;
    let found = text.split_once('/').and_then(|(kind, name)| {
        let kind = KINDS.into_iter().find(|known| *known == kind)?;
        is_domain(name).then(|| Issuer {
            kind,
            name: name.to_owned(),
        })
    });
    if found.is_none() {
        let what = format!("{name} is `{text}`, which names no issuer of cert-manager");
        reader.report(&item.at, what, MEND);
    }
    found
}

fn components(item: &Item, reader: &mut Reader<'_>, settings: &mut Settings) {
    const NAMED: Named = Named {
        of: "kubernetes",
        key: "components",
        mend: "write [kubernetes.components.NAME], then memory = \"64MiB\"",
    };
    let read = NAMED.read(item, reader, |table, _, section, reader| {
        component(table, section, reader)
    });
    for (name, at, needs) in read {
        settings.on_kubernetes.push((name.clone(), at));
        settings.kubernetes.components.insert(name, needs);
    }
}

fn component(table: &Table, section: &str, reader: &mut Reader<'_>) -> ComponentNeeds {
    reader.only(table, &["cpu", "memory", "storage", "egress"], section);
    let mut needs = ComponentNeeds::default();
    for Entry { key, item, .. } in &table.entries {
        let name = format!("`{key}` of {section}");
        match key.as_str() {
            "cpu" => {
                let mend = "write how many cores it needs, from 0.001 to 256: cpu = 0.1";
                let cores = reader.cores(item, &name, CPU, mend);
                needs.cpu_millis = cores.unwrap_or(needs.cpu_millis);
            }
            "memory" => {
                let bytes = bytes(item, &name, "memory = \"64MiB\"", reader);
                needs.memory_bytes = bytes.unwrap_or(needs.memory_bytes);
            }
            "storage" => needs.storage = storage(item, &name, reader),
            "egress" => needs.egress = egress(item, &name, reader),
            _ => {}
        }
    }
    needs
}

fn bytes(item: &Item, name: &str, example: &str, reader: &mut Reader<'_>) -> Option<u64> {
    let mend = format!("write a number and its unit, from 1MiB to 4096GiB: {example}");
    let text = reader.text(item, name, &mend)?;
    let found = quantity::size(text).filter(|bytes| MEMORY.contains(bytes));
    if found.is_none() {
        reader.report(
            &item.at,
            format!("{name} is `{text}`, which is no such size"),
            mend,
        );
    }
    found
}

fn storage(item: &Item, name: &str, reader: &mut Reader<'_>) -> Option<Storage> {
    const MEND: &str = "write storage = { size = \"1GiB\", class = \"standard\" }";
    let table = reader.table(item, name, MEND)?;
    let known = reader.only(table, &["size", "class", "path"], name);
    let (mut size, mut class, mut path) = (None, None, None);
    for Entry { key, item, .. } in &table.entries {
        let of = format!("`{key}` of {name}");
        match key.as_str() {
            "size" => size = Some(bytes(item, &of, "size = \"1GiB\"", reader)),
            "class" => class = Some(domain(item, &of, "class = \"standard\"", reader)),
            "path" => path = Some(absolute(item, &of, reader)),
            _ => {}
        }
    }
    for (key, is_there, mend) in [
        ("size", size.is_some(), MEND),
        (
            "class",
            class.is_some(),
            "name a class of the cluster, as `kubectl get storageclass` lists them: class = \"standard\"",
        ),
    ] {
        if !is_there {
            reader.missing(known, &item.at, format!("{name} has no `{key}`"), mend);
        }
    }
    Some(Storage {
        bytes: size??,
        class: class??,
        path: match path {
            Some(path) => Some(path?),
            None => None,
        },
    })
}

/// The path of a folder for a volume.
fn absolute(item: &Item, name: &str, reader: &mut Reader<'_>) -> Option<String> {
    const MEND: &str = "write a path from the root, as in path = \"/var/lib/carts\"";
    let text = reader.text(item, name, MEND)?;
    let mut parts = text.split('/').skip(1);
    let is_right = text.starts_with('/')
        && text.len() > 1
        && !text.contains([':', '\0'])
        && parts.all(|part| !part.is_empty() && part != "." && part != "..");
    if is_right {
        return Some(text.to_owned());
    }
    reader.report(&item.at, format!("{name} is `{text}`"), MEND);
    None
}

fn egress(item: &Item, name: &str, reader: &mut Reader<'_>) -> Vec<Egress> {
    const MEND: &str =
        "write addresses and a port: egress = [\"10.20.0.0/16:5432\", \"[fd00::]/8:5432\"]";
    let items = reader.list(item, name, MEND).unwrap_or_default();
    let mut found = Vec::new();
    for item in items {
        let Some(text) = reader.text(item, &format!("an entry of {name}"), MEND) else {
            continue;
        };
        match range_and_port(text) {
            Some(egress) => found.push(egress),
            None => reader.report(
                &item.at,
                format!("`{text}` is no range of addresses with a port"),
                MEND,
            ),
        }
    }
    found
}

/// Reads `10.0.0.0/8:5432`, or `[fd00::]/8:5432`.
fn range_and_port(text: &str) -> Option<Egress> {
    let (range, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
    let (address, length) = range.split_once('/')?;
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address: IpAddr = bare.unwrap_or(address).parse().ok()?;
    // An address of the sixth version without brackets could end in the port.
    if address.is_ipv6() != bare.is_some() {
        return None;
    }
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length: u8 = length.parse().ok().filter(|length| *length <= most)?;
    Some(Egress {
        range: format!("{address}/{length}"),
        port,
    })
}

fn listeners(item: &Item, reader: &mut Reader<'_>, settings: &mut Settings) {
    const NAMED: Named = Named {
        of: "kubernetes",
        key: "listeners",
        mend: "write [kubernetes.listeners.NAME], then port = 80",
    };
    for (name, at, exposure) in NAMED.read(item, reader, exposure) {
        settings.exposed.push((name.clone(), at));
        settings.kubernetes.listeners.insert(name, exposure);
    }
}

const LISTENER_KEYS: [&str; 6] = ["port", "host", "tls_secret", "ingress", "gateway", "from"];

fn exposure(table: &Table, at: &At, section: &str, reader: &mut Reader<'_>) -> Exposure {
    let known = reader.only(table, &LISTENER_KEYS, section);
    let mut exposure = Exposure::default();
    let (mut ways, mut host, mut tls_secret) = (Vec::new(), None, None);
    for Entry { key, item, .. } in &table.entries {
        let name = format!("`{key}` of {section}");
        match key.as_str() {
            "port" => {
                let port = reader.count(item, &name, 1..=u32::from(u16::MAX));
                exposure.port = port.map_or(exposure.port, |port| port as u16);
            }
            "host" => host = domain(item, &name, "host = \"shop.example.com\"", reader),
            "tls_secret" => tls_secret = domain(item, &name, "tls_secret = \"shop-tls\"", reader),
            "ingress" => {
                let class = domain(item, &name, "ingress = \"nginx\"", reader);
                ways.push((item, class.map(Way::Ingress)));
            }
            "gateway" => ways.push((item, gateway(item, &name, reader))),
            "from" => exposure.from = label(item, &name, "from = \"ingress-nginx\"", reader),
            _ => {}
        }
    }
    if let [_, (second, _)] = ways[..] {
        let mend = "keep the one by which it is to be reached";
        reader.report(
            &second.at,
            format!("{section} has both `ingress` and `gateway`"),
            mend,
        );
    }
    let is_led_to = host.is_some() || tls_secret.is_some();
    match ways.pop() {
        Some((_, by)) => {
            exposure.route = by.map(|by| Route {
                by,
                host,
                tls_secret,
            });
        }
        None if is_led_to => {
            let what = format!("{section} does not say who leads to it from outside");
            let mend = "write ingress = \"CLASS\", or gateway = \"NAMESPACE/NAME\"";
            reader.missing(known, at, what, mend);
        }
        None => {}
    }
    exposure
}

fn gateway(item: &Item, name: &str, reader: &mut Reader<'_>) -> Option<Way> {
    const MEND: &str = "write gateway = \"NAME\", or gateway = \"NAMESPACE/NAME\"";
    let text = reader.text(item, name, MEND)?;
    let (namespace, gateway) = match text.split_once('/') {
        Some((namespace, gateway)) => (Some(namespace), gateway),
        None => (None, text),
    };
    if namespace.is_none_or(is_label) && is_domain(gateway) {
        return Some(Way::Gateway {
            namespace: namespace.map(str::to_owned),
            name: gateway.to_owned(),
        });
    }
    let what = format!("{name} is `{text}`, which names no Gateway");
    reader.report(&item.at, what, MEND);
    None
}
