//! Changes: what one would do, and doing it.

use std::collections::BTreeMap;

use anylith_core::{Burst, Name, Scaling, Size};
use anylith_supervisor::{
    Group, GroupStatus, Outcome, ReplicaState, Request, ReshapePlan, ToldReshape,
};
use anylith_topology::{ReplicaChange, read_size, suggest};
use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use super::{Api, graph};
use crate::{control::Made, refusal::Refusal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reshape {
    topology: String,
    /// As `--replicas` takes it.
    replicas: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scale {
    /// Group, or a component in it → `3`, or `1..6`.
    groups: BTreeMap<Name, String>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restart {
    /// Only this group, or the one with this component.
    group: Option<Name>,
}

/// What has become of a restart.
#[derive(Serialize)]
struct Restarted {
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left: Vec<String>,
}

type Asked<T> = Result<Json<T>, JsonRejection>;

fn read<T>(asked: Asked<T>) -> Result<T, Refusal> {
    asked.map(|Json(asked)| asked).map_err(|error| {
        let mend = "GET /api/v1/openapi.json says what can be asked for";
        Refusal::new(error.status(), error.body_text(), mend)
    })
}

/// Divides the components into other groups, or says what that would do: as `anylith reshape --json` does.
pub(super) async fn reshape(
    State(api): State<Api>,
    asked: Asked<Reshape>,
) -> Result<Response, Refusal> {
    let Reshape {
        topology,
        replicas,
        dry_run,
    } = read(asked)?;
    let replicas = match replicas.as_deref().map(ReplicaChange::parse) {
        None => ReplicaChange::NONE,
        Some(Ok(replicas)) => replicas,
        Some(Err(problems)) => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            return Err(Refusal::wrong(
                problems.join("\n"),
                "write as in `3` or `Catalog=2`",
            ));
        }
    };
    let looked = api.look().await?;
    let plan = graph::replanned(&looked, &topology, &replicas)?;
    let groups = plan.groups.into_iter().map(|group| Group {
        name: group.name,
        components: group.components,
        replicas: group.replicas,
        scaling: group.scaling,
        bursts: group.bursts,
    });
    let wanted = Wanted {
        topology: plan.topology,
        groups: groups.collect(),
    };
    let planned = api.control.plan(wanted.request(true)).await?;
    let make = wanted.request(false);
    told(&api, &wanted.topology, planned, (!dry_run).then_some(make)).await
}

/// Gives groups other numbers of replicas, or says what that would do. What it would do is what a reshape would into the
/// topology that runs, with these numbers.
pub(super) async fn scale(
    State(api): State<Api>,
    asked: Asked<Scale>,
) -> Result<Response, Refusal> {
    let Scale { groups, dry_run } = read(asked)?;
    if groups.is_empty() {
        return Err(Refusal::wrong(
            "no group is named",
            "name one: {\"groups\":{\"Cart\":\"2\"}}",
        ));
    }
    let size = |(group, text): (Name, String)| match read_size(&text) {
        Ok(size) => Ok((group, size)),
        Err(what) => Err(Refusal::wrong(
            format!("{group}={text}: {what}"),
            "write as in `3` or `1..6`",
        )),
    };
    let sizes: BTreeMap<Name, Size> = groups.into_iter().map(size).collect::<Result<_, _>>()?;
    let status = api.control.overview().await?.status;
    let wanted = Wanted {
        topology: status.topology,
        groups: scaled(&status.groups, &sizes)?,
    };
    let planned = api.control.plan(wanted.request(true)).await?;
    let make = Request::Scale {
        groups: sizes,
        dry_run: false,
    };
    told(&api, &wanted.topology, planned, (!dry_run).then_some(make)).await
}

/// Starts replicas anew, one by one.
pub(super) async fn restart(
    State(api): State<Api>,
    asked: Asked<Restart>,
) -> Result<Response, Refusal> {
    let Restart { group } = read(asked)?;
    let restarted = match api.control.change(Request::Restart { group }).await? {
        Made::Changed { left } => Restarted {
            outcome: Outcome::Done,
            why: None,
            left,
        },
        Made::GivenUp { why } => Restarted {
            outcome: Outcome::Failed,
            why: Some(why),
            left: Vec::new(),
        },
    };
    Ok(Json(restarted).into_response())
}

/// A topology that is asked for.
struct Wanted {
    topology: Name,
    groups: Vec<Group>,
}

impl Wanted {
    fn request(&self, dry_run: bool) -> Request {
        Request::Reshape {
            topology: self.topology.clone(),
            groups: self.groups.clone(),
            dry_run,
        }
    }
}

/// Does what was planned, if it is to be done; and says what has become of it.
async fn told(
    api: &Api,
    topology: &Name,
    planned: Option<ReshapePlan>,
    make: Option<Request>,
) -> Result<Response, Refusal> {
    let (plan, made) = match (planned, make) {
        (Some(plan), None) => (plan, None),
        (Some(plan), Some(request)) => (plan, Some(api.control.change(request).await?)),
        (None, _) => {
            let now = api.control.overview().await?.status;
            let processes = u32::try_from(now.replicas().count()).unwrap_or(u32::MAX);
            let plan = ReshapePlan::nothing(topology.clone(), processes);
            (plan, Some(Made::Changed { left: Vec::new() }))
        }
    };
    let (outcome, why, left) = match made {
        None => (Outcome::Planned, None, Vec::new()),
        Some(Made::Changed { left }) => (Outcome::Done, None, left),
        Some(Made::GivenUp { why }) => (Outcome::Failed, Some(why), Vec::new()),
    };
    let told = ToldReshape {
        plan: &plan,
        outcome,
        why,
        left,
    };
    Ok(Json(told).into_response())
}

/// The groups that run, with other numbers for some.
fn scaled(groups: &[GroupStatus], sizes: &BTreeMap<Name, Size>) -> Result<Vec<Group>, Refusal> {
    let mut wanted: Vec<Group> = groups.iter().map(as_it_is).collect();
    for (name, size) in sizes {
        let by_name = wanted.iter().position(|group| group.name == *name);
        let by_component = || {
            wanted
                .iter()
                .position(|group| group.components.contains(name))
        };
        let Some(index) = by_name.or_else(by_component) else {
            let known: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
            let mend = suggest(name.as_str(), &known, "groups", "leave it out");
            let what = format!("there is no group {name}");
            return Err(Refusal::new(StatusCode::BAD_REQUEST, what, mend));
        };
        let group = &mut wanted[index];
        match *size {
            Size::Fixed(replicas) => (group.replicas, group.scaling) = (replicas, None),
            Size::Between { min, max } => {
                let target = group.scaling.map(|scaling| scaling.target);
                group.replicas = group.replicas.clamp(min, max);
                group.scaling = Some(Scaling {
                    target: target.unwrap_or_default(),
                    ..Scaling::between(min, max)
                });
            }
        }
    }
    Ok(with_bursts(wanted))
}

fn as_it_is(group: &GroupStatus) -> Group {
    let stays = |state| !matches!(state, ReplicaState::Draining | ReplicaState::Stopped);
    let there = group.replicas.iter().filter(|replica| stays(replica.state));
    let there = u32::try_from(there.count()).unwrap_or(u32::MAX);
    let scaling = group.scaling.as_ref();
    Group {
        name: group.name.clone(),
        components: group.components.clone(),
        replicas: scaling.map_or(there, |scaling| scaling.wanted),
        scaling: scaling.map(|scaling| Scaling {
            target: scaling.target,
            ..Scaling::between(scaling.min, scaling.max)
        }),
        bursts: Vec::new(),
    }
}

/// Puts groups for bursts back into those whose components they help.
fn with_bursts(all: Vec<Group>) -> Vec<Group> {
    let (mut groups, mut bursts) = (Vec::new(), Vec::new());
    for group in all {
        match burst_of(&group) {
            Some(burst) => bursts.push(burst),
            None => groups.push(group),
        }
    }
    for burst in bursts {
        let mut helped = groups.iter_mut();
        if let Some(group) = helped.find(|group| group.components.contains(&burst.component)) {
            group.bursts.push(burst);
        }
    }
    groups
}

/// The burst that `group` is for, if it is for one: the status knows such a group by its name alone.
fn burst_of(group: &Group) -> Option<Burst> {
    let [component] = group.components.as_slice() else {
        return None;
    };
    let size = || Scaling::between(group.replicas, group.replicas);
    let burst = Burst {
        component: component.clone(),
        scaling: group.scaling.unwrap_or_else(size),
    };
    (burst.group() == group.name).then_some(burst)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, components: &[&str]) -> Group {
        let named = |text: &str| Name::new(text).unwrap();
        Group {
            name: named(name),
            components: components.iter().map(|text| named(text)).collect(),
            replicas: 2,
            scaling: Some(Scaling::between(0, 4)),
            bursts: Vec::new(),
        }
    }

    #[test]
    fn a_group_for_a_burst_belongs_to_the_one_that_it_helps() {
        let all = vec![
            group("shop", &["Cart", "Catalog"]),
            group("Ad", &["Ad"]),
            group("Catalog-burst", &["Catalog"]),
        ];
        let mut helped = group("shop", &["Cart", "Catalog"]);
        helped.bursts = vec![Burst {
            component: Name::new("Catalog").unwrap(),
            scaling: Scaling::between(0, 4),
        }];
        assert_eq!(with_bursts(all), [helped, group("Ad", &["Ad"])]);
    }
}
