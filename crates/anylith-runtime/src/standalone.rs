//! A process with no control plane: the whole application, with its `anylith.toml` if there is one.

use std::{
    collections::BTreeMap,
    env, fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use anylith_core::{Manifest, Name};
use anylith_topology::{MONOLITH, Overrides, Plan, Problems, ReplicaChange, Secrets, Settings};

/// Why the process could not be set up on its own.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The settings are wrong.
    #[error("{0}")]
    Settings(Problems),
    /// The settings cannot be read.
    #[error("cannot read {}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// A listener's address cannot be bound.
    #[error(
        "cannot listen at {address} for the listener `{listener}`; set `address` in [listeners.{listener}]"
    )]
    Address {
        /// The listener.
        listener: Name,
        /// Its address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Reads `anylith.toml`, at `named` or in the current folder, and plans the monolith.
pub(crate) fn plan(manifest: &Manifest, named: Option<&Path>) -> Result<Plan, SetupError> {
    let path = named.unwrap_or(Path::new("anylith.toml"));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => String::new(),
        Err(error) => return Err(SetupError::Unreadable(path.to_owned(), error)),
    };
    let names = manifest.components.iter().flat_map(|component| {
        std::iter::once(&component.name)
            .chain(&component.listeners)
            .map(Name::as_str)
    });
    let variables = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let overrides = Overrides::default().env(variables).names(names);
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    Settings::parse(
        &path.display().to_string(),
        &text,
        &overrides,
        &Surroundings { folder },
    )
    .and_then(|settings| settings.plan(manifest, MONOLITH, &ReplicaChange::default()))
    .map_err(SetupError::Settings)
}

/// Secrets out of this process's environment and disk.
struct Surroundings {
    folder: PathBuf,
}

impl Secrets for Surroundings {
    fn variable(&self, name: &str) -> Option<String> {
        env::var(name).ok()
    }

    fn file(&self, path: &str) -> Result<String, String> {
        let text = fs::read_to_string(self.folder.join(path)).map_err(|error| error.to_string())?;
        Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
    }
}

/// Binds every listener of `plan`, but for those in `inherited`.
pub(crate) fn bind(
    plan: &Plan,
    mut inherited: BTreeMap<Name, Arc<TcpListener>>,
) -> Result<BTreeMap<Name, Arc<TcpListener>>, SetupError> {
    for (listener, address) in &plan.listeners {
        if inherited.contains_key(listener) {
            continue;
        }
        let socket = TcpListener::bind(address).map_err(|source| SetupError::Address {
            listener: listener.clone(),
            address: *address,
            source,
        })?;
        inherited.insert(listener.clone(), Arc::new(socket));
    }
    Ok(inherited)
}
