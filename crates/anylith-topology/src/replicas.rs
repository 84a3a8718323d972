//! How many replicas, said on the command line.

use anylith_core::{Scaling, Size};

use crate::{GroupPlan, Problem, Problems, nearest::suggest, settings::scaling::Replicas};

/// The most replicas that a group can have.
pub const MAX_REPLICAS: u32 = 1000;

/// What `--replicas` asks for: a number for every group, numbers for some, or both.
///
/// `4`; `Catalog=3,checkout=2`; `2,Catalog=1..6`. A group is meant by its own name or by that of a component in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplicaChange {
    all: Option<Size>,
    each: Vec<(String, Size)>,
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
    /// Every part that is neither a number or range nor one for a group.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let mut change = Self::NONE;
        let mut problems = Vec::new();
        for part in text.split(',').map(str::trim) {
            let label = format!("--replicas {part}");
            let mut wrong = |what: String| {
                let mend = format!(
                    "write a number from 1 to {MAX_REPLICAS}, GROUP=NUMBER or GROUP=FEWEST..MOST"
                );
                problems.push(Problem::given(&label, what, mend));
            };
            let (group, number) = match part.split_once('=') {
                Some((group, number)) => (Some(group.trim()), number.trim()),
                None => (None, part),
            };
            let count = match read_size(number) {
                Ok(count) => count,
                Err(what) => {
                    wrong(what);
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
            groups.iter_mut().for_each(|group| group.resize(all));
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
            groups[index].resize(*count);
        }
    }

    /// What to call the part of it that `group` has its number of.
    pub(crate) fn label_of(&self, group: &GroupPlan) -> Option<String> {
        let is_meant = |name: &str| {
            let mut components = group.components.iter();
            group.name == name || components.any(|component| *component == name)
        };
        let own = self.each.iter().find(|(name, _)| is_meant(name));
        match (own, self.all) {
            (Some((name, count)), _) => Some(format!("--replicas {name}={count}")),
            (None, Some(all)) => Some(format!("--replicas {all}")),
            (None, None) => None,
        }
    }
}

/// Reads how many replicas somebody asks for: `3`, or `0..5`, which is from none to five.
///
/// # Errors
///
/// What is wrong with it.
pub fn read_size(text: &str) -> Result<Size, String> {
    let Some((min, max)) = text.split_once("..") else {
        return match text.parse::<u32>() {
            Ok(count @ 1..=MAX_REPLICAS) => Ok(Size::Fixed(count)),
            Ok(_) => Err(format!("{text} replicas cannot be had")),
            Err(_) => Err(format!("`{text}` is not a number of replicas")),
        };
    };
    // Whoever writes Rust may mean it so.
    let (min, max) = (min.trim(), max.trim().trim_start_matches('='));
    match (min.parse::<u32>(), max.parse::<u32>()) {
        (Ok(min), Ok(max)) if min > max => Err(format!(
            "the range {text} has more for the fewest than for the most"
        )),
        (Ok(min), Ok(max @ 1..=MAX_REPLICAS)) => Ok(Size::Between { min, max }),
        (Ok(_), Ok(max)) => Err(format!("{max} replicas cannot be had")),
        (Ok(_), Err(_)) | (Err(_), _) => {
            Err(format!("`{text}` is not a range of numbers, as 1..6 is"))
        }
    }
}

impl GroupPlan {
    /// Gives it another size. What each replica is to bear stays as it was said.
    fn resize(&mut self, size: Size) {
        self.set_replicas(match (size, self.scaling) {
            (Size::Fixed(count), None) => Replicas::Fixed(count),
            (size, before) => Replicas::Scaled(Scaling::resized(before, size)),
        });
    }
}
