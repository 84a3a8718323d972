//! A replica without a control plane: its orders stand in a file, which somebody may write anew while it runs.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anylith_core::{Endpoint, Name, SecretSource};
use anylith_wire::{
    IdentityFiles, StandingOrders,
    control::{Identity, ToReplica},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::sleep,
};

use crate::replica::Replica;

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

    /// How long the replica may take to drain.
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_millis(self.orders.grace_ms)
    }

    /// Reads the files again when it is told to by SIGHUP, and the identity when its files change, and makes orders of
    /// what is new. Ends when nobody takes these any more, and says then what `replica` has counted: there is no control
    /// plane that could be asked.
    pub(crate) async fn keep(mut self, replica: Arc<Replica>, news: mpsc::Sender<ToReplica>) {
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
            match read(&self.path) {
                Ok(orders) => {
                    for order in self.difference(orders) {
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

    /// Takes `orders` over as far as that goes while the replica runs. Returns what has to be done for it.
    fn difference(&mut self, orders: StandingOrders) -> Vec<ToReplica> {
        let mut todo = Vec::new();
        let (before, after) = (&mut self.orders.bootstrap, orders.bootstrap);
        if before.identity != after.identity {
            todo.extend(after.identity.clone().map(ToReplica::Identity));
            before.identity = after.identity;
        }
        if before.directory.components != after.directory.components {
            // Whatever the file says of its epoch: it is newer than what it takes the place of.
            before.directory.epoch += 1;
            before.directory.components = after.directory.components;
            todo.push(ToReplica::Directory(before.directory.clone()));
        }
        let restart = [
            ("components", before.components != after.components),
            ("endpoints", before.endpoints != after.endpoints),
            ("config", before.config != after.config),
            ("edges", before.edges != after.edges),
            ("limits", before.limits != after.limits),
            ("callers", before.callers != after.callers),
            ("listeners", self.orders.listen != orders.listen),
        ];
        let restart = restart.into_iter().filter(|(_, changed)| *changed);
        let restart: Vec<&str> = restart.map(|(what, _)| what).collect();
        if !restart.is_empty() {
            let changed = restart.join(", ");
            tracing::warn!(target: "anylith", changed, "the orders have changed in what only a restart can change");
        }
        todo
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
    if let Some(files) = &orders.identity {
        orders.bootstrap.identity = Some(Identity {
            certificates: read_file(&beside(path, &files.certificates))?,
            key: read_file(&beside(path, &files.key))?,
            roots: read_file(&beside(path, &files.roots))?,
        });
    }
    fill_in_secrets(path, &mut orders)?;
    Ok(orders)
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
