//! The graph for programs.

use anylith_core::Manifest;
use serde::Serialize;

use crate::{GroupPlan, Plan};

#[derive(Serialize)]
struct Graph<'a> {
    #[serde(flatten)]
    manifest: &'a Manifest,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    division: Option<Division<'a>>,
}

#[derive(Serialize)]
struct Division<'a> {
    topology: &'a str,
    groups: &'a [GroupPlan],
}

/// The manifest, as `anylith graph --format json` promises it; a plan adds `topology` and `groups`.
pub fn json(manifest: &Manifest, plan: Option<&Plan>) -> String {
    let division = plan.map(|plan| Division {
        topology: plan.topology.as_str(),
        groups: &plan.groups,
    });
    let graph = Graph { manifest, division };
    // Names, texts and numbers always become JSON.
    let mut json = serde_json::to_string_pretty(&graph).unwrap_or_default();
    json.push('\n');
    json
}
