//! The order from top to bottom: first by the middle of the neighbours, then by moving one thing at a time
//! for as long as the picture gets better.

use super::{Sketch, rank::Ranking};

/// Room above and below a node, a chain and a group; two neighbours have half of the sum between them.
const NODE_MARGIN: f64 = 20.0;
const CHAIN_MARGIN: f64 = 9.0;
const GROUP_MARGIN: f64 = 26.0;

/// What an edge through the frame of a group, and two edges that cross, are worth in pixels of edge.
const THROUGH: f64 = 600.0;
const CROSSING: f64 = 45.0;

/// How far everything goes towards its neighbours at once. Half of the way, as two that went all of it
/// would only change places.
const PULL: f64 = 0.5;

/// A measure of the work that may be spent on a picture. It keeps a graph of thousands of components from
/// taking minutes; some thirty of them do not come near.
const BUDGET: usize = 12_000_000;
const MOST_TRIALS: usize = 6_000;

/// Everything that has a height, in order.
pub(super) struct Stack {
    /// Nodes as in the sketch, then chains, then groups as in the sketch.
    pub(super) units: Vec<Unit>,
    /// Units that are in no group.
    order: Vec<usize>,
    /// For each edge its chain, if it has one.
    pub(super) chains: Vec<Option<usize>>,
    /// The pieces of edges from one column to the next, column by column.
    strands: Vec<Strand>,
    nodes: usize,
    columns: usize,
}

/// A node, a chain or a group.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    /// Its columns, both included.
    pub(super) first: usize,
    pub(super) last: usize,
    height: f64,
    margin: f64,
    /// The group that it is in, as a unit.
    pub(super) parent: Option<usize>,
    /// A group's units, in order.
    children: Vec<usize>,
    /// A group's room above and below them.
    header: f64,
    padding: f64,
}

#[derive(Debug, Clone, Copy)]
struct Strand {
    left: usize,
    right: usize,
    /// The column of its left end.
    gap: usize,
}

/// The place of every unit.
#[derive(Debug, Clone)]
pub(super) struct Arrangement {
    pub(super) top: Vec<f64>,
    pub(super) height: Vec<f64>,
}

impl Arrangement {
    pub(super) fn middle(&self, unit: usize) -> f64 {
        self.top[unit] + self.height[unit] / 2.0
    }
}

impl Stack {
    pub(super) fn new(sketch: &Sketch, ranking: &Ranking) -> Self {
        let nodes = sketch.nodes.len();
        let long = ranking.links.iter().flatten();
        let long = long.filter(|link| ranking.column[link.right] > ranking.column[link.left] + 1);
        let first_group = nodes + long.count();
        let parent = |node: usize| sketch.nodes[node].group.map(|group| first_group + group);
        let mut units: Vec<Unit> = Vec::new();
        for (index, node) in sketch.nodes.iter().enumerate() {
            let column = ranking.column[index];
            let parent = parent(index);
            units.push(Unit::new(column, column, node.height, NODE_MARGIN, parent));
        }
        let mut chains = vec![None; ranking.links.len()];
        let mut strands = Vec::new();
        for (edge, link) in ranking.links.iter().enumerate() {
            let Some(link) = link else { continue };
            let (from, to) = (ranking.column[link.left], ranking.column[link.right]);
            if to == from + 1 {
                strands.push(Strand {
                    left: link.left,
                    right: link.right,
                    gap: from,
                });
                continue;
            }
            let chain = units.len();
            let inside = parent(link.left).filter(|group| parent(link.right) == Some(*group));
            units.push(Unit::new(from + 1, to - 1, 0.0, CHAIN_MARGIN, inside));
            chains[edge] = Some(chain);
            strands.push(Strand {
                left: link.left,
                right: chain,
                gap: from,
            });
            strands.push(Strand {
                left: chain,
                right: link.right,
                gap: to - 1,
            });
        }
        strands.sort_by_key(|strand| strand.gap);
        add_groups(&mut units, sketch);
        let placed =
            |index: &usize| units[*index].parent.is_none() && units[*index].first < usize::MAX;
        let order = (0..units.len()).filter(placed).collect();
        Self {
            order,
            units,
            chains,
            strands,
            nodes,
            columns: ranking.columns,
        }
    }

    /// Looks for a better order.
    pub(super) fn improve(&mut self) {
        let mut best = self.cost();
        let mut kept = self.orders();
        for _ in 0..16 {
            self.sort_by_neighbours();
            let cost = self.cost();
            if cost < best {
                best = cost;
                kept = self.orders();
            }
        }
        self.restore(&kept);
        self.move_one_by_one(best);
    }

    /// Moves one unit at a time to where the picture is best, until nothing helps or the budget is spent.
    fn move_one_by_one(&mut self, mut best: f64) {
        let trial = 40 * self.units.len() + self.strands.len().pow(2);
        let mut trials = (BUDGET / trial.max(1)).min(MOST_TRIALS);
        let lists: Vec<Option<usize>> = std::iter::once(None)
            .chain((self.nodes..self.units.len()).map(Some))
            .collect();
        let mut improved = true;
        while improved && trials > 0 {
            improved = false;
            for &list in &lists {
                for at in 0..self.list(list).len() {
                    let moved = self.best_place(list, at, &mut best, &mut trials);
                    improved |= moved;
                }
            }
        }
    }

    /// Tries every place of a list for the unit at `at`, the near ones first.
    fn best_place(
        &mut self,
        list: Option<usize>,
        at: usize,
        best: &mut f64,
        trials: &mut usize,
    ) -> bool {
        let length = self.list(list).len();
        let mut from = at;
        let mut moved = false;
        let mut targets: Vec<usize> = (0..length).filter(|to| *to != at).collect();
        targets.sort_by_key(|to| to.abs_diff(at));
        for to in targets {
            if *trials == 0 {
                break;
            }
            *trials -= 1;
            let unit = self.list_mut(list).remove(from);
            self.list_mut(list).insert(to, unit);
            let cost = self.cost();
            if cost < *best - 0.01 {
                *best = cost;
                from = to;
                moved = true;
            } else {
                let unit = self.list_mut(list).remove(to);
                self.list_mut(list).insert(from, unit);
            }
        }
        moved
    }

    fn list(&self, list: Option<usize>) -> &[usize] {
        list.map_or(&self.order, |group| &self.units[group].children)
    }

    fn list_mut(&mut self, list: Option<usize>) -> &mut Vec<usize> {
        match list {
            Some(group) => &mut self.units[group].children,
            None => &mut self.order,
        }
    }

    fn orders(&self) -> (Vec<usize>, Vec<Vec<usize>>) {
        (
            self.order.clone(),
            self.units
                .iter()
                .map(|unit| unit.children.clone())
                .collect(),
        )
    }

    fn restore(&mut self, (order, children): &(Vec<usize>, Vec<Vec<usize>>)) {
        self.order.clone_from(order);
        for (unit, children) in self.units.iter_mut().zip(children) {
            unit.children.clone_from(children);
        }
    }

    fn sort_by_neighbours(&mut self) {
        let now = self.arrange(2);
        let wish = self.wishes(&now, 1.0, |_, _| true);
        let key = |unit: &usize| wish[*unit] + now.height[*unit] / 2.0;
        self.order.sort_by(|a, b| key(a).total_cmp(&key(b)));
        for group in self.nodes..self.units.len() {
            self.units[group]
                .children
                .sort_by(|a, b| key(a).total_cmp(&key(b)));
        }
    }

    /// How bad the picture is, in pixels of edge.
    fn cost(&self) -> f64 {
        let at = self.arrange(3);
        let mut cost = 0.0;
        let ends = |strand: &Strand| (at.middle(strand.left), at.middle(strand.right));
        for (index, strand) in self.strands.iter().enumerate() {
            let (left, right) = ends(strand);
            cost += (left - right).abs();
            let before = self.strands[..index].iter().rev();
            for other in before.take_while(|other| other.gap == strand.gap) {
                let (other_left, other_right) = ends(other);
                if (left - other_left) * (right - other_right) < 0.0 {
                    cost += CROSSING;
                }
            }
            for (group, unit) in self.units.iter().enumerate().skip(self.nodes) {
                let covers = unit.first <= strand.gap && strand.gap < unit.last;
                let stranger =
                    self.outer(strand.left) != group && self.outer(strand.right) != group;
                let middle = at.middle(group);
                if covers
                    && stranger
                    && !unit.children.is_empty()
                    && (left < middle) != (right < middle)
                {
                    cost += THROUGH;
                }
            }
        }
        let tops = self
            .order
            .iter()
            .map(|unit| at.top[*unit])
            .fold(f64::MAX, f64::min);
        let bottoms = self
            .order
            .iter()
            .map(|unit| at.top[*unit] + at.height[*unit]);
        let bottom = bottoms.fold(f64::MIN, f64::max);
        if self.order.is_empty() {
            0.0
        } else {
            cost + (bottom - tops)
        }
    }

    /// The group of `unit`, or the unit itself.
    fn outer(&self, unit: usize) -> usize {
        self.units[unit].parent.unwrap_or(unit)
    }

    /// Places everything in its order, then draws it `rounds` times towards its neighbours.
    pub(super) fn arrange(&self, rounds: usize) -> Arrangement {
        let height: Vec<f64> = self.units.iter().map(|unit| unit.height).collect();
        let mut at = Arrangement {
            top: vec![0.0; height.len()],
            height,
        };
        for group in self.nodes..self.units.len() {
            self.arrange_group(group, rounds, &mut at);
        }
        let inner = at.top.clone();
        let mut wish = vec![0.0; self.units.len()];
        for round in 0..=rounds {
            self.settle(&self.order, &wish, round > 0, &mut at);
            for (index, unit) in self.units.iter().enumerate() {
                if let Some(group) = unit.parent {
                    at.top[index] = at.top[group] + inner[index];
                }
            }
            if round < rounds {
                wish = self.wishes(&at, PULL, |left, right| {
                    self.outer(left) != self.outer(right)
                });
            }
        }
        at
    }

    /// Places the units of a group, relative to its top, and so finds its height.
    fn arrange_group(&self, group: usize, rounds: usize, at: &mut Arrangement) {
        let Unit {
            children,
            header,
            padding,
            ..
        } = &self.units[group];
        if children.is_empty() {
            return;
        }
        let mut wish = vec![0.0; self.units.len()];
        for round in 0..=rounds {
            self.settle(children, &wish, round > 0, at);
            let inside = |unit: usize| self.units[unit].parent == Some(group);
            wish = self.wishes(at, PULL, |left, right| inside(left) && inside(right));
        }
        let top = children
            .iter()
            .map(|unit| at.top[*unit])
            .fold(f64::MAX, f64::min);
        let bottoms = children.iter().map(|unit| at.top[*unit] + at.height[*unit]);
        let bottom = bottoms.fold(f64::MIN, f64::max);
        for unit in children {
            at.top[*unit] += header + padding - top;
        }
        at.height[group] = bottom - top + header + 2.0 * padding;
    }

    /// Where each unit would go for its edges to be level, if it went the part `pull` of the way; a group
    /// goes with all its units.
    fn wishes(
        &self,
        at: &Arrangement,
        pull: f64,
        which: impl Fn(usize, usize) -> bool,
    ) -> Vec<f64> {
        let mut sums = vec![(0.0, 0.0); self.units.len()];
        for strand in self
            .strands
            .iter()
            .filter(|strand| which(strand.left, strand.right))
        {
            let down = at.middle(strand.right) - at.middle(strand.left);
            for (unit, shift) in [(strand.left, down), (strand.right, -down)] {
                for unit in [Some(unit), self.units[unit].parent].into_iter().flatten() {
                    sums[unit].0 += shift;
                    sums[unit].1 += 1.0;
                }
            }
        }
        let wish =
            |(top, (sum, count)): (&f64, &(f64, f64))| top + pull * sum / f64::max(*count, 1.0);
        at.top.iter().zip(&sums).map(wish).collect()
    }

    /// Gives the units of `list` places in their order, as near to their wishes as there is room.
    ///
    /// Pushing down from the top is one answer and pushing up from the bottom another. Both keep all
    /// distances, and so does the middle between them. Without `both` only the first is taken.
    fn settle(&self, list: &[usize], wish: &[f64], both: bool, at: &mut Arrangement) {
        let mut edge = vec![(f64::NEG_INFINITY, 0.0); self.columns];
        for &index in list {
            let unit = &self.units[index];
            let columns = &mut edge[unit.first..=unit.last];
            let room = columns
                .iter()
                .map(|(end, margin)| end + f64::midpoint(*margin, unit.margin));
            let top = room.fold(if both { wish[index] } else { 0.0 }, f64::max);
            columns.fill((top + at.height[index], unit.margin));
            at.top[index] = top;
        }
        if !both {
            return;
        }
        edge.fill((f64::INFINITY, 0.0));
        for &index in list.iter().rev() {
            let unit = &self.units[index];
            let columns = &mut edge[unit.first..=unit.last];
            let room = columns
                .iter()
                .map(|(end, margin)| end - f64::midpoint(*margin, unit.margin));
            let bottom = room.fold(wish[index] + at.height[index], f64::min);
            let top = bottom - at.height[index];
            columns.fill((top, unit.margin));
            at.top[index] = f64::midpoint(at.top[index], top);
        }
    }
}

/// Adds a unit for each group, around those that are in it.
fn add_groups(units: &mut Vec<Unit>, sketch: &Sketch) {
    let first_group = units.len();
    for frame in &sketch.groups {
        let mut group = Unit::new(usize::MAX, 0, 0.0, GROUP_MARGIN, None);
        (group.header, group.padding) = (frame.header, frame.padding);
        units.push(group);
    }
    for index in 0..first_group {
        if let Some(group) = units[index].parent {
            let (first, last) = (units[index].first, units[index].last);
            units[group].children.push(index);
            units[group].first = units[group].first.min(first);
            units[group].last = units[group].last.max(last);
        }
    }
}

impl Unit {
    fn new(first: usize, last: usize, height: f64, margin: f64, parent: Option<usize>) -> Self {
        Self {
            first,
            last,
            height,
            margin,
            parent,
            children: Vec::new(),
            header: 0.0,
            padding: 0.0,
        }
    }
}
