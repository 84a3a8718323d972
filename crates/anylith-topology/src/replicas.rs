//! How many replicas, said on the command line.

use crate::{GroupPlan, Problem, Problems, nearest::suggest};

/// The most replicas that a group can have.
pub const MAX_REPLICAS: u32 = 1000;

/// What `--replicas` asks for: a number for every group, numbers for some, or both.
///
/// `4`; `Catalog=3,checkout=2`; `2,Catalog=3`. A group is meant by its own name or by that of a component in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplicaChange {
    all: Option<u32>,
    each: Vec<(String, u32)>,
}

impl ReplicaChange {
    /// Changes nothing.
    pub const NONE: Self = Self {
        all: None,
        each: Vec::new(),
    };

    /// Reads the value of `--replicas`.
    ///
    /// # Errors
    ///
    /// Every part that is neither a number nor `GROUP=N`.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let mut change = Self::NONE;
        let mut problems = Vec::new();
        for part in text.split(',').map(str::trim) {
            let label = format!("--replicas {part}");
            let mut wrong = |what: String| {
                let mend = format!("write a number from 1 to {MAX_REPLICAS}, or GROUP=NUMBER");
                problems.push(Problem::given(&label, what, mend));
            };
            let (group, number) = match part.split_once('=') {
                Some((group, number)) => (Some(group.trim()), number.trim()),
                None => (None, part),
            };
            let count = match number.parse::<u32>() {
                Ok(count @ 1..=MAX_REPLICAS) => count,
                Ok(_) => {
                    wrong(format!("{number} replicas cannot be had"));
                    continue;
                }
                Err(_) => {
                    wrong(format!("`{number}` is not a number of replicas"));
                    continue;
                }
            };
            match group {
                Some("") => wrong("the group has no name".to_owned()),
                Some(group) if change.each.iter().any(|(other, _)| other == group) => {
                    wrong(format!("`{group}` is there twice"));
                }
                Some(group) => change.each.push((group.to_owned(), count)),
                None if change.all.is_some() => {
                    wrong("the number for every group is there twice".to_owned());
                }
                None => change.all = Some(count),
            }
        }
        Problems::new(problems).none_or(change)
    }

    /// Changes `groups` as asked.
    pub(crate) fn apply(&self, groups: &mut [GroupPlan], problems: &mut Vec<Problem>) {
        if let Some(all) = self.all {
            groups.iter_mut().for_each(|group| group.replicas = all);
        }
        let mut changed: Vec<(usize, &str)> = Vec::new();
        for (name, count) in &self.each {
            let label = format!("--replicas {name}={count}");
            let by_name = groups.iter().position(|group| group.name == name.as_str());
            let by_component = || {
                groups
                    .iter()
                    .position(|group| group.components.iter().any(|c| *c == name.as_str()))
            };
            let Some(index) = by_name.or_else(by_component) else {
                let mut valid: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
                for component in groups.iter().flat_map(|group| &group.components) {
                    if !valid.contains(&component.as_str()) {
                        valid.push(component.as_str());
                    }
                }
                let what = format!("there is no group or component `{name}`");
                let mend = suggest(name, &valid, "groups and components", "leave it out");
                problems.push(Problem::given(&label, what, mend));
                continue;
            };
            if let Some((_, other)) = changed.iter().find(|(other, _)| *other == index) {
                let what = format!("`{name}` and `{other}` are the same group in this topology");
                problems.push(Problem::given(&label, what, "say it once"));
            }
            changed.push((index, name));
            groups[index].replicas = *count;
        }
    }
}
