//! The graph as a tree for a terminal.

use std::fmt::Write as _;

use anylith_core::{Manifest, Name};

use super::{LEGEND, about, counts, edges, group_label};
use crate::{Plan, problem::printable};

/// The components as a tree, from those that nothing is dependent on. Each is spelled out
/// once; where it comes up again an `↑` stands for what was said above.
pub fn text(manifest: &Manifest, plan: Option<&Plan>) -> String {
    let mut out = manifest.app.to_string();
    if !manifest.summary.is_empty() {
        let _ = write!(out, ": {}", printable(&manifest.summary));
    }
    let _ = writeln!(out, "\n{}\n", counts(manifest));
    if let Some(plan) = plan {
        groups(plan, &mut out);
    }
    let lines = Tree::of(manifest).lines();
    let width = lines
        .iter()
        .map(|line| line.drawn.chars().count())
        .max()
        .unwrap_or(0);
    for line in lines {
        let component = &manifest.components[line.component];
        let group = plan.and_then(|plan| plan.group_of(component.name.as_str()));
        let mut notes = Vec::new();
        if line.again {
            notes.push("↑".to_owned());
        } else {
            let about = about(component);
            notes.extend((!about.is_empty()).then_some(about));
            notes.extend(group.map(|group| format!("[{}]", group.name)));
        }
        let row = format!("{:width$}  {}", line.drawn, notes.join("  "));
        out.push_str(row.trim_end());
        out.push('\n');
    }
    let _ = writeln!(out, "\n{LEGEND}");
    out
}

fn groups(plan: &Plan, out: &mut String) {
    let _ = writeln!(out, "topology {}", plan.topology);
    let labels: Vec<String> = plan.groups.iter().map(group_label).collect();
    let width = labels
        .iter()
        .map(|label| label.chars().count())
        .max()
        .unwrap_or(0);
    for (group, label) in plan.groups.iter().zip(&labels) {
        let components: Vec<&str> = group.components.iter().map(Name::as_str).collect();
        let _ = writeln!(out, "  {label:width$}  {}", components.join(", "));
    }
    out.push('\n');
}

struct Line {
    drawn: String,
    component: usize,
    /// Whether it was drawn before.
    again: bool,
}

struct Tree<'a> {
    manifest: &'a Manifest,
    callees: Vec<Vec<usize>>,
    called: Vec<bool>,
}

impl<'a> Tree<'a> {
    fn of(manifest: &'a Manifest) -> Self {
        let mut callees = vec![Vec::new(); manifest.components.len()];
        let mut called = vec![false; manifest.components.len()];
        for (from, to) in edges(manifest) {
            callees[from].push(to);
            called[to] |= from != to;
        }
        Self {
            manifest,
            callees,
            called,
        }
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut seen = vec![false; self.called.len()];
        let all = 0..self.called.len();
        let roots = all.clone().filter(|index| !self.called[*index]);
        // In a cycle everything is called; then the first of it is a root.
        for root in roots.chain(all) {
            if !seen[root] {
                self.draw(root, &mut seen, &mut lines);
            }
        }
        lines
    }

    fn draw(&self, root: usize, seen: &mut [bool], lines: &mut Vec<Line>) {
        let mut waiting = vec![(root, String::new(), String::new())];
        while let Some((component, head, tail)) = waiting.pop() {
            let again = std::mem::replace(&mut seen[component], true);
            let drawn = format!("{head}{}", self.manifest.components[component].name);
            lines.push(Line {
                drawn,
                component,
                again,
            });
            if again {
                continue;
            }
            let last = self.callees[component].len().saturating_sub(1);
            for (index, callee) in self.callees[component].iter().enumerate().rev() {
                let (branch, stem) = if index == last {
                    ("└→ ", "   ")
                } else {
                    ("├→ ", "│  ")
                };
                waiting.push((*callee, format!("{tail}{branch}"), format!("{tail}{stem}")));
            }
        }
    }
}
