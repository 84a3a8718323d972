//! Where everything of the picture goes.
//!
//! The drawing is layered, after Sugiyama, Tagawa and Toda, *Methods for Visual Understanding of
//! Hierarchical System Structures* (1981): columns by the longest path from the left (`rank`), an order
//! within them that crosses few edges (`order`), then exact places (`place`). Two things differ.
//!
//! - An edge over several columns is one straight *chain* with a height of its own, instead of a dummy node
//!   in each column, so long edges never wind (the aim of Brandes and Köpf, *Fast and Simple Horizontal
//!   Coordinate Assignment*, 2001). Nothing is ever placed on a chain, so no edge runs through a box.
//! - There is one order of everything from top to bottom, not one for each column. A group is one thing in
//!   it, with an order of its own inside, so groups cannot overlap, whichever columns they span.
//!
//! It takes no randomness: the same graph always gives the same picture.

mod order;
mod place;
mod rank;
#[cfg(test)]
mod tests;

/// What is to be laid out. All lengths are pixels.
#[derive(Debug, Clone, Default)]
pub(super) struct Sketch {
    pub(super) nodes: Vec<Node>,
    /// From the left node to the right one, where that is possible. An edge may go from a node to itself.
    pub(super) edges: Vec<(usize, usize)>,
    pub(super) groups: Vec<Frame>,
}

/// A box with a component in it.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) group: Option<usize>,
}

/// What a group needs around its nodes.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// Room for its label, above its nodes.
    pub(super) header: f64,
    pub(super) padding: f64,
}

/// The finished layout.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    /// One for each node.
    pub(super) boxes: Vec<Rect>,
    /// One for each group; a group without nodes has no extent.
    pub(super) frames: Vec<Rect>,
    /// One for each edge.
    pub(super) routes: Vec<Route>,
}

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// The way of one edge.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Route {
    /// Points to be joined in turn by a curve, a straight line, a curve, …, which leave and arrive
    /// horizontally. The arrow's head is at the last point.
    Through(Vec<(f64, f64)>),
    /// From a node back to itself.
    Loop,
}

/// Lays `sketch` out, with the origin at its top left corner.
pub(super) fn lay_out(sketch: &Sketch) -> Layout {
    let ranking = rank::rank(sketch.nodes.len(), &sketch.edges);
    let mut stack = order::Stack::new(sketch, &ranking);
    stack.improve();
    place::place(sketch, &ranking, &stack)
}

impl Rect {
    pub(super) fn right(&self) -> f64 {
        self.x + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.y + self.height
    }
}
