//! The column of each node: the longest path to it from the left.

use std::collections::VecDeque;

/// The columns of a graph.
#[derive(Debug, Clone)]
pub(super) struct Ranking {
    /// The column of each node.
    pub(super) column: Vec<usize>,
    /// How many columns there are.
    pub(super) columns: usize,
    /// Each edge, turned so that it goes to the right; `None` for one from a node to itself.
    pub(super) links: Vec<Option<Link>>,
}

/// An edge that goes to the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) left: usize,
    pub(super) right: usize,
    /// Whether the edge itself goes to the left: it closes a cycle.
    pub(super) turned: bool,
}

pub(super) fn rank(nodes: usize, edges: &[(usize, usize)]) -> Ranking {
    let turned = closing(nodes, edges);
    let links: Vec<Option<Link>> = edges
        .iter()
        .zip(turned)
        .map(|(&(from, to), turned)| {
            let (left, right) = if turned { (to, from) } else { (from, to) };
            (from != to).then_some(Link {
                left,
                right,
                turned,
            })
        })
        .collect();
    let mut column = longest_paths(nodes, &links);
    pull_sources(&mut column, &links);
    spread_lonely(&mut column, &links);
    let columns = column.iter().max().map_or(0, |last| last + 1);
    Ranking {
        column,
        columns,
        links,
    }
}

/// Which edges close a cycle, seen from a walk that goes deep first.
fn closing(nodes: usize, edges: &[(usize, usize)]) -> Vec<bool> {
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        Not,
        Open,
        Done,
    }
    let mut outgoing = vec![Vec::new(); nodes];
    for (edge, &(from, to)) in edges.iter().enumerate() {
        outgoing[from].push((edge, to));
    }
    let mut closing = vec![false; edges.len()];
    let mut visits = vec![Visit::Not; nodes];
    for start in 0..nodes {
        if visits[start] != Visit::Not {
            continue;
        }
        visits[start] = Visit::Open;
        let mut path = vec![(start, 0)];
        while let Some((node, next)) = path.last_mut() {
            let Some(&(edge, to)) = outgoing[*node].get(*next) else {
                visits[*node] = Visit::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match visits[to] {
                Visit::Open => closing[edge] = true,
                Visit::Done => {}
                Visit::Not => {
                    visits[to] = Visit::Open;
                    path.push((to, 0));
                }
            }
        }
    }
    closing
}

fn longest_paths(nodes: usize, links: &[Option<Link>]) -> Vec<usize> {
    let mut column = vec![0; nodes];
    let mut incoming = vec![0_usize; nodes];
    let mut outgoing = vec![Vec::new(); nodes];
    for link in links.iter().flatten() {
        outgoing[link.left].push(link.right);
        incoming[link.right] += 1;
    }
    let mut free: VecDeque<usize> = (0..nodes).filter(|node| incoming[*node] == 0).collect();
    while let Some(node) = free.pop_front() {
        for &next in &outgoing[node] {
            column[next] = column[next].max(column[node] + 1);
            incoming[next] -= 1;
            if incoming[next] == 0 {
                free.push_back(next);
            }
        }
    }
    column
}

/// What nothing is dependent on need not stand in the first column: it goes next to what it needs.
fn pull_sources(column: &mut [usize], links: &[Option<Link>]) {
    let mut nearest = vec![usize::MAX; column.len()];
    let mut called = vec![false; column.len()];
    for link in links.iter().flatten() {
        nearest[link.left] = nearest[link.left].min(column[link.right]);
        called[link.right] = true;
    }
    for node in 0..column.len() {
        if !called[node] && nearest[node] != usize::MAX {
            column[node] = nearest[node] - 1;
        }
    }
}

/// Nodes without edges would make one tall column: they are dealt out over the columns, of which there are
/// then enough for a square.
fn spread_lonely(column: &mut [usize], links: &[Option<Link>]) {
    let mut lonely = vec![true; column.len()];
    for link in links.iter().flatten() {
        lonely[link.left] = false;
        lonely[link.right] = false;
    }
    let count = lonely.iter().filter(|lonely| **lonely).count();
    let taken = column.iter().max().map_or(0, |last| last + 1);
    let columns = taken.max((count as f64).sqrt().ceil() as usize).max(1);
    let nodes = (0..column.len()).filter(|node| lonely[*node]);
    for (index, node) in nodes.enumerate() {
        column[node] = index % columns;
    }
}
