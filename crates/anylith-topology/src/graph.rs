//! The dependency graph: which component is dependent on which.

use std::collections::{HashMap, VecDeque};

use anylith_core::{Manifest, Name};

/// The components of an application and their edges. A dependency that the application does not have is
/// left out; [`Settings::check`](crate::Settings::check) reports it.
#[derive(Debug, Clone)]
pub struct Graph {
    names: Vec<Name>,
    dependencies: Vec<Vec<usize>>,
    dependents: Vec<Vec<usize>>,
}

impl Graph {
    /// The graph of `manifest`.
    pub fn of(manifest: &Manifest) -> Self {
        let names: Vec<Name> = manifest.components.iter().map(|c| c.name.clone()).collect();
        let mut indices: HashMap<&Name, usize> = HashMap::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            indices.entry(name).or_insert(index);
        }
        let dependencies = manifest.components.iter().map(|component| {
            component
                .dependencies
                .iter()
                .filter_map(|name| indices.get(name).copied())
                .collect()
        });
        let dependencies = dependencies.collect();
        Self::new(names, dependencies)
    }

    /// A graph of `names`; the edges are indices into them.
    pub(crate) fn new(names: Vec<Name>, dependencies: Vec<Vec<usize>>) -> Self {
        let mut dependents = vec![Vec::new(); names.len()];
        for (from, tos) in dependencies.iter().enumerate() {
            for &to in tos {
                dependents[to].push(from);
            }
        }
        Self {
            names,
            dependencies,
            dependents,
        }
    }

    /// The components, in the order of the manifest.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// What `component` is dependent on, in its own order; empty if there is no such component.
    pub fn dependencies(&self, component: &str) -> impl Iterator<Item = &Name> {
        self.neighbours(component, &self.dependencies)
    }

    /// What is dependent on `component`, in the order of the manifest.
    pub fn dependents(&self, component: &str) -> impl Iterator<Item = &Name> {
        self.neighbours(component, &self.dependents)
    }

    /// Every component after those it is dependent on, and else in the order of the manifest. Where a cycle
    /// makes that impossible, its first component goes first.
    pub fn order(&self) -> Vec<&Name> {
        self.order_indices()
            .into_iter()
            .map(|index| &self.names[index])
            .collect()
    }

    pub(crate) fn order_indices(&self) -> Vec<usize> {
        let mut placed = vec![false; self.names.len()];
        let mut order = Vec::with_capacity(self.names.len());
        while order.len() < self.names.len() {
            let free = |index: &usize| {
                !placed[*index] && self.dependencies[*index].iter().all(|to| placed[*to])
            };
            let next = (0..self.names.len())
                .find(free)
                .or_else(|| placed.iter().position(|placed| !placed));
            let Some(next) = next else { break };
            placed[next] = true;
            order.push(next);
        }
        order
    }

    /// The cycles: for each knot of components that are dependent on each other, the shortest path from its
    /// first component back to it. A path ends with the component it begins with.
    pub fn cycles(&self) -> Vec<Vec<&Name>> {
        let mut told = vec![false; self.names.len()];
        let mut cycles = Vec::new();
        for start in 0..self.names.len() {
            if told[start] {
                continue;
            }
            let Some(path) = self.way_back(start) else {
                continue;
            };
            // All that lies on a way from here back to here is one knot.
            let (down, up) = (
                self.reach(start, &self.dependencies),
                self.reach(start, &self.dependents),
            );
            for index in 0..told.len() {
                told[index] |= down[index] && up[index];
            }
            cycles.push(path.into_iter().map(|index| &self.names[index]).collect());
        }
        cycles
    }

    /// The shortest path from `start` to `start`.
    fn way_back(&self, start: usize) -> Option<Vec<usize>> {
        let mut came_from = vec![None; self.names.len()];
        let mut waiting = VecDeque::from([start]);
        while let Some(index) = waiting.pop_front() {
            for &next in &self.dependencies[index] {
                if next == start {
                    let mut path = vec![start, index];
                    let mut at = index;
                    while at != start {
                        at = came_from[at]?;
                        path.push(at);
                    }
                    path.reverse();
                    return Some(path);
                }
                if came_from[next].is_none() {
                    came_from[next] = Some(index);
                    waiting.push_back(next);
                }
            }
        }
        None
    }

    fn reach(&self, start: usize, edges: &[Vec<usize>]) -> Vec<bool> {
        let mut seen = vec![false; self.names.len()];
        seen[start] = true;
        let mut waiting = vec![start];
        while let Some(index) = waiting.pop() {
            for &next in &edges[index] {
                if !std::mem::replace(&mut seen[next], true) {
                    waiting.push(next);
                }
            }
        }
        seen
    }

    fn index(&self, component: &str) -> Option<usize> {
        self.names.iter().position(|name| name == component)
    }

    fn neighbours<'a>(
        &'a self,
        component: &str,
        edges: &'a [Vec<usize>],
    ) -> impl Iterator<Item = &'a Name> {
        let index = self.index(component);
        index
            .into_iter()
            .flat_map(|index| edges[index].iter().map(|other| &self.names[*other]))
    }
}
