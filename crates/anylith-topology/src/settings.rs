//! `anylith.toml`, read: what it sets, and where each of it was written.

pub(crate) mod bursts;
mod edges;
mod limits;
pub(crate) mod reader;
pub(crate) mod scaling;
pub(crate) mod sections;
mod telemetry;

use std::{collections::BTreeMap, fmt, net::SocketAddr, str::FromStr};

use anylith_core::{EdgeSettings, Limits, Name, SecretReference, Telemetry};
use serde::{Deserialize, Serialize};

use crate::{
    Overrides, Problem, Problems, Secrets,
    config::Config,
    source::{At, Source},
    tree::{self, Syntax},
};
use bursts::Bursts;
use reader::Reader;
use scaling::Replicas;
pub use telemetry::Collection;

/// The settings of an application: `anylith.toml` and what overrides it.
///
/// Where there is no such file, [`Settings::default`] is what it would have said. Parsed, every setting
/// is sound by itself; whether they fit the application is asked of [`Settings::check`].
///
/// Everything that the file can say:
///
/// ```
/// # let text = r#"
/// [app]
/// name = "boutique"                 # if it is there, what the application calls itself
/// package = "boutique"              # the cargo package to build, or: binary = "target/release/boutique"
/// transport = "unix"                # between replicas; or "tcp"
/// dashboard = "127.0.0.1:9000"      # where `anylith run` shows it; or "off"
///
/// [app.env]                         # for every replica
/// RUST_LOG = "info"
///
/// [listeners.web]
/// address = "127.0.0.1:8080"        # port 0, or no section: the system's choice
///
/// [components.Currency]             # that component's own config, whatever it asks for
/// rates = "data/rates.json"
/// key = { env = "RATES_KEY" }       # a secret, or: { file = "secrets/rates" }
///
/// [topologies.split]                # besides `monolith` and `micro`
/// groups.checkout = { components = ["Checkout", "Payment"], replicas = 2 }
/// groups.catalog = { components = ["Catalog"], replicas = { min = 1, max = 6, target = { concurrency = 16 } } }
/// groups.rest = { components = ["*"], burst = ["Currency"] }   # or true
///
/// [edges."Frontend -> Ads"]
/// deadline = "100ms"                # ms, s, m or h
///
/// [edges."Frontend -> Ads.watch"]   # for one method alone
/// deadline = "1h"
///
/// [limits]
/// message = "64MiB"                 # B, kB, KiB, MB, MiB, GB or GiB
/// calls_per_connection = 16384
/// reach_timeout = "3s"
/// concurrency = 1024                # calls at a time in each component of a replica; more are refused
///
/// [limits.components.Currency]      # for one component alone
/// concurrency = "adaptive"          # or a number
///
/// [telemetry]
/// metrics = "all"                   # or "counters": without times; or "off"
/// traces = "1%"                     # of all; or "off". Those that fail or are slow are kept besides
/// slow = "500ms"
/// traces_size = "32MiB"             # what is kept of them on this machine
/// otlp = "http://127.0.0.1:4318"    # a collector that is sent traces and metrics
/// # "#;
/// # use anylith_topology::{Overrides, Settings, Unread};
/// # let settings = Settings::parse("anylith.toml", text, &Overrides::default(), &Unread)?;
/// # assert_eq!(settings.topologies().count(), 1);
/// # Ok::<(), anylith_topology::Problems>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub(crate) source: Source,
    /// What could not be read, of which [`Settings::check`] says nothing.
    pub(crate) syntax: Syntax,
    pub(crate) app: AppSettings,
    /// Key of `[app]` → where its value is. The empty key is the section itself.
    pub(crate) app_places: BTreeMap<String, At>,
    pub(crate) app_unclear: bool,
    pub(crate) listeners: BTreeMap<Name, ListenerSettings>,
    pub(crate) components: BTreeMap<Name, Config>,
    /// `[components.X]` that are no tables.
    pub(crate) unread_components: Vec<(Name, At)>,
    pub(crate) topologies: BTreeMap<Name, TopologySettings>,
    pub(crate) edges: Vec<PlacedEdge>,
    pub(crate) limits: Limits,
    /// The components of `[limits.components]`, and where they are written.
    pub(crate) limited: Vec<(Name, At)>,
    pub(crate) telemetry: Telemetry,
    pub(crate) collection: Collection,
}

/// `[app]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AppSettings {
    /// The application's name; `None` if the file leaves it to the application.
    pub name: Option<Name>,
    /// The cargo package that builds the application's binary.
    pub package: Option<String>,
    /// The application's binary, relative to the folder of `anylith.toml`. Never set together with `package`.
    pub binary: Option<String>,
    /// What replicas call each other over.
    pub transport: Transport,
    /// Environment variables that every replica gets.
    pub env: BTreeMap<String, String>,
    /// Where the dashboard of a run listens; `None` if the file does not say.
    pub dashboard: Option<Dashboard>,
}

/// Where the dashboard of a run listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dashboard {
    /// At this address. With port 0 the system chooses one.
    At(SocketAddr),
    /// There is none.
    Off,
}

impl FromStr for Dashboard {
    type Err = String;

    /// Reads `127.0.0.1:9000`, or `off`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            _ => text
                .parse()
                .map(Self::At)
                .map_err(|_| format!("`{text}` is no address with a port")),
        }
    }
}

/// What the replicas of an application call each other over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Unix sockets: the fastest on one host.
    #[default]
    Unix,
    /// TCP.
    Tcp,
}

impl FromStr for Transport {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "unix" => Ok(Self::Unix),
            "tcp" => Ok(Self::Tcp),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unix => "unix",
            Self::Tcp => "tcp",
        })
    }
}

/// `[listeners.X]`.
#[derive(Debug, Clone)]
pub(crate) struct ListenerSettings {
    pub(crate) at: At,
    /// `None` if it cannot be read.
    pub(crate) address: Option<SocketAddr>,
}

/// `[topologies.X]`.
#[derive(Debug, Clone)]
pub(crate) struct TopologySettings {
    pub(crate) at: At,
    pub(crate) groups: Vec<GroupSettings>,
    /// Whether all of it could be read; where not, nothing is said about what it lacks.
    pub(crate) complete: bool,
}

impl PlacedEdge {
    /// `Caller -> Callee`, or `Caller -> Callee.method`.
    pub(crate) fn name(&self) -> String {
        let EdgeSettings {
            caller,
            callee,
            method,
            ..
        } = &self.settings;
        match method {
            Some(method) => format!("{caller} -> {callee}.{method}"),
            None => format!("{caller} -> {callee}"),
        }
    }
}

/// One group of a topology.
#[derive(Debug, Clone)]
pub(crate) struct GroupSettings {
    pub(crate) name: Name,
    pub(crate) at: At,
    /// Names of components, or `*`.
    pub(crate) components: Vec<(String, At)>,
    pub(crate) replicas: Replicas,
    /// Where the file says how many there are, if it does.
    pub(crate) replicas_at: Option<At>,
    pub(crate) bursts: Bursts,
}

/// `[edges."A -> B"]`.
#[derive(Debug, Clone)]
pub(crate) struct PlacedEdge {
    pub(crate) at: At,
    /// Where its `hedge` is, if it has one.
    pub(crate) hedge: Option<At>,
    pub(crate) settings: EdgeSettings,
}

/// As much of the settings as could be read, and all that is wrong with the rest.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The settings, without those that are wrong.
    pub settings: Settings,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Settings {
    /// Reads `text`, which messages call `file`, with `overrides` put in place.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn parse(
        file: &str,
        text: &str,
        overrides: &Overrides,
        secrets: &dyn Secrets,
    ) -> Result<Self, Problems> {
        let Reading { settings, problems } = Self::read(file, text, overrides, secrets);
        Problems::new(problems).none_or(settings)
    }

    /// Like [`Settings::parse`], for those who go on to [`Settings::check`] and report all problems together.
    pub fn read(file: &str, text: &str, overrides: &Overrides, secrets: &dyn Secrets) -> Reading {
        let source = Source::new(file, text);
        let tree::Parsed {
            mut root,
            problems,
            syntax,
        } = tree::parse(&source);
        let unreadable: Vec<_> = problems.iter().map(|it| it.place.clone()).collect();
        let mut reader = Reader::new(&source, problems, !syntax.problems.is_empty());
        overrides.apply(&mut root, &source, &mut reader.problems);
        let mut settings = sections::read(&root, &mut reader, secrets);
        let mut problems = reader.problems;
        // A value that cannot be read has a stand-in, of which nothing is to be said.
        let (first, rest) = problems.split_at(unreadable.len());
        let rest = rest.iter().filter(|it| !unreadable.contains(&it.place));
        problems = first.iter().chain(rest).cloned().collect();
        problems.retain(|problem| syntax.lets_stand(problem));
        problems.extend(syntax.problems.iter().cloned());
        settings.source = source;
        settings.syntax = syntax;
        Reading { settings, problems }
    }

    /// `[app]`.
    pub fn app(&self) -> &AppSettings {
        &self.app
    }

    /// What is told of the application, besides what its replicas must know.
    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    /// `[limits]`.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The application's own topologies, in alphabetical order; `monolith` and `micro` are not among them.
    pub fn topologies(&self) -> impl Iterator<Item = &Name> {
        self.topologies.keys()
    }

    /// The config of `component`, secrets in place; `None` if it has none.
    pub fn config(&self, component: &str) -> Option<&serde_json::Value> {
        self.components.get(component).map(|config| &config.json)
    }

    /// The config of `component` with nothing in the place of each secret, and where each of them is found: for who
    /// writes a config down.
    pub fn config_without_secrets(
        &self,
        component: &str,
    ) -> Option<(serde_json::Value, Vec<SecretReference>)> {
        let config = self.components.get(component)?;
        Some(config.without_secrets())
    }

    /// The config of `component` as people may see it: what is a secret, or might be one, is hidden. `None` if it has none.
    pub fn config_for_people(&self, component: &str) -> Option<serde_json::Value> {
        self.components.get(component).map(Config::shown)
    }

    /// How many replicas `group` of `topology` is said to have, if that is said.
    pub(crate) fn replicas_said(&self, topology: &str, group: &Name) -> Option<u32> {
        let groups = &self.topologies.get(topology)?.groups;
        let group = groups.iter().find(|known| known.name == *group)?;
        match (&group.replicas_at, group.replicas) {
            (Some(_), Replicas::Fixed(replicas)) => Some(replicas),
            (Some(_), Replicas::Scaled(_)) | (None, _) => None,
        }
    }

    /// Whether all that the file says of `[app]` was understood. Where not, what seems to be missing may be what
    /// was not.
    pub fn app_is_clear(&self) -> bool {
        !self.app_unclear
    }

    /// The problem `what` of `key` of `[app]`, at its line; or where that key would be added.
    pub fn app_problem(
        &self,
        key: &str,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Problem {
        let keys = &self.app_places;
        let at = keys.get(key).or_else(|| keys.get(""));
        let at = at.cloned().unwrap_or_else(|| self.source.end());
        self.source.problem(&at, what, mend)
    }
}
