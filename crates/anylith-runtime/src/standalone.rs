//! A process with no control plane: the whole application, with its `anylith.toml` if there is one.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use anylith_core::{Manifest, Name};
use anylith_topology::{
    MONOLITH, Overrides, Plan, Problem, Problems, Reading, ReplicaChange, Secrets, Settings,
};
use serde_json::Value;

use crate::component::Registration;

/// Why the process could not be set up on its own.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The settings are wrong.
    #[error("{0}")]
    Settings(Problems),
    /// There are no settings in this folder, and some are needed.
    #[error("there is no anylith.toml in {}, nor does ANYLITH_CONFIG name one; it would say:\n\n{}", .0.display(), .1)]
    NoSettings(PathBuf, Problems),
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
pub(crate) fn plan(
    manifest: &Manifest,
    components: &[Registration],
    named: Option<&Path>,
) -> Result<Plan, SetupError> {
    let path = named.unwrap_or(Path::new("anylith.toml"));
    let (text, missing) = match fs::read_to_string(path) {
        Ok(text) => (text, false),
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {
            (String::new(), true)
        }
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
    let file = path.display().to_string();
    let Reading {
        settings,
        mut problems,
    } = Settings::read(&file, &text, &overrides, &Surroundings { folder });
    for component in components {
        let config = settings.config(component.name).unwrap_or(&Value::Null);
        let found = component.check_config(config).into_iter();
        let found = found.map(|it| settings.complaint(component.name, &it.key, &it.message));
        problems.extend(found.flatten());
    }
    let planned = settings.plan(manifest, MONOLITH, &ReplicaChange::default());
    let wrong = |problems: Vec<Problem>| {
        let in_the_file = problems.iter().any(|problem| problem.file().is_some());
        let problems = Problems::new(problems);
        Err(match env::current_dir() {
            Ok(folder) if missing && in_the_file => SetupError::NoSettings(folder, problems),
            _ => SetupError::Settings(problems),
        })
    };
    match planned {
        Ok(plan) if problems.is_empty() => Ok(plan),
        Ok(_) => wrong(problems),
        Err(more) => {
            problems.extend(more);
            wrong(problems)
        }
    }
}

/// Secrets out of this process's environment and disk.
struct Surroundings {
    folder: PathBuf,
}

impl Secrets for Surroundings {
    fn variable(&self, name: &str) -> Option<OsString> {
        env::var_os(name)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn io::Read>> {
        Ok(Box::new(fs::File::open(self.folder.join(path))?))
    }
}

/// Binds each listener at its address, but for those in `inherited`.
pub(crate) fn bind(
    addresses: &BTreeMap<Name, SocketAddr>,
    mut inherited: BTreeMap<Name, Arc<TcpListener>>,
) -> Result<BTreeMap<Name, Arc<TcpListener>>, SetupError> {
    for (listener, address) in addresses {
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
