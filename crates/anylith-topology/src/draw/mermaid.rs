//! The graph as a Mermaid flowchart (<https://mermaid.js.org/syntax/flowchart.html>), which many places
//! that show Markdown draw.

use std::fmt::Write as _;

use anylith_core::{ComponentManifest, Manifest};

use super::{LEGEND, about, edges, group_label};
use crate::Plan;

/// The graph as a flowchart; the groups of a plan are subgraphs.
pub fn mermaid(manifest: &Manifest, plan: Option<&Plan>) -> String {
    let mut out = String::from("flowchart LR\n");
    let mut placed = vec![false; manifest.components.len()];
    for (index, group) in plan.iter().flat_map(|plan| &plan.groups).enumerate() {
        let _ = writeln!(
            out,
            "  subgraph g{index}[\"{}\"]",
            escaped(&group_label(group))
        );
        for (index, component) in manifest.components.iter().enumerate() {
            if group.components.contains(&component.name) {
                placed[index] = true;
                let _ = writeln!(out, "    {}", node(index, component));
            }
        }
        out.push_str("  end\n");
    }
    for (index, component) in manifest.components.iter().enumerate() {
        if !placed[index] {
            let _ = writeln!(out, "  {}", node(index, component));
        }
    }
    for (from, to) in edges(manifest) {
        let _ = writeln!(out, "  n{from} --> n{to}");
    }
    let _ = writeln!(out, "  legend[\"{LEGEND}\"]");
    out.push_str("  style legend fill:none,stroke:none\n");
    out
}

/// Identifiers are numbered: a component called `end` would end a subgraph.
fn node(index: usize, component: &ComponentManifest) -> String {
    let about = about(component);
    let name = escaped(component.name.as_str());
    match about.as_str() {
        "" => format!("n{index}[\"{name}\"]"),
        about => format!("n{index}[\"<b>{name}</b><br/>{}\"]", escaped(about)),
    }
}

/// Text within quotes, where Mermaid takes entities with `#` for `&`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '<' | '>' | '&' | '#' | ';' | '`' => {
                let _ = write!(out, "#{};", character as u32);
            }
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
