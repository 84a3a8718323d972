//! Pictures of the dependency graph, with or without the groups of a plan.
//!
//! [`text`] is for a terminal, [`json`] for programs, [`mermaid`] and [`dot`] for other tools to lay out,
//! [`svg`] is laid out here, and [`picture`] is that layout for who draws it himself. All of them are made of the same manifest and, where one is given, the same
//! plan; the drawn forms carry the legend [`LEGEND`].

mod dot;
mod json;
mod layout;
mod mermaid;
mod picture;
mod svg;
mod text;

use std::{fmt, str::FromStr};

use anylith_core::{ComponentManifest, Manifest, Name, Scaling};

pub use dot::dot;
pub use json::json;
pub use mermaid::mermaid;
pub use picture::{Picture, PlacedComponent, PlacedEdge, picture};
pub use svg::svg;
pub use text::text;

use crate::{GroupPlan, Plan};

/// What an arrow means.
pub const LEGEND: &str = "→ Dependent on";

/// A form in which the graph can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// A tree for a terminal.
    #[default]
    Text,
    /// A picture.
    Svg,
    /// A Mermaid flowchart.
    Mermaid,
    /// A Graphviz graph.
    Dot,
    /// The graph for programs.
    Json,
}

impl Format {
    /// Every format, under the name that [`FromStr`] takes.
    pub const ALL: [(&str, Self); 5] = [
        ("text", Self::Text),
        ("svg", Self::Svg),
        ("mermaid", Self::Mermaid),
        ("dot", Self::Dot),
        ("json", Self::Json),
    ];
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|(name, _)| *name == text);
        found
            .map(|(_, format)| format)
            .ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

/// The text names no [`Format`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFormat(String);

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Format::ALL.map(|(name, _)| name).join(", ");
        write!(
            f,
            "`{}` is not a format: write one of {names}",
            self.0.escape_debug()
        )
    }
}

impl std::error::Error for UnknownFormat {}

/// The graph of `manifest` in `format`, with a newline at its end; the groups of `plan` are shown where
/// there is one.
pub fn draw(format: Format, manifest: &Manifest, plan: Option<&Plan>) -> String {
    match format {
        Format::Text => text(manifest, plan),
        Format::Svg => svg(manifest, plan),
        Format::Mermaid => mermaid(manifest, plan),
        Format::Dot => dot(manifest, plan),
        Format::Json => json(manifest, plan),
    }
}

/// `checkout × 2`
fn group_label(group: &GroupPlan) -> String {
    match (group.scaling, group.replicas) {
        (Some(Scaling { min, max, .. }), _) if min < max => {
            format!("{} × {min} to {max}", group.name)
        }
        (_, 1) => group.name.to_string(),
        (_, replicas) => format!("{} × {replicas}", group.name),
    }
}

/// `3 methods`, `listener web`, both, or nothing.
fn about(component: &ComponentManifest) -> String {
    let mut parts = Vec::new();
    if !component.listeners.is_empty() {
        let names: Vec<&str> = component.listeners.iter().map(Name::as_str).collect();
        let word = if names.len() == 1 {
            "listener"
        } else {
            "listeners"
        };
        parts.push(format!("{word} {}", names.join(", ")));
    }
    match component.methods.len() {
        0 => {}
        1 => parts.push("1 method".to_owned()),
        many => parts.push(format!("{many} methods")),
    }
    parts.join(" · ")
}

/// `10 components, 20 dependencies`
fn counts(manifest: &Manifest) -> String {
    let plural = |count: usize, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    let edges = manifest
        .components
        .iter()
        .map(|component| component.dependencies.len())
        .sum();
    let components = plural(manifest.components.len(), "component", "components");
    format!(
        "{components}, {}",
        plural(edges, "dependency", "dependencies")
    )
}

/// The edges whose both ends are in the manifest, as indices into its components, each once.
fn edges(manifest: &Manifest) -> Vec<(usize, usize)> {
    let mut edges = Vec::new();
    for (from, component) in manifest.components.iter().enumerate() {
        for name in &component.dependencies {
            let to = manifest
                .components
                .iter()
                .position(|other| other.name == *name);
            if let Some(to) = to.filter(|to| !edges.contains(&(from, *to))) {
                edges.push((from, to));
            }
        }
    }
    edges
}
