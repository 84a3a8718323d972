//! Exact places: columns, boxes, the points where edges leave and arrive.

use super::{Layout, Rect, Route, Sketch, order::Arrangement, order::Stack, rank::Ranking};

/// How often everything is drawn towards its neighbours, at the end.
const ROUNDS: usize = 60;

/// Room between two columns, at least and at most; steep edges need more.
const GAP: (f64, f64) = (92.0, 190.0);

/// The distance of two edges that arrive at a box, at most.
const PORT: f64 = 10.0;

/// The part of a box's side that edges use not, at each corner.
const CORNER: f64 = 9.0;

pub(super) fn place(sketch: &Sketch, ranking: &Ranking, stack: &Stack) -> Layout {
    let at = stack.arrange(ROUNDS);
    let top = (0..stack.units.len())
        .filter(|unit| at.height[*unit] > 0.0 || *unit < sketch.nodes.len())
        .map(|unit| at.top[unit])
        .fold(f64::MAX, f64::min);
    let gaps = gaps(sketch, ranking, &at);
    let widths = widths(sketch, ranking);
    let margin = sketch
        .groups
        .iter()
        .map(|frame| frame.padding)
        .fold(0.0, f64::max);
    let mut left = vec![margin; ranking.columns];
    for column in 1..ranking.columns {
        left[column] = left[column - 1] + widths[column - 1] + gaps[column - 1];
    }
    let boxes: Vec<Rect> = (sketch.nodes.iter().enumerate())
        .map(|(index, node)| {
            let column = ranking.column[index];
            let x = left[column] + (widths[column] - node.width) / 2.0;
            Rect {
                x,
                y: at.top[index] - top,
                width: node.width,
                height: node.height,
            }
        })
        .collect();
    let columns: Vec<(f64, f64)> = left
        .iter()
        .zip(&widths)
        .map(|(left, width)| (*left, left + width))
        .collect();
    let chains = chains(stack, &at, top, &columns);
    let routes = routes(ranking, &boxes, &chains);
    let frames = frames(sketch, stack, &at, top, &boxes, &chains);
    let all = || boxes.iter().chain(&frames);
    Layout {
        width: all().map(Rect::right).fold(0.0, f64::max) + margin,
        height: all()
            .map(Rect::bottom)
            .chain(chains.iter().flatten().map(|c| c.y))
            .fold(0.0, f64::max),
        boxes,
        frames,
        routes,
    }
}

fn widths(sketch: &Sketch, ranking: &Ranking) -> Vec<f64> {
    let mut widths = vec![0.0_f64; ranking.columns];
    for (node, column) in sketch.nodes.iter().zip(&ranking.column) {
        widths[*column] = widths[*column].max(node.width);
    }
    widths
}

/// The room after each column: more where edges climb far.
fn gaps(sketch: &Sketch, ranking: &Ranking, at: &Arrangement) -> Vec<f64> {
    let mut climb = vec![0.0_f64; ranking.columns];
    for link in ranking.links.iter().flatten() {
        let height = (at.middle(link.left) - at.middle(link.right)).abs();
        let (from, to) = (ranking.column[link.left], ranking.column[link.right] - 1);
        for gap in [from, to] {
            climb[gap] = climb[gap].max(height);
        }
    }
    let frames = 2.0
        * sketch
            .groups
            .iter()
            .map(|frame| frame.padding)
            .fold(0.0, f64::max);
    climb
        .iter()
        .map(|climb| (GAP.0 + 0.16 * climb).min(GAP.1) + frames)
        .collect()
}

/// A long edge's straight part.
#[derive(Debug, Clone, Copy)]
struct Chain {
    left: f64,
    right: f64,
    y: f64,
}

fn chains(stack: &Stack, at: &Arrangement, top: f64, columns: &[(f64, f64)]) -> Vec<Option<Chain>> {
    let chain = |chain: &Option<usize>| {
        chain.map(|chain| {
            let unit = &stack.units[chain];
            Chain {
                left: columns[unit.first].0,
                right: columns[unit.last].1,
                y: at.top[chain] - top,
            }
        })
    };
    stack.chains.iter().map(chain).collect()
}

/// Around the boxes and chains of each group.
fn frames(
    sketch: &Sketch,
    stack: &Stack,
    at: &Arrangement,
    top: f64,
    boxes: &[Rect],
    chains: &[Option<Chain>],
) -> Vec<Rect> {
    let first = stack.units.len() - sketch.groups.len();
    let mut extents = vec![(f64::MAX, f64::MIN); sketch.groups.len()];
    let mut reach = |unit: usize, left: f64, right: f64| {
        if let Some(group) = stack.units[unit].parent {
            let (from, to) = &mut extents[group - first];
            (*from, *to) = (from.min(left), to.max(right));
        }
    };
    for (node, rect) in boxes.iter().enumerate() {
        reach(node, rect.x, rect.right());
    }
    for (chain, place) in stack.chains.iter().flatten().zip(chains.iter().flatten()) {
        reach(*chain, place.left, place.right);
    }
    let frame = |(index, (left, right)): (usize, &(f64, f64))| {
        if left > right {
            return Rect::default();
        }
        let padding = sketch.groups[index].padding;
        let (y, height) = (at.top[first + index] - top, at.height[first + index]);
        Rect {
            x: left - padding,
            y,
            width: right - left + 2.0 * padding,
            height,
        }
    };
    extents.iter().enumerate().map(frame).collect()
}

/// Gives every edge a port of its own at both ends, in the order in which the other ends lie.
fn routes(ranking: &Ranking, boxes: &[Rect], chains: &[Option<Chain>]) -> Vec<Route> {
    let middle = |node: usize| boxes[node].y + boxes[node].height / 2.0;
    let mut leaving = vec![Vec::new(); boxes.len()];
    let mut arriving = vec![Vec::new(); boxes.len()];
    for (edge, link) in ranking.links.iter().enumerate() {
        let Some(link) = link else { continue };
        let chain = chains[edge].map(|chain| chain.y);
        leaving[link.left].push((chain.unwrap_or(middle(link.right)), edge));
        arriving[link.right].push((chain.unwrap_or(middle(link.left)), edge));
    }
    let mut start = vec![0.0; ranking.links.len()];
    let mut end = vec![0.0; ranking.links.len()];
    for (node, rect) in boxes.iter().enumerate() {
        spread(&mut leaving[node], rect, &mut start);
        spread(&mut arriving[node], rect, &mut end);
    }
    let route = |(edge, link): (usize, &Option<super::rank::Link>)| {
        let Some(link) = link else { return Route::Loop };
        let mut points = vec![(boxes[link.left].right(), start[edge])];
        if let Some(chain) = chains[edge] {
            points.push((chain.left, chain.y));
            points.push((chain.right, chain.y));
        }
        points.push((boxes[link.right].x, end[edge]));
        if link.turned {
            points.reverse();
        }
        Route::Through(points)
    };
    ranking.links.iter().enumerate().map(route).collect()
}

fn spread(ends: &mut [(f64, usize)], rect: &Rect, port: &mut [f64]) {
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let between = ends.len().saturating_sub(1) as f64;
    let step = ((rect.height - 2.0 * CORNER) / between.max(1.0)).min(PORT);
    let first = rect.y + rect.height / 2.0 - step * between / 2.0;
    for (index, (_, edge)) in ends.iter().enumerate() {
        port[*edge] = first + step * index as f64;
    }
}
