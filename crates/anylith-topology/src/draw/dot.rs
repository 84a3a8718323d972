//! The graph in the language of Graphviz (<https://graphviz.org/doc/info/lang.html>).

use std::fmt::Write as _;

use anylith_core::Manifest;

use super::{LEGEND, about, edges, group_label};
use crate::Plan;

/// The graph for `dot`; the groups of a plan are clusters.
pub fn dot(manifest: &Manifest, plan: Option<&Plan>) -> String {
    let mut out = format!("digraph {} {{\n", quoted(manifest.app.as_str()));
    let _ = writeln!(
        out,
        "  rankdir=LR; labelloc=b; labeljust=l; label={};",
        quoted(LEGEND)
    );
    out.push_str("  graph [fontname=\"sans-serif\", fontsize=11];\n");
    out.push_str(
        "  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"sans-serif\"];\n",
    );
    out.push_str("  edge [color=\"#64748b\", arrowsize=0.7];\n");
    for (index, component) in manifest.components.iter().enumerate() {
        let about = about(component);
        let label = if about.is_empty() {
            component.name.to_string()
        } else {
            format!("{}\n{about}", component.name)
        };
        let pen = if component.listeners.is_empty() {
            ""
        } else {
            ", penwidth=2"
        };
        let _ = writeln!(out, "  n{index} [label={}{pen}];", quoted(&label));
    }
    for (index, group) in plan.iter().flat_map(|plan| &plan.groups).enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{index} {{");
        let _ = writeln!(
            out,
            "    label={}; labelloc=t; style=\"rounded,filled\"; color=\"#94a3b8\"; fillcolor=\"#f1f5f9\";",
            quoted(&group_label(group))
        );
        for (index, component) in manifest.components.iter().enumerate() {
            if group.components.contains(&component.name) {
                let _ = writeln!(out, "    n{index};");
            }
        }
        out.push_str("  }\n");
    }
    for (from, to) in edges(manifest) {
        let _ = writeln!(out, "  n{from} -> n{to};");
    }
    out.push_str("}\n");
    out
}

/// A quoted string. In those only the quote and the backslash mean anything.
fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}
