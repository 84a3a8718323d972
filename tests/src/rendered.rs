//! The shop as `anylith render kubernetes` renders it, read as a cluster reads it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::shop::App;

/// Who asks for an image needs to name one; nobody pulls it here.
pub const IMAGE: &str = "registry.example.com/apps/it:1.4.0";

/// Name → what is in the file.
type Files = BTreeMap<String, String>;

/// The manifests of the shop in a topology, and the certificates for it.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) app: App,
    topology: String,
    /// Group, as labels have it → what runs it.
    pub(crate) workloads: BTreeMap<String, Workload>,
    secrets: BTreeMap<String, Files>,
}

/// What is rendered for a group.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    /// Its objects.
    pub(crate) objects: Vec<Value>,
    /// The spec of its pods.
    pub(crate) pod: Value,
    pub(crate) environment: BTreeMap<String, Variable>,
    /// Path → what a pod finds there.
    pub(crate) mounts: BTreeMap<String, Mount>,
    /// The names under which its pods are found.
    pub(crate) services: Vec<String>,
    pub(crate) replicas: usize,
}

/// What an environment variable is set to.
#[derive(Debug, Clone)]
pub(crate) enum Variable {
    Text(String),
    /// The address of the pod.
    Address,
}

/// What a pod finds at a path.
#[derive(Debug, Clone)]
pub(crate) enum Mount {
    ConfigMap(Files),
    Secret {
        name: String,
        mode: u32,
    },
    /// A folder of its own, which goes with it.
    Empty,
}

impl Rendered {
    /// Renders the shop in `topology`, with so many `replicas` where that is not empty, and with `settings`; and issues
    /// certificates.
    pub(crate) fn of(topology: &str, replicas: &str, settings: &[&str]) -> anyhow::Result<Self> {
        let app = App::copy()?;
        let mut command = app.command()?;
        command.args(["render", "kubernetes", "--topology", topology]);
        command.args(["--image", IMAGE]);
        if !replicas.is_empty() {
            command.args(["--replicas", replicas]);
        }
        for setting in settings {
            command.args(["--set", setting]);
        }
        said(&mut command)?;
        let mut workloads = BTreeMap::new();
        for entry in fs::read_dir(app.folder().join("kubernetes/groups"))? {
            let path = entry?.path();
            let group = path.file_stem().unwrap_or_default().to_string_lossy();
            let objects: Vec<Value> = serde_saphyr::from_multiple(&fs::read_to_string(&path)?)?;
            workloads.insert(group.into_owned(), Workload::of(objects)?);
        }
        let mut rendered = Self {
            app,
            topology: topology.to_owned(),
            workloads,
            secrets: BTreeMap::new(),
        };
        rendered.certify()?;
        Ok(rendered)
    }

    /// Issues certificates, and puts them in the place of those that were there.
    pub(crate) fn certify(&mut self) -> anyhow::Result<()> {
        let mut command = self.app.command()?;
        said(command.args(["certs", "--topology", &self.topology]))?;
        for entry in fs::read_dir(self.app.folder().join("certs"))? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let secret: Value = serde_saphyr::from_str(&fs::read_to_string(path)?)?;
            let name = text(&secret["metadata"]["name"])?;
            self.secrets.insert(name, files(&secret["stringData"])?);
        }
        Ok(())
    }

    /// The group that serves the pages, the Service that leads to it, and the port of its pods.
    pub(crate) fn pages(&self) -> anyhow::Result<(&str, &str, u16)> {
        let services = self.workloads.iter().flat_map(|(group, workload)| {
            let objects = workload.objects.iter();
            objects.map(move |object| (group.as_str(), workload, object))
        });
        // All others are for pods to find each other by.
        let has_address =
            |object: &Value| object["kind"] == "Service" && object["spec"]["clusterIP"] != "None";
        let mut found = services.filter(|(_, _, object)| has_address(object));
        let (group, workload, service) = found.next().context("there is no listener")?;
        let port = workload.port(&service["spec"]["ports"][0]["targetPort"])?;
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        Ok((group, name, port))
    }

    /// Mounts what a pod finds at a path as files at `folder`, or changes what is mounted there, as a kubelet does: all files
    /// at once, by a link. Where it is a `group` that may read it, it is given to that. Returns whether there are files.
    pub(crate) fn mount(
        &self,
        mount: &Mount,
        folder: &Path,
        group: Option<u32>,
    ) -> anyhow::Result<bool> {
        const READABLE: u32 = 0o644;
        let (files, mode) = match mount {
            Mount::ConfigMap(files) => (files, READABLE),
            Mount::Secret { name, mode } => {
                (self.secrets.get(name).context("no such Secret")?, *mode)
            }
            Mount::Empty => return Ok(false),
        };
        fs::create_dir_all(folder)?;
        let version = fs::read_dir(folder)?.count();
        let data = folder.join(format!("..version-{version}"));
        fs::create_dir(&data)?;
        for (name, text) in files {
            let file = data.join(name);
            fs::write(&file, text)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
            if group.is_some() {
                chown(&file, None, group)?;
            }
            let link = folder.join(name);
            if !link.exists() {
                symlink(Path::new("..data").join(name), link)?;
            }
        }
        let new = folder.join("..data-new");
        symlink(data.file_name().unwrap_or_default(), &new)?;
        fs::rename(new, folder.join("..data"))?;
        Ok(true)
    }
}

impl Workload {
    fn of(objects: Vec<Value>) -> anyhow::Result<Self> {
        let of = |kinds: &[&str]| {
            let found = objects
                .iter()
                .filter(|it| kinds.iter().any(|kind| it["kind"] == *kind));
            found.collect::<Vec<_>>()
        };
        let spec = &of(&["Deployment", "StatefulSet"])
            .first()
            .context("nothing runs")?["spec"];
        let pod = &spec["template"]["spec"];
        let containers = pod["containers"].as_array().context("no containers")?;
        let [container] = &containers[..] else {
            anyhow::bail!("a pod has one container, and not {}", containers.len());
        };
        let mut environment = BTreeMap::new();
        for variable in list(&container["env"]) {
            let value = match variable["value"].as_str() {
                Some(text) => Variable::Text(text.to_owned()),
                None => {
                    let field = &variable["valueFrom"]["fieldRef"]["fieldPath"];
                    ensure!(field == "status.podIP", "not known here: {variable}");
                    Variable::Address
                }
            };
            environment.insert(text(&variable["name"])?, value);
        }
        let mut mounts = BTreeMap::new();
        for mount in list(&container["volumeMounts"]) {
            let mut volumes = list(&pod["volumes"]);
            let volume = volumes.find(|volume| volume["name"] == mount["name"]);
            let volume = volume.with_context(|| format!("no volume for {mount}"))?;
            let of_it = if volume["emptyDir"].is_object() {
                Mount::Empty
            } else if volume["secret"].is_object() {
                let secret = &volume["secret"];
                Mount::Secret {
                    name: text(&secret["secretName"])?,
                    mode: number(&secret["defaultMode"])?,
                }
            } else {
                let name = &volume["configMap"]["name"];
                let maps = of(&["ConfigMap"]);
                let map = maps.iter().find(|map| map["metadata"]["name"] == *name);
                Mount::ConfigMap(files(
                    &map.with_context(|| format!("not known here: {volume}"))?["data"],
                )?)
            };
            mounts.insert(text(&mount["mountPath"])?, of_it);
        }
        let services = of(&["Service"]).into_iter();
        let services = services.map(|it| text(&it["metadata"]["name"]));
        Ok(Self {
            environment,
            mounts,
            services: services.collect::<anyhow::Result<_>>()?,
            replicas: number(&spec["replicas"])? as usize,
            pod: pod.clone(),
            objects,
        })
    }

    /// Its one container.
    pub(crate) fn container(&self) -> &Value {
        &self.pod["containers"][0]
    }

    /// The port that is called `name`, or is this one.
    pub(crate) fn port(&self, name: &Value) -> anyhow::Result<u16> {
        let mut ports = list(&self.container()["ports"]);
        let port = ports.find(|port| port["name"] == *name);
        let port = port.with_context(|| format!("no port {name}"))?;
        Ok(u16::try_from(number(&port["containerPort"])?)?)
    }

    /// The port that probes come to.
    pub(crate) fn health_port(&self) -> anyhow::Result<u16> {
        self.port(&self.container()["readinessProbe"]["httpGet"]["port"])
    }

    /// What a cluster asks to know whether a pod is ready.
    pub(crate) fn readiness(&self) -> anyhow::Result<&str> {
        let path = &self.container()["readinessProbe"]["httpGet"]["path"];
        path.as_str().context("no probe of readiness")
    }
}

pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(crate) fn text(value: &Value) -> anyhow::Result<String> {
    let text = value.as_str();
    Ok(text
        .with_context(|| format!("{value} is no text"))?
        .to_owned())
}

pub(crate) fn number(value: &Value) -> anyhow::Result<u32> {
    let number = value.as_u64().and_then(|it| u32::try_from(it).ok());
    number.with_context(|| format!("{value} is no number"))
}

fn files(data: &Value) -> anyhow::Result<Files> {
    let files = data.as_object().context("no data")?.iter();
    files
        .map(|(name, it)| Ok((name.clone(), text(it)?)))
        .collect()
}

/// Runs `command`, which says what is wrong if it fails.
pub(crate) fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(String::from_utf8(output.stdout)?)
}
