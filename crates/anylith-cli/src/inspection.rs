//! One look at an application, the same for every command: its file, its binary, and what its components say of
//! their config. So what one command finds wrong, every other one finds wrong in the same words.

use std::{collections::BTreeMap, path::PathBuf};

use anylith_core::Manifest;
use anylith_dashboard::Looked;
use anylith_topology::{BUILT_IN, Plan, Problem, Problems, ReplicaChange, Settings};

use crate::{
    app::App,
    args::{Building, Overriding},
    binary, describe,
    failure::Failure,
};

/// An application that was looked at.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub(crate) settings: Settings,
    pub(crate) manifest: Manifest,
    pub(crate) binary: PathBuf,
    problems: Vec<Problem>,
}

impl Inspection {
    /// Looks at `app`, with the flags that the command was given. `asked` is what else was found wrong with them.
    ///
    /// # Cancellation
    ///
    /// What was asked of cargo or of the binary is killed.
    pub(crate) async fn of(
        app: &App,
        overriding: &Overriding,
        building: &Building,
        asked: Vec<Problem>,
    ) -> Result<Self, Failure> {
        let binary = Self::binary(app, overriding, building, &asked).await?;
        Self::of_binary(app, overriding, binary, asked).await
    }

    /// The binary of `app`, built anew if cargo builds it; if there is none, all that can be found wrong without it.
    ///
    /// # Cancellation
    ///
    /// A build that goes on is killed.
    pub(crate) async fn binary(
        app: &App,
        overriding: &Overriding,
        building: &Building,
        asked: &[Problem],
    ) -> Result<PathBuf, Failure> {
        let first = app.read(overriding, None);
        let found = binary::find(app, &first.settings, building).await;
        found.map_err(|failure| failure.with([&first.problems, asked].concat()))
    }

    /// Looks at `app` as it is with this `binary`.
    ///
    /// # Cancellation
    ///
    /// What was asked of the binary is killed.
    pub(crate) async fn of_binary(
        app: &App,
        overriding: &Overriding,
        binary: PathBuf,
        asked: Vec<Problem>,
    ) -> Result<Self, Failure> {
        let manifest = match describe::manifest(&binary, &app.folder).await {
            Ok(manifest) => manifest,
            // Without the application only the file itself can be looked at.
            Err(failure) => {
                let first = app.read(overriding, None);
                return Err(failure.with([first.problems, asked].concat()));
            }
        };
        let reading = app.read(overriding, Some(&manifest));
        let mut inspection = Self {
            settings: reading.settings,
            manifest,
            binary,
            problems: [reading.problems, asked].concat(),
        };
        match inspection.complaints(app, overriding.for_elsewhere).await {
            Ok(complaints) => inspection.problems.extend(complaints),
            Err(failure) => return Err(failure.with(inspection.problems)),
        }
        Ok(inspection)
    }

    /// Looks at `app` as far as it decides in which topologies it can run, with `binary`, which runs already. Nothing is
    /// built, and what its components have for config is not judged again.
    ///
    /// # Cancellation
    ///
    /// What was asked of the binary is killed.
    pub(crate) async fn of_running(
        app: &App,
        overriding: &Overriding,
        binary: PathBuf,
        asked: Vec<Problem>,
    ) -> Result<Self, Failure> {
        let manifest = describe::manifest(&binary, &app.folder).await?;
        let reading = app.read(overriding, Some(&manifest));
        Ok(Self {
            settings: reading.settings,
            manifest,
            binary,
            problems: [reading.problems, asked].concat(),
        })
    }

    /// What the application itself says against the config of its components.
    async fn complaints(&self, app: &App, for_elsewhere: bool) -> Result<Vec<Problem>, Failure> {
        let names = self.manifest.components.iter().map(|it| it.name.as_str());
        let configs: BTreeMap<String, &serde_json::Value> = names
            .filter_map(|name| Some((name.to_owned(), self.settings.config(name)?)))
            .collect();
        let complaints = describe::complaints(&self.binary, &app.folder, &configs).await?;
        let problem = |it: describe::Complaint| {
            let describe::Complaint {
                component,
                key,
                message,
            } = it;
            self.settings.complaint(&component, &key, &message)
        };
        // What is not here yet is judged where it is.
        let stands = |it: &describe::Complaint| !for_elsewhere || !self.is_secret(it);
        let standing = complaints.into_iter().filter(stands);
        Ok(standing.filter_map(problem).collect())
    }

    /// Whether a complaint is about a value that the config takes from somewhere else.
    fn is_secret(&self, complaint: &describe::Complaint) -> bool {
        let config = self.settings.config_without_secrets(&complaint.component);
        let secrets = config.map(|(_, secrets)| secrets).unwrap_or_default();
        let path = |pointer: &str| pointer.trim_start_matches('/').replace('/', ".");
        secrets
            .iter()
            .any(|secret| path(&secret.pointer) == complaint.key)
    }

    /// What the dashboard is shown of it.
    pub(crate) fn looked(self) -> Looked {
        let Self {
            settings,
            manifest,
            problems,
            ..
        } = self;
        Looked {
            manifest,
            settings,
            problems,
        }
    }

    /// The topologies that there are, by name.
    pub(crate) fn topologies(&self) -> Vec<String> {
        let own = self.settings.topologies().map(ToString::to_string);
        BUILT_IN.map(str::to_owned).into_iter().chain(own).collect()
    }

    /// The application's plan in each of `topologies`, or everything that is wrong.
    pub(crate) fn plans<'t>(
        &self,
        topologies: impl IntoIterator<Item = &'t str>,
        replicas: &ReplicaChange,
    ) -> Result<Vec<Plan>, Failure> {
        let mut problems = self.problems.clone();
        // Without a topology to plan for, those of the file are looked at all the same.
        problems.extend(self.settings.check(&self.manifest));
        let mut plans = Vec::new();
        for topology in topologies {
            match self.settings.plan(&self.manifest, topology, replicas) {
                Ok(plan) => plans.push(plan),
                Err(more) => problems.extend(more),
            }
        }
        Ok(Problems::new(problems).none_or(plans)?)
    }

    /// The application's plan in `topology`, and what `place` makes of it; or everything that is wrong with either.
    pub(crate) fn placed<T>(
        &self,
        topology: &str,
        replicas: &ReplicaChange,
        place: impl FnOnce(&Plan) -> Result<T, Problems>,
    ) -> Result<(Plan, T), Failure> {
        let mut problems = self.problems.clone();
        problems.extend(self.settings.check(&self.manifest));
        let planned = self
            .settings
            .plan(&self.manifest, topology, replicas)
            .and_then(|plan| place(&plan).map(|placed| (plan, placed)));
        match planned {
            Ok(placed) => Ok(Problems::new(problems).none_or(placed)?),
            Err(more) => {
                problems.extend(more);
                Err(Problems::new(problems).into())
            }
        }
    }

    /// The application's plan in `topology`, or everything that is wrong.
    pub(crate) fn plan(&self, topology: &str, replicas: &ReplicaChange) -> Result<Plan, Failure> {
        let mut plans = self.plans([topology], replicas)?;
        Ok(plans.remove(0))
    }
}

/// What `--replicas` asks for, and what is wrong with it.
pub(crate) fn replicas(flag: Option<&str>) -> (ReplicaChange, Vec<Problem>) {
    match flag.map(ReplicaChange::parse) {
        None => (ReplicaChange::NONE, Vec::new()),
        Some(Ok(change)) => (change, Vec::new()),
        Some(Err(wrong)) => (ReplicaChange::NONE, wrong.into_iter().collect()),
    }
}
