//! A replica without a control plane: its orders stand in a file, which somebody may write anew while it runs.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anylith_core::{Endpoint, Name, SecretSource};
use anylith_rpc::{IdentityError, IdentityPart, examine};
use anylith_wire::{
    ENV_ADDRESS, IdentityFiles, StandingOrders,
    control::{Bootstrap, Identity, ToReplica},
    replica_at,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::sleep,
};

use crate::{
    discovery::{Finder, System},
    probe::Probed,
    replica::Replica,
};

/// Orders are not longer, in bytes; a secret never has as many.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// How often the files of the identity are looked at. Certificates are renewed long before they run out.
const GLANCE: Duration = Duration::from_secs(5);

/// Why a replica has no orders.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrdersError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The orders are not what `anylith render static` writes.
    #[error("{} holds no orders for a replica: write it with `anylith render static`", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The orders of a replica that runs have become those of another one.
    #[error("{} holds the orders of `{found}` of `{app}` now: put back those of this replica, or start it anew", path.display())]
    Anothers {
        /// The file.
        path: PathBuf,
        /// Whose they are.
        found: Name,
        /// The application that this one belongs to.
        app: Name,
    },
    /// The replica cannot prove itself with its certificate, key and roots.
    #[error(
        "{} cannot be used: put the files of this replica there again, all of them, as `anylith render static` wrote them",
        path.display()
    )]
    Identity {
        /// The file that is wrong, or does not fit the others.
        path: PathBuf,
        /// Why.
        #[source]
        source: IdentityError,
    },
    /// A secret is not where the config says.
    #[error("the config of `{component}` has its `{key}` elsewhere: {problem}")]
    Secret {
        /// The component.
        component: Name,
        /// The value, as a JSON pointer.
        key: String,
        /// What is wrong, and the mend.
        problem: String,
    },
    /// A replica that is found by name does not know its own address.
    #[error(
        "{ENV_ADDRESS} is {}: set it to the address at which others reach this process, as in a pod `fieldRef: \
         {{ fieldPath: status.podIP }}` does",
        found.as_ref().map_or_else(|| "not set".to_owned(), |found| format!("`{found}`, which is no address"))
    )]
    Address {
        /// What the environment says.
        found: Option<String>,
    },
    /// The replica has no name.
    #[error(
        "the name of the group `{group}` leaves no room for an address: give it a shorter one, and render again"
    )]
    Nameless {
        /// Its group.
        group: Name,
    },
    /// The folder for sockets between replicas of this host is not safe.
    #[error("the folder {} cannot be used for sockets", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The orders of this process, with what belongs to them.
#[derive(Debug)]
pub(crate) struct OrdersFile {
    path: PathBuf,
    /// As they were read last; secrets and identity in place.
    pub(crate) orders: StandingOrders,
    /// Taken over from the first moment on: a SIGHUP must never end the process.
    hangup: Option<Signal>,
}

impl OrdersFile {
    /// Reads the orders at `path`, and all that they refer to.
    pub(crate) fn read(path: PathBuf) -> Result<Self, OrdersError> {
        let orders = read(&path)?;
        for endpoint in &orders.bootstrap.endpoints {
            if let Endpoint::Unix(socket) = endpoint {
                closed_folder(socket.parent().unwrap_or(Path::new("/")))?;
            }
        }
        Ok(Self {
            path,
            orders,
            hangup: signal(SignalKind::hangup()).ok(),
        })
    }

    /// Binds the port at which probes are answered, if they are.
    pub(crate) fn probed(&self) -> io::Result<Option<Probed>> {
        let Some(at) = self.orders.health else {
            return Ok(None);
        };
        let Bootstrap { app, group, .. } = &self.orders.bootstrap;
        Ok(Some(Probed {
            socket: Probed::bind(at)?,
            app: app.clone(),
            replica: self.orders.replica.clone(),
            group: group.clone(),
        }))
    }

    /// How long the replica may take to drain.
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_millis(self.orders.grace_ms)
    }

    /// Reads the files again when it is told to by SIGHUP, and the identity when its files change, and makes orders of
    /// what is new; and looks for the replicas that it finds by name. Ends when nobody takes these any more, and says then
    /// what `replica` has counted: there is no control plane that could be asked.
    pub(crate) async fn keep(self, replica: Arc<Replica>, news: mpsc::Sender<ToReplica>) {
        let peers = self.orders.discovery.as_ref();
        let peers = peers.map(|discovery| discovery.peers.clone());
        match peers.filter(|peers| !peers.is_empty()) {
            Some(peers) => {
                let finder = Finder::new(peers, System);
                let network = replica.panel().network.clone();
                tokio::join!(
                    finder.follow(network, news.clone()),
                    self.keep_files(replica, news)
                );
            }
            None => self.keep_files(replica, news).await,
        }
    }

    async fn keep_files(mut self, replica: Arc<Replica>, news: mpsc::Sender<ToReplica>) {
        let mut stamp = self.stamp();
        loop {
            tokio::select! {
                () = hung_up(&mut self.hangup) => {
                    tracing::info!(target: "anylith", file = %self.path.display(), "reading the orders again");
                    stamp = self.stamp();
                }
                () = sleep(GLANCE) => {
                    let now = self.stamp();
                    if std::mem::replace(&mut stamp, now) == stamp {
                        continue;
                    }
                }
                () = news.closed() => {
                    let counters = serde_json::to_string(&replica.counters()).unwrap_or_default();
                    tracing::info!(target: "anylith", counters, "stopped; this is what was counted");
                    return;
                }
            }
            match read(&self.path).and_then(|orders| self.difference(orders)) {
                Ok((todo, restart)) => {
                    if !restart.is_empty() {
                        let changed = restart.join(", ");
                        tracing::warn!(target: "anylith", changed, "the orders have changed in what only a restart can change");
                    }
                    for order in todo {
                        if news.send(order).await.is_err() {
                            return;
                        }
                    }
                }
                Err(error) => tracing::error!(
                    target: "anylith",
                    error = anylith_core::with_causes(&error),
                    "the orders cannot be read again; those of before stand"
                ),
            }
        }
    }

    /// Takes `orders` over as far as that goes while the replica runs. Returns what has to be done for it, and what only
    /// a restart can change.
    fn difference(
        &mut self,
        orders: StandingOrders,
    ) -> Result<(Vec<ToReplica>, Vec<&'static str>), OrdersError> {
        // Whole, so that nothing is forgotten that comes to be in them.
        let StandingOrders {
            replica,
            bootstrap,
            listen,
            secrets,
            identity: files,
            grace_ms,
            discovery,
            health,
        } = orders;
        let Bootstrap {
            app,
            group,
            components,
            endpoints,
            listeners,
            config,
            edges,
            limits,
            telemetry,
            directory,
            identity,
            callers,
            held: _,
        } = bootstrap;
        let before = &mut self.orders.bootstrap;
        if (&app, &replica) != (&before.app, &self.orders.replica) {
            return Err(OrdersError::Anothers {
                path: self.path.clone(),
                found: replica,
                app,
            });
        }
        let mut todo = Vec::new();
        // Without one it would have to give up its connections.
        let loses_identity = identity.is_none() && before.identity.is_some();
        if before.identity != identity && !loses_identity {
            todo.extend(identity.clone().map(ToReplica::Identity));
            before.identity = identity;
        }
        if before.directory.components != directory.components {
            // Whatever the file says of its epoch: it is newer than what it takes the place of.
            before.directory.epoch += 1;
            before.directory.components = directory.components;
            todo.push(ToReplica::Directory(before.directory.clone()));
        }
        let restart = [
            ("group", before.group != group),
            ("components", before.components != components),
            ("endpoints", before.endpoints != endpoints),
            ("config", before.config != config),
            ("edges", before.edges != edges),
            ("limits", before.limits != limits),
            ("telemetry", before.telemetry != telemetry),
            ("callers", before.callers != callers),
            (
                "listeners",
                before.listeners != listeners || self.orders.listen != listen,
            ),
            ("identity", loses_identity),
            ("grace_ms", self.orders.grace_ms != grace_ms),
            ("discovery", self.orders.discovery != discovery),
            ("health", self.orders.health != health),
        ];
        // Where they are is taken over; what they say is in the config, and was compared there.
        self.orders.secrets = secrets;
        self.orders.identity = files.or(self.orders.identity.take());
        let restart = restart.into_iter().filter(|(_, changed)| *changed);
        Ok((todo, restart.map(|(what, _)| what).collect()))
    }

    /// Something that changes when the files of the identity do.
    fn stamp(&self) -> Vec<Option<(SystemTime, u64, u64)>> {
        let Some(files) = &self.orders.identity else {
            return Vec::new();
        };
        let IdentityFiles {
            certificates,
            key,
            roots,
        } = files;
        let of = |file: &PathBuf| {
            let found = fs::metadata(beside(&self.path, file)).ok()?;
            Some((found.modified().ok()?, found.len(), found.ino()))
        };
        [certificates, key, roots].into_iter().map(of).collect()
    }
}

async fn hung_up(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// `file`, as the orders at `path` mean it.
fn beside(path: &Path, file: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(file)
}

fn read(path: &Path) -> Result<StandingOrders, OrdersError> {
    let text = read_file(path)?;
    let mut orders: StandingOrders =
        serde_json::from_str(&text).map_err(|source| OrdersError::Malformed {
            path: path.to_owned(),
            source,
        })?;
    if orders.discovery.is_some() {
        settle(&mut orders, own_address()?)?;
    }
    if let Some(files) = &orders.identity {
        let identity = Identity {
            certificates: read_file(&beside(path, &files.certificates))?,
            key: read_file(&beside(path, &files.key))?,
            roots: read_file(&beside(path, &files.roots))?,
        };
        judge(path, files, &identity, &orders)?;
        orders.bootstrap.identity = Some(identity);
    }
    fill_in_secrets(path, &mut orders)?;
    Ok(orders)
}

/// Where others find this process.
fn own_address() -> Result<IpAddr, OrdersError> {
    let found = std::env::var_os(ENV_ADDRESS).map(|found| found.to_string_lossy().into_owned());
    let address = found.as_ref().and_then(|found| found.parse().ok());
    address.ok_or(OrdersError::Address { found })
}

/// Makes of `orders`, which are for all replicas of a group, those of the one at `address`.
fn settle(orders: &mut StandingOrders, address: IpAddr) -> Result<(), OrdersError> {
    let group = &orders.replica;
    orders.replica = replica_at(group, address).ok_or_else(|| OrdersError::Nameless {
        group: group.clone(),
    })?;
    let port = orders
        .discovery
        .as_ref()
        .and_then(|discovery| discovery.port);
    let endpoint = port.map(|port| Endpoint::Tcp(SocketAddr::new(address, port)));
    orders.bootstrap.endpoints.extend(endpoint);
    if address.is_ipv6() {
        // It may have no address of the fourth version at all.
        let everywhere = orders.listen.values_mut().chain(&mut orders.health);
        for at in everywhere.filter(|at| at.ip().is_unspecified()) {
            at.set_ip(Ipv6Addr::UNSPECIFIED.into());
        }
    }
    Ok(())
}

/// Refuses an identity that can never be of use. One whose time has passed, or is to come, is taken: it may be renewed
/// while the replica runs, and on its own host nobody asks for it.
fn judge(
    path: &Path,
    files: &IdentityFiles,
    identity: &Identity,
    orders: &StandingOrders,
) -> Result<(), OrdersError> {
    match examine(identity, &orders.replica, &orders.bootstrap.components) {
        Ok(None) => Ok(()),
        Ok(Some(reason)) => {
            let file = beside(path, &files.certificates);
            tracing::error!(
                target: "anylith",
                "{} is of no use now, and other hosts refuse this replica: {reason}; write and copy new ones with \
                 `anylith render static`, or set the clock",
                file.display()
            );
            Ok(())
        }
        Err(source) => {
            let file = match source.part() {
                IdentityPart::Certificates => &files.certificates,
                IdentityPart::Key => &files.key,
                IdentityPart::Roots => &files.roots,
            };
            Err(OrdersError::Identity {
                path: beside(path, file),
                source,
            })
        }
    }
}

/// Puts each secret into the config where it belongs.
fn fill_in_secrets(path: &Path, orders: &mut StandingOrders) -> Result<(), OrdersError> {
    for (component, references) in &orders.secrets {
        for reference in references {
            let wrong = |problem: String| OrdersError::Secret {
                component: component.clone(),
                key: reference.pointer.clone(),
                problem,
            };
            let text = match &reference.source {
                SecretSource::Env(name) => std::env::var(name).map_err(|_| {
                    wrong(format!(
                        "the environment variable `{name}` is not set, or no text; set it in secrets.env"
                    ))
                })?,
                SecretSource::File(file) => {
                    let file = beside(path, Path::new(file));
                    let text = read_file(&file)
                        .map_err(|error| wrong(anylith_core::with_causes(&error)))?;
                    let text = text.strip_suffix('\n').unwrap_or(&text);
                    text.strip_suffix('\r').unwrap_or(text).to_owned()
                }
            };
            let config = orders.bootstrap.config.get_mut(component);
            let place = config
                .and_then(|config| config.pointer_mut(&reference.pointer))
                .ok_or_else(|| wrong("the config has no such place".to_owned()))?;
            *place = text.into();
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<String, OrdersError> {
    let unreadable = |source| OrdersError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(MOST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MOST_BYTES {
        let text = format!("it is longer than {MOST_BYTES} bytes");
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, text)));
    }
    Ok(text)
}

/// Sees to it that `folder` is there, and that nobody else can look into it.
fn closed_folder(folder: &Path) -> Result<(), OrdersError> {
    let unusable = |source| OrdersError::Folder {
        path: folder.to_owned(),
        source,
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(unusable)?;
    let found = fs::metadata(folder).map_err(unusable)?;
    if found.mode() & 0o077 != 0 {
        let text = "others can look into it: close it with `chmod 700`, or set `run` of the host to another folder";
        return Err(unusable(io::Error::new(
            io::ErrorKind::PermissionDenied,
            text,
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use anylith_core::{Address, Directory};

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn file() -> OrdersFile {
        let orders = serde_json::json!({
            "replica": "rest-one-1",
            "bootstrap": { "app": "shop", "group": "rest", "components": ["Cart"], "endpoints": [] },
            "grace_ms": 10_000,
        });
        OrdersFile {
            path: "bootstrap.json".into(),
            orders: serde_json::from_value(orders).unwrap(),
            hangup: None,
        }
    }

    #[test]
    fn orders_of_another_replica_are_refused_and_change_nothing() {
        for change in [
            |orders: &mut StandingOrders| orders.replica = name("rest-two-1"),
            |orders: &mut StandingOrders| orders.bootstrap.app = name("shed"),
        ] {
            let mut file = file();
            let mut orders = file.orders.clone();
            let at = Address {
                replica: name("goods-two-1"),
                endpoint: "tcp:10.0.0.2:7400".parse().unwrap(),
            };
            orders.bootstrap.directory = Directory::new(1, [(name("Stock"), vec![at])]);
            change(&mut orders);
            let refused = file.difference(orders).unwrap_err();
            assert!(matches!(refused, OrdersError::Anothers { .. }), "{refused}");
            assert!(file.orders.bootstrap.directory.components.is_empty());
        }
    }

    #[test]
    fn what_only_a_restart_can_change_is_named_whatever_it_is() {
        type Change = fn(&mut StandingOrders);
        let changes: [(&str, Change); 4] = [
            ("group", |orders| orders.bootstrap.group = name("other")),
            ("grace_ms", |orders| orders.grace_ms += 1),
            ("listeners", |orders| {
                orders.bootstrap.listeners.insert(name("web"), 3);
            }),
            ("components", |orders| orders.bootstrap.components.clear()),
        ];
        for (what, change) in changes {
            let mut file = file();
            let mut orders = file.orders.clone();
            change(&mut orders);
            let (todo, restart) = file.difference(orders).unwrap();
            assert_eq!((todo.len(), &restart[..]), (0, &[what][..]));
        }
    }

    #[test]
    fn orders_of_a_group_become_those_of_the_replica_at_an_address() {
        let orders = serde_json::json!({
            "replica": "rest",
            "bootstrap": { "app": "shop", "group": "rest", "components": ["Cart"], "endpoints": [] },
            "grace_ms": 10_000,
            "listen": { "web": "0.0.0.0:8080" },
            "discovery": { "port": 7400, "peers": [] },
            "health": "0.0.0.0:7401",
        });
        let orders: StandingOrders = serde_json::from_value(orders).unwrap();
        let mut fourth = orders.clone();
        settle(&mut fourth, "10.0.0.7".parse().unwrap()).unwrap();
        assert_eq!(fourth.replica, "rest-10-0-0-7");
        let endpoints = &fourth.bootstrap.endpoints;
        assert_eq!(endpoints, &["tcp:10.0.0.7:7400".parse().unwrap()]);
        assert_eq!(fourth.listen, orders.listen);
        let mut sixth = orders;
        settle(&mut sixth, "fd00::7".parse().unwrap()).unwrap();
        assert_eq!(sixth.listen[&name("web")].to_string(), "[::]:8080");
        assert_eq!(sixth.health.unwrap().to_string(), "[::]:7401");
        let mut long = sixth;
        long.replica = name(&"x".repeat(40));
        let refused = settle(&mut long, "10.0.0.7".parse().unwrap()).unwrap_err();
        assert!(matches!(refused, OrdersError::Nameless { .. }), "{refused}");
    }

    #[test]
    fn an_identity_that_has_moved_is_looked_for_in_its_new_place() {
        let mut file = file();
        let mut orders = file.orders.clone();
        let files = IdentityFiles {
            certificates: "new/certificates.pem".into(),
            key: "new/key.pem".into(),
            roots: "new/roots.pem".into(),
        };
        orders.identity = Some(files.clone());
        file.difference(orders).unwrap();
        assert_eq!(file.orders.identity, Some(files));
    }
}
