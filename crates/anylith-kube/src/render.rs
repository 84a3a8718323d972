//! All manifests of an application.

use std::{collections::BTreeMap, time::Duration};

use anylith_control::{GroupSpec, Spec};
use anylith_core::{Name, SecretReference, SecretSource};
use anylith_topology::{Cluster, ClusterGroup, GroupPlan, Kubernetes, Plan};
use serde_json::{Value, json};

use crate::{
    ImageReference, configuration, kustomization,
    yaml::{self, Unreadable},
};

/// What is to be rendered.
#[derive(Debug)]
pub struct Request<'a> {
    /// The application in its topology. Its config has no secrets in it.
    pub spec: &'a Spec,
    /// The plan that the spec was made of.
    pub plan: &'a Plan,
    /// The same, as a cluster has it.
    pub cluster: &'a Cluster,
    /// What a cluster must know of it.
    pub kubernetes: &'a Kubernetes,
    /// Component → the values of its config that are in a Secret.
    pub secrets: &'a BTreeMap<Name, Vec<SecretReference>>,
    /// The image of the application.
    pub image: &'a ImageReference,
    /// The namespace of all objects; without it that in which they are applied.
    pub namespace: Option<String>,
    /// How long a replica may take to drain.
    pub grace: Duration,
}

/// What comes of a [`Request`].
#[derive(Debug)]
pub struct Manifests {
    /// Path within the folder → what the file says.
    pub files: BTreeMap<String, String>,
    /// All objects, those of each group together.
    pub objects: Vec<Value>,
    /// What the cluster has to have before: Secret → its keys, and what each is for.
    pub needed_secrets: BTreeMap<String, BTreeMap<String, String>>,
    /// What people should know of what was rendered.
    pub notes: Vec<String>,
}

const HEADING: &str =
    "Written by `anylith render kubernetes`: change anylith.toml, and render again.";

/// Renders what `request` asks for.
///
/// # Errors
///
/// An object cannot be written down.
pub fn render(request: &Request<'_>) -> Result<Manifests, Unreadable> {
    let mut files = BTreeMap::new();
    let mut objects = Vec::new();
    let mut add = |path: String, these: Vec<Value>| {
        files.insert(path, yaml::write(HEADING, &these)?);
        objects.extend(these);
        Ok::<(), Unreadable>(())
    };
    add(
        "application.yaml".to_owned(),
        vec![request.service_account()],
    )?;
    for (group, of) in request.groups() {
        add(
            format!("groups/{}.yaml", group.label),
            request.group(group, of),
        )?;
    }
    let kustomization = kustomization::of(request, files.keys());
    files.insert(
        "kustomization.yaml".to_owned(),
        yaml::write(HEADING, &[kustomization])?,
    );
    Ok(Manifests {
        files,
        objects,
        needed_secrets: request.needed_secrets(),
        notes: request.notes(),
    })
}

/// A group of a request, from all sides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of<'a> {
    pub(crate) plan: &'a GroupPlan,
    pub(crate) spec: &'a GroupSpec,
}

impl Request<'_> {
    /// The groups, each from all sides.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&ClusterGroup, Of<'_>)> {
        self.cluster.groups.iter().filter_map(|group| {
            let plan = self.plan.groups.iter().find(|it| it.name == group.group)?;
            let spec = self.spec.group(&group.group)?;
            Some((group, Of { plan, spec }))
        })
    }

    /// The groups that `of` calls, each with the components of it that are called.
    pub(crate) fn callees(&self, of: Of<'_>) -> Vec<(&ClusterGroup, Vec<Name>)> {
        let called = self.spec.calls_of(&of.spec.components);
        let groups = self.groups().map(|(group, of)| {
            let components = of.spec.components.iter();
            let components = components.filter(|name| called.contains(name));
            (group, components.cloned().collect::<Vec<Name>>())
        });
        groups
            .filter(|(_, components)| !components.is_empty())
            .collect()
    }

    /// The groups that call `group`.
    pub(crate) fn callers(&self, group: &ClusterGroup) -> Vec<&ClusterGroup> {
        let calls = |of: Of<'_>| {
            let callees = self.callees(of);
            callees
                .iter()
                .any(|(callee, _)| callee.group == group.group)
        };
        let callers = self.groups().filter(|(_, of)| calls(*of));
        callers.map(|(caller, _)| caller).collect()
    }

    /// The name of the service account of all pods, which lets them do nothing.
    pub(crate) fn account(&self) -> &str {
        &self.cluster.app
    }

    fn service_account(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": self.metadata(self.account(), None),
            "automountServiceAccountToken": false,
        })
    }

    /// The name of the Secret with the secrets of the config.
    pub(crate) fn secrets_name(&self) -> String {
        format!("{}-secrets", self.cluster.app)
    }

    fn needed_secrets(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut needed: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (component, references) in self.secrets {
            for reference in references {
                let key = match &reference.source {
                    SecretSource::Env(name) => name.clone(),
                    SecretSource::File(path) => configuration::key_of_file(path),
                };
                let pointer = reference.pointer.trim_start_matches('/').replace('/', ".");
                needed
                    .entry(self.secrets_name())
                    .or_default()
                    .insert(key, format!("components.{component}.{pointer}"));
            }
        }
        needed
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (group, of) in self.groups() {
            if let Some(note) = self.scaling_note(group, of) {
                notes.push(note);
            }
        }
        if self
            .cluster
            .groups
            .iter()
            .all(|group| group.egress.is_empty())
        {
            notes.push(
                "pods may call each other along the graph, and nothing else: a database is named in `egress` of \
                 [kubernetes.components.NAME]"
                    .to_owned(),
            );
        }
        notes
    }
}
