//! Where everything of the graph goes, for who draws it himself.

use anylith_core::{Manifest, Name};
use serde::Serialize;

use super::{
    edges,
    layout::{Route, lay_out},
    svg::{curve, own_loop, sketch},
};

/// The graph, laid out: dependents to the left of what they are dependent on. All lengths are pixels, from the top left.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Picture {
    /// How wide all of it is.
    pub width: f64,
    /// How high.
    pub height: f64,
    /// A box for each component, in the order of the manifest. No two of them overlap.
    pub boxes: Vec<PlacedComponent>,
    /// A line for each edge. None runs through a box.
    pub lines: Vec<PlacedEdge>,
}

/// The box of a component. It has room for its name at 13.5 pixels, and below that for a line at 11.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlacedComponent {
    /// The component.
    pub component: Name,
    /// Its left side.
    pub x: f64,
    /// Its upper side.
    pub y: f64,
    /// How wide it is.
    pub width: f64,
    /// How high.
    pub height: f64,
}

/// The line of an edge.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlacedEdge {
    /// The component that is dependent.
    pub from: Name,
    /// The one that it is dependent on.
    pub to: Name,
    /// The line, as the `d` of a `path` of SVG. It ends a little before the tip, where the head of the arrow goes.
    pub path: String,
    /// The tip of the arrow, from the left.
    pub tip_x: f64,
    /// And from the top.
    pub tip_y: f64,
    /// Whether it points to the left, as only those of a circle do.
    pub leftwards: bool,
}

/// Lays the graph of `manifest` out.
pub fn picture(manifest: &Manifest) -> Picture {
    let edges = edges(manifest);
    let layout = lay_out(&sketch(manifest, None, &edges));
    let components = manifest.components.iter();
    let boxes = components
        .zip(&layout.boxes)
        .map(|(component, rect)| PlacedComponent {
            component: component.name.clone(),
            x: rect.x,
            y: rect.y,
            width: rect.width,
            height: rect.height,
        });
    let name = |index: usize| manifest.components[index].name.clone();
    let lines = edges
        .iter()
        .zip(&layout.routes)
        .map(|(&(from, to), route)| {
            let (path, (tip_x, tip_y), towards) = match route {
                Route::Through(points) => curve(points),
                Route::Loop => own_loop(&layout.boxes[from]),
            };
            PlacedEdge {
                from: name(from),
                to: name(to),
                path,
                tip_x,
                tip_y,
                leftwards: towards < 0.0,
            }
        });
    Picture {
        width: layout.width,
        height: layout.height,
        boxes: boxes.collect(),
        lines: lines.collect(),
    }
}
