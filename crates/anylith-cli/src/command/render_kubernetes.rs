//! `anylith render kubernetes`.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

use anylith_control::Spec;
use anylith_core::{Name, SecretReference};
use anylith_kube::{ImageReference, Manifests, Request, flaws, namespace, needs_certificate};
use anylith_topology::{Cluster, Kubernetes, Plan, Problem, Problems};

use super::{
    output::{Output, Sort},
    render_static::{GRACE, take_out_secrets},
    runtime,
};
use crate::{
    app::App,
    args::{KubernetesArgs, OnCluster},
    failure::Failure,
    inspection::{self, Inspection},
    paint::Paint,
};

/// The list of what was written into the folder.
pub(super) const LIST: &str = ".anylith-kubernetes";

/// An application that a cluster is to run.
pub(super) struct Clustered {
    pub(super) app: App,
    pub(super) plan: Plan,
    pub(super) cluster: Cluster,
    pub(super) kubernetes: Kubernetes,
    pub(super) spec: Spec,
    pub(super) secrets: BTreeMap<Name, Vec<SecretReference>>,
    pub(super) namespace: Option<String>,
}

impl Clustered {
    /// Looks at the application that is meant, and puts it on a cluster; or says all that is wrong, with `asked` among it.
    pub(super) fn of(mut args: OnCluster, mut asked: Vec<Problem>) -> Result<Self, Failure> {
        args.overriding.for_elsewhere = true;
        let app = App::find(&args.app)?;
        let (replicas, wrong) = inspection::replicas(args.replicas.as_deref());
        asked.extend(wrong);
        let namespace = args.namespace.map(|text| namespace(&text)).transpose();
        let namespace = namespace.unwrap_or_else(|what| {
            let mend = "use small letters, digits and `-`, at most 63";
            asked.push(Problem::given("--namespace", what, mend));
            None
        });
        let inspection = Inspection::of(&app, &args.overriding, &args.building, asked);
        let inspection = runtime()?.block_on(inspection)?;
        let place = |plan: &Plan| inspection.settings.on_cluster(plan);
        let (mut plan, cluster) = inspection.placed(&args.topology, &replicas, place)?;
        let secrets = take_out_secrets(&mut plan, &inspection.settings);
        let spec = Spec::new(&plan, &inspection.manifest);
        Ok(Self {
            app,
            plan,
            cluster,
            kubernetes: inspection.settings.kubernetes().clone(),
            spec,
            secrets,
            namespace,
        })
    }
}

/// An application that a cluster is to run, and the manifests for that.
pub(super) struct Rendered {
    clustered: Clustered,
    pub(super) manifests: Manifests,
}

impl Rendered {
    /// Renders the application that is meant, with `image`; or says all that is wrong. Nothing is written.
    pub(super) fn of(args: OnCluster, image: &str) -> Result<Self, Failure> {
        let mut asked = Vec::new();
        let reference = image.parse::<ImageReference>();
        if let Err(what) = &reference {
            let mend = "write it as nodes pull it, as in --image registry.example.com/shop:1.4";
            asked.push(Problem::given(&format!("--image {image}"), what, mend));
        }
        let topology = args.topology.clone();
        let clustered = Clustered::of(args, asked)?;
        // What is wrong with it was reported.
        let image = reference.map_err(|what| Failure::input(what, ""))?;
        let request = Request {
            spec: &clustered.spec,
            plan: &clustered.plan,
            cluster: &clustered.cluster,
            kubernetes: &clustered.kubernetes,
            secrets: &clustered.secrets,
            image: &image,
            namespace: clustered.namespace.clone(),
            grace: GRACE,
        };
        let manifests = anylith_kube::render(&request).map_err(|error| {
            Failure::new(
                error.to_string(),
                "report this: it is a mistake of `anylith`",
            )
        })?;
        let refused = flaws(&manifests.objects);
        if !refused.is_empty() {
            let label = format!("--topology {topology}");
            let mend = "mend it in anylith.toml";
            let problems = refused
                .iter()
                .map(|what| Problem::given(&label, what, mend));
            return Err(Failure::Wrong(Problems::new(problems.collect())));
        }
        Ok(Self {
            clustered,
            manifests,
        })
    }
}

/// Writes the manifests of an application in a topology.
pub(crate) fn render(args: KubernetesArgs) -> Result<(), Failure> {
    let Rendered {
        clustered,
        manifests,
    } = Rendered::of(args.cluster, &args.image)?;
    let mut output = Output::open(&args.output, LIST)?;
    for (path, text) in &manifests.files {
        output.add(path, Sort::Public, text.clone());
    }
    let removed = output.write()?;
    let out = args.output.display().to_string();
    report(&out, &clustered, &manifests, &removed)
}

/// Says what was written, on standard output, and what to do with it, on standard error.
fn report(
    out: &str,
    clustered: &Clustered,
    manifests: &Manifests,
    removed: &[String],
) -> Result<(), Failure> {
    let mut said = io::stdout().lock();
    for path in manifests.files.keys() {
        writeln!(said, "{out}/{path}")?;
    }
    drop(said);
    let paint = Paint::for_stderr();
    let mut told = io::stderr().lock();
    for path in removed {
        writeln!(
            told,
            "removed {out}/{path}: the cluster still has what was in it"
        )?;
    }
    for note in &manifests.notes {
        writeln!(told, "note: {note}")?;
    }
    let namespace = clustered.namespace.as_ref();
    let namespace = namespace.map(|it| format!(" -n {it}")).unwrap_or_default();
    writeln!(told, "{}", paint.bold("next:"))?;
    for (secret, keys) in &manifests.needed_secrets {
        let literals = keys.keys().map(|key| format!(" --from-literal={key}=…"));
        let literals: String = literals.collect();
        writeln!(
            told,
            "  kubectl create secret generic {secret}{namespace}{literals}"
        )?;
    }
    let spec = &clustered.spec;
    let has_calls = spec
        .groups
        .iter()
        .any(|group| needs_certificate(spec, group));
    if has_calls && clustered.kubernetes.issuer.is_none() {
        let flags = clustered.namespace.as_ref();
        let flags = flags
            .map(|it| format!(" --namespace {it}"))
            .unwrap_or_default();
        let certs = clustered.app.hint(&format!(
            "certs --topology {}{flags}",
            clustered.plan.topology
        ));
        writeln!(told, "  {certs} && kubectl apply -f certs/")?;
    }
    writeln!(told, "  kubectl apply{namespace} -k {out}")?;
    Ok(())
}
