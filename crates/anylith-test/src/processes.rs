//! The application in many processes, under a supervisor in the test's own.

use std::{collections::BTreeMap, marker::PhantomData, sync::Mutex};

use anylith_core::{Manifest, Name};
use anylith_runtime::Application;
use anylith_supervisor::{
    Collection, GroupSpec, Launch, Progress, Report, RunFolder, Spec, Supervisor, Timing,
};
use anylith_topology::{Plan, Transport};

use crate::{
    body::Body,
    builder::ClusterBuilder,
    cluster::{self, Cluster, ClusterError},
    reborn,
    topology::Topology,
};

/// Starts a process for each group but the test's own, which is here.
pub(crate) async fn start<A: Application>(
    builder: ClusterBuilder<A>,
    manifest: Manifest,
) -> Result<Cluster<A>, ClusterError> {
    let mut plan = builder.plan(&manifest)?;
    if builder.topology == Topology::ProcessesTcp {
        plan.transport = Transport::Tcp;
    }
    let mut program = builder.program.clone().ok_or(ClusterError::NoProgram)?;
    program.env.extend(std::mem::take(&mut plan.env));
    program.env.extend(reborn::marks());
    let folder = cluster::folder()?;
    let launch = Launch {
        spec: spec(&plan, &manifest, &builder),
        program,
        keeps_build: false,
        addresses: addresses(&plan),
        folder: RunFolder::at(folder.path()),
        timing: Timing {
            grace: builder.grace,
            ..Timing::default()
        },
        collection: Collection::default(),
        kill_on_drop: true,
    };
    let supervisor = launch.start().await?;
    let replica = Name::new(format!("{}-1", cluster::own_group()))?;
    let joined = async {
        let running = tokio::select! {
            running = builder.app.join(supervisor.control_socket(), replica) => running?,
            failing = failure(&supervisor) => return Err(failing),
        };
        supervisor.wait_ready().await.map_err(told)?;
        Ok(running)
    };
    let running = match joined.await {
        Ok(running) => running,
        Err(error) => {
            let mut supervisor = supervisor;
            supervisor.ask_kill().await;
            // Why it did not start says more than how it ended.
            let _ = supervisor.over().await;
            return Err(error);
        }
    };
    let body = running
        .component::<Body>()
        .expect("the body is a component of this replica, and all of them are ready");
    Ok(Cluster {
        topology: builder.topology,
        body,
        running: Mutex::new(Some(running)),
        supervisor: Some(supervisor),
        fakes: builder.fakes,
        folder,
        app: PhantomData,
    })
}

/// What the plan asks for, with the fakes and the body in a group that the supervisor does not start: this process.
fn spec<A>(plan: &Plan, manifest: &Manifest, builder: &ClusterBuilder<A>) -> Spec {
    let mut spec = Spec::new(plan, manifest);
    let mut own: Vec<Name> = builder
        .fakes
        .iter()
        .map(|fake| fake.component.clone())
        .collect();
    own.push(cluster::own_group());
    for group in &mut spec.groups {
        group
            .components
            .retain(|component| !own.contains(component));
    }
    spec.groups.retain(|group| !group.components.is_empty());
    spec.groups.push(GroupSpec {
        name: cluster::own_group(),
        components: own,
        replicas: 1,
        scaling: None,
        burst: false,
        external: true,
    });
    spec
}

fn addresses(plan: &Plan) -> BTreeMap<Name, String> {
    let listeners = plan.listeners.iter();
    listeners
        .map(|(name, address)| (name.clone(), address.to_string()))
        .collect()
}

/// Resolves only if the start fails.
async fn failure(supervisor: &Supervisor) -> ClusterError {
    match supervisor.wait_ready().await {
        Err(progress) => told(progress),
        Ok(()) => std::future::pending().await,
    }
}

fn told(progress: Progress) -> ClusterError {
    let Progress::Failing(report) = progress else {
        return ClusterError::Failing("the supervisor ended during the start".to_owned());
    };
    let mut text = report.to_string();
    if let Report::Noticed { last_lines, .. } = &*report {
        for line in last_lines {
            text.push_str("\n    ");
            text.push_str(line);
        }
    }
    ClusterError::Failing(text)
}
