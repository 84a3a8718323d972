//! The shop in containers: rendered by `anylith render kubernetes`, put into an image by `anylith image`, and run by podman.
//!
//! What runs is read from the manifests: image, command, environment, mounts, users, limits, names. What podman cannot be told
//! of them is in [`BY_HAND`] and [`WITHOUT`], and anything that is in neither and not done here is an error, so that nothing is
//! left out in silence.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::{PermissionsExt as _, chown},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::{
    Samples, Visitor,
    node::{NETWORK, Node},
    probe::{ask, until},
    rendered::{IMAGE, Rendered, Variable, Workload, list, number, said, text},
};

/// How long a container may take. Generous: a container takes its time, and other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(120);

/// Fields that podman is told.
const TOLD: [&str; 14] = [
    "args",
    "command",
    "containers",
    "env",
    "fsGroup",
    "fsGroupChangePolicy",
    "image",
    "name",
    "resources",
    "securityContext",
    "terminationGracePeriodSeconds",
    "volumeMounts",
    "volumes",
    "workingDir",
];
/// Fields that podman has no word for, so that the test does what they ask: it asks whether a container is ready, and visits
/// the port of a listener.
const BY_HAND: [&str; 2] = ["ports", "readinessProbe"];
/// Fields that mean nothing without a cluster: nobody probes for life, waits before a stop until names have changed, places
/// containers, hands out tokens, or pulls an image.
const WITHOUT: [&str; 8] = [
    "automountServiceAccountToken",
    "enableServiceLinks",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "serviceAccountName",
    "startupProbe",
    "topologySpreadConstraints",
];
/// Objects that podman does not know. Nothing here scales by itself or empties a node, and its network lets everybody call
/// everybody: whom a container takes calls from it decides by certificates alone.
const OBJECTS_WITHOUT: [&str; 3] = [
    "HorizontalPodAutoscaler",
    "NetworkPolicy",
    "PodDisruptionBudget",
];
const OBJECTS_WITH: [&str; 3] = ["ConfigMap", "Deployment", "Service"];

/// The shop in containers.
#[derive(Debug)]
pub struct ContainedShop {
    /// The containers, in the order in which they were started.
    pub pods: Vec<ContainedPod>,
    /// What runs them.
    pub node: Arc<Node>,
    rendered: Rendered,
    /// How many addresses were given away.
    addresses: u8,
}

/// A container, which is all that is in its pod.
#[derive(Debug, Clone)]
pub struct ContainedPod {
    /// Its group, as labels have it.
    pub group: String,
    /// What podman calls it.
    pub name: String,
    /// Its address on the network.
    pub address: Ipv4Addr,
}

impl ContainedShop {
    /// Makes an image of the shop, renders it in `topology`, and runs all of it on `node`. It is not awaited.
    ///
    /// # Errors
    ///
    /// What a command says, or what of the manifests is not known here.
    pub fn start(node: Node, topology: &str, replicas: &str) -> anyhow::Result<Self> {
        // There is no folder of the host in a container: carts are in that in which it runs.
        let rendered = Rendered::of(
            topology,
            replicas,
            &["components.Cart.database=sqlite:carts.db"],
        )?;
        rendered.workloads.values().try_for_each(all_is_known)?;
        let archive = rendered.app.folder().join("image.tar");
        let mut command = rendered.app.command()?;
        said(command.args(["image", "-t", IMAGE, "-o"]).arg(&archive))?;
        node.podman(["load".as_ref(), "--input".as_ref(), archive.as_os_str()])?;
        let mut shop = Self {
            pods: Vec::new(),
            node: Arc::new(node),
            rendered,
            addresses: 1,
        };
        let workloads = shop.rendered.workloads.iter();
        let groups: Vec<(String, usize)> = workloads
            .map(|(group, workload)| (group.clone(), workload.replicas))
            .collect();
        for (group, replicas) in groups {
            for _ in 0..replicas {
                shop.begin(&group)?;
            }
        }
        Ok(shop)
    }

    /// Runs one more container of `group`, at an address of its own. Returns its index.
    ///
    /// # Errors
    ///
    /// What podman says.
    pub fn begin(&mut self, group: &str) -> anyhow::Result<usize> {
        self.addresses += 1;
        let pod = ContainedPod {
            group: group.to_owned(),
            name: format!("{group}-{}", self.addresses),
            address: Node::address(self.addresses),
        };
        let mut arguments = vec!["run".to_owned()];
        arguments.extend(self.told_of(&pod)?);
        self.node.podman(arguments)?;
        self.pods.push(pod);
        Ok(self.pods.len() - 1)
    }

    /// What podman is told of `pod`.
    fn told_of(&self, pod: &ContainedPod) -> anyhow::Result<Vec<String>> {
        let workload = &self.rendered.workloads[&pod.group];
        let container = workload.container();
        let (address, name) = (pod.address, &pod.name);
        let aliases = workload.services.iter();
        let aliases: String = aliases.map(|name| format!(",alias={name}")).collect();
        let user = &workload.pod["securityContext"];
        let group = number(&user["fsGroup"])?;
        let mut told = vec![
            "--detach".to_owned(),
            "--pull=never".to_owned(),
            format!("--name={name}"),
            format!("--hostname={name}"),
            format!("--network={NETWORK}:ip={address}{aliases}"),
            format!(
                "--user={}:{}",
                number(&user["runAsUser"])?,
                number(&user["runAsGroup"])?
            ),
            format!("--memory={}", bytes(&container["resources"]["limits"])?),
            format!("--workdir={}", text(&container["workingDir"])?),
            format!(
                "--stop-timeout={}",
                number(&workload.pod["terminationGracePeriodSeconds"])?
            ),
        ];
        let security = &container["securityContext"];
        for capability in list(&security["capabilities"]["drop"]) {
            told.push(format!("--cap-drop={}", text(capability)?));
        }
        if security["allowPrivilegeEscalation"] == false {
            told.push("--security-opt=no-new-privileges".to_owned());
        }
        if security["readOnlyRootFilesystem"] == true {
            told.extend(["--read-only", "--read-only-tmpfs=false"].map(str::to_owned));
        }
        for (variable, value) in &workload.environment {
            let value = match value {
                Variable::Text(text) => text.clone(),
                Variable::Address => address.to_string(),
            };
            told.push(format!("--env={variable}={value}"));
        }
        for (path, mount) in &workload.mounts {
            let folder = self.rendered.app.folder().join("pods").join(name);
            let folder = folder.join(path.trim_start_matches('/'));
            let mut options = ":ro";
            if !self.rendered.mount(mount, &folder, Some(group))? {
                // Its group is to write there, and what is made there is to be of that group.
                const MODE: u32 = 0o2770;
                fs::create_dir_all(&folder)?;
                fs::set_permissions(&folder, fs::Permissions::from_mode(MODE))?;
                chown(&folder, None, Some(group))?;
                options = "";
            }
            told.push(format!("--volume={}:{path}{options}", folder.display()));
        }
        if let Some(program) = container["command"].as_array() {
            told.push(format!("--entrypoint={}", Value::from(program.clone())));
        }
        told.push(text(&container["image"])?);
        for argument in list(&container["args"]) {
            told.push(text(argument)?);
        }
        Ok(told)
    }

    /// Waits until every container says that it is ready.
    ///
    /// # Errors
    ///
    /// One does not, in time, or has ended.
    pub fn ready(&self) -> anyhow::Result<()> {
        for pod in &self.pods {
            let path = self.rendered.workloads[&pod.group].readiness()?;
            until(PATIENCE, || {
                let said = self.ask(pod, path);
                if said.as_ref().is_ok_and(|(status, _)| *status == 200) {
                    return Ok(Ok(()));
                }
                let name = &pod.name;
                let state = ["inspect", "--format", "{{.State.Status}}", name];
                let state = self.node.podman(state)?;
                if state != "running" {
                    bail!("{name} is {state}: {}", self.log(pod));
                }
                Ok(Err(format!("{name}: {said:?}\n{}", self.log(pod))))
            })?;
        }
        Ok(())
    }

    /// Asks `pod` for `path`, as a probe does. Returns the status and what it said.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn ask(&self, pod: &ContainedPod, path: &str) -> anyhow::Result<(u16, String)> {
        let port = self.rendered.workloads[&pod.group].health_port()?;
        let at = SocketAddr::new(pod.address.into(), port);
        ask(self.node.host(), at, path)
    }

    /// What `pod` has counted.
    ///
    /// # Errors
    ///
    /// It does not answer, or something else.
    pub fn samples(&self, pod: &ContainedPod) -> anyhow::Result<Samples> {
        let (status, text) = self.ask(pod, "/metrics")?;
        ensure!(status == 200, "{text}");
        Samples::parse(&text)
    }

    /// Where `pod` answers calls.
    ///
    /// # Errors
    ///
    /// Nobody calls it.
    pub fn calls_address(&self, pod: &ContainedPod) -> anyhow::Result<SocketAddr> {
        let workload = &self.rendered.workloads[&pod.group];
        let services = workload.objects.iter();
        let mut services = services
            .filter(|object| object["kind"] == "Service" && object["spec"]["clusterIP"] == "None");
        let service = services.next().context("nobody calls it")?;
        let port = workload.port(&service["spec"]["ports"][0]["targetPort"])?;
        Ok(SocketAddr::new(pod.address.into(), port))
    }

    /// All that run a container of `group`.
    pub fn of_group(&self, group: &str) -> Vec<ContainedPod> {
        let pods = self.pods.iter().filter(|pod| pod.group == group);
        pods.cloned().collect()
    }

    /// Where the pages are. There is nobody to lead there from the address of a Service.
    ///
    /// # Errors
    ///
    /// Nobody serves them.
    pub fn pages(&self) -> anyhow::Result<String> {
        let (group, _, port) = self.rendered.pages()?;
        let mut pods = self.pods.iter().filter(|pod| pod.group == group);
        let pod = pods.next().context("nobody serves the pages")?;
        Ok(format!("http://{}:{port}", pod.address))
    }

    /// Lets somebody visit the shop from the node.
    ///
    /// # Errors
    ///
    /// What `work` returns.
    pub fn visit<T: Send>(
        &self,
        work: impl AsyncFnOnce(&mut Visitor) -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        Visitor::at(self.node.host(), &self.pages()?, work)
    }

    /// Kills `pod` at once, and runs another one in its place, as a ReplicaSet does. Returns that.
    ///
    /// # Errors
    ///
    /// What podman says.
    pub fn replace(&mut self, pod: &ContainedPod) -> anyhow::Result<ContainedPod> {
        self.node.podman(["kill", "--signal", "KILL", &pod.name])?;
        self.pods.retain(|other| other.name != pod.name);
        let index = self.begin(&pod.group)?;
        Ok(self.pods[index].clone())
    }

    /// Takes `pod` off the network. It is told nothing.
    ///
    /// # Errors
    ///
    /// What podman says.
    pub fn disconnect(&self, pod: &ContainedPod) -> anyhow::Result<()> {
        let disconnect = ["network", "disconnect", NETWORK, &pod.name];
        self.node.podman(disconnect).map(drop)
    }

    /// Puts it back, with the address and the names that it had.
    ///
    /// # Errors
    ///
    /// What podman says.
    pub fn connect(&self, pod: &ContainedPod) -> anyhow::Result<()> {
        let services = self.rendered.workloads[&pod.group].services.iter();
        let mut connect = vec!["network".to_owned(), "connect".to_owned()];
        connect.push(format!("--ip={}", pod.address));
        connect.extend(services.map(|name| format!("--alias={name}")));
        connect.extend([NETWORK.to_owned(), pod.name.clone()]);
        self.node.podman(connect).map(drop)
    }

    /// What `pod` has logged.
    pub fn log(&self, pod: &ContainedPod) -> String {
        let log = self.node.podman(["logs", &pod.name]);
        log.unwrap_or_else(|error| format!("{error:#}"))
    }
}

/// Sees that nothing was rendered which nobody here knows what to do with it.
fn all_is_known(workload: &Workload) -> anyhow::Result<()> {
    for object in &workload.objects {
        let kind = object["kind"].as_str().unwrap_or_default();
        let known = OBJECTS_WITH.contains(&kind) || OBJECTS_WITHOUT.contains(&kind);
        ensure!(known, "what is a {kind} to podman? Say it in this file");
    }
    for of in [&workload.pod, workload.container()] {
        for field in of.as_object().context("it has fields")?.keys() {
            let field = field.as_str();
            let known = [&TOLD[..], &BY_HAND, &WITHOUT];
            let known = known.iter().any(|fields| fields.contains(&field));
            ensure!(known, "what is {field} to podman? Say it in this file");
        }
    }
    Ok(())
}

/// A quantity of memory, as podman has it.
fn bytes(limits: &Value) -> anyhow::Result<String> {
    let quantity = text(&limits["memory"])?;
    let podman = [("Ki", "k"), ("Mi", "m"), ("Gi", "g")].iter();
    let found = podman.filter_map(|(unit, its)| Some((quantity.strip_suffix(unit)?, its)));
    Ok(found
        .map(|(number, unit)| format!("{number}{unit}"))
        .next()
        .unwrap_or(quantity))
}
