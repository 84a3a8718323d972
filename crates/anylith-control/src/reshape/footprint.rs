//! How much memory a reshape takes, from what the replicas have that run.

use std::collections::BTreeMap;

use anylith_core::Name;
use serde::{Deserialize, Serialize};

use super::plan::{Becomes, GroupChange, ReshapePlan};

/// How much memory the processes of an application have, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// Now, all together.
    pub before_bytes: u64,
    /// At most, roughly, when all that is new is ready and nothing has left yet.
    pub peak_bytes: u64,
}

impl ReshapePlan {
    /// Adds how much memory it takes, where `used` has what each replica of each group that runs has now, in bytes.
    /// A plan for which that is not known of every group stays as it is.
    ///
    /// What a component needs by itself nobody knows, as it shares its process. So a process that is new is taken to
    /// need as much as one of each group that has one of its components now: it has less in it than those together.
    #[must_use]
    pub fn weighed(mut self, used: &BTreeMap<Name, Vec<u64>>) -> Self {
        self.memory = self.weigh(used);
        self
    }

    fn weigh(&self, used: &BTreeMap<Name, Vec<u64>>) -> Option<MemoryUse> {
        let mean = |group: &Name| -> Option<u64> {
            let all = used.get(group).filter(|all| !all.is_empty())?;
            Some(all.iter().sum::<u64>() / all.len() as u64)
        };
        // Group that runs → its components, and what one of its replicas has.
        let mut homes = Vec::new();
        for group in self.groups.iter().filter(|group| group.before > 0) {
            let own = group.components.iter().chain(&group.goes);
            homes.push((own.collect::<Vec<_>>(), mean(&group.name)?));
        }
        let of = |components: &[Name]| -> u64 {
            let has = |own: &[&Name]| components.iter().any(|one| own.contains(&one));
            let met = homes.iter().filter(|(own, _)| has(own));
            met.map(|(_, bytes)| bytes).sum()
        };
        let more = |group: &GroupChange| -> u64 {
            let coming = of(&group.comes) * u64::from(group.before.min(group.after));
            let new = u64::from(group.after.saturating_sub(group.before));
            let one = match (group.becomes, mean(&group.name)) {
                (Becomes::Kept, Some(one)) => one + of(&group.comes),
                (Becomes::New | Becomes::Kept | Becomes::Gone, _) => of(&group.components),
            };
            coming + new * one
        };
        let before_bytes = used.values().flatten().sum();
        Some(MemoryUse {
            before_bytes,
            peak_bytes: before_bytes + self.groups.iter().map(more).sum::<u64>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Processes;
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn names(text: &str) -> Vec<Name> {
        text.split_whitespace().map(name).collect()
    }

    fn change(group: &str, becomes: Becomes, components: &str, replicas: [u32; 2]) -> GroupChange {
        let [before, after] = replicas;
        GroupChange {
            name: name(group),
            becomes,
            components: names(components),
            comes: Vec::new(),
            goes: Vec::new(),
            before,
            after,
        }
    }

    fn peak(groups: Vec<GroupChange>, used: &[(&str, &[u64])]) -> Option<u64> {
        let plan = ReshapePlan {
            from: name("old"),
            to: name("new"),
            groups,
            processes: Processes {
                before: 0,
                peak: 0,
                after: 0,
            },
            memory: None,
        };
        let used = used.iter();
        let used = used.map(|(group, bytes)| (name(group), bytes.to_vec()));
        Some(plan.weighed(&used.collect()).memory?.peak_bytes)
    }

    #[test]
    fn a_new_process_needs_no_more_than_those_that_have_its_components_now() {
        let split = || {
            vec![
                change("cart", Becomes::New, "Cart", [0, 2]),
                change("rest", Becomes::New, "Shop Stock", [0, 1]),
                change("whole", Becomes::Gone, "Cart Shop Stock", [1, 0]),
            ]
        };
        assert_eq!(peak(split(), &[("whole", &[30])]), Some(30 + 3 * 30));
        let joined = vec![
            change("whole", Becomes::New, "Cart Shop Stock", [0, 1]),
            change("cart", Becomes::Gone, "Cart", [2, 0]),
            change("rest", Becomes::Gone, "Shop Stock", [1, 0]),
        ];
        let used: [(&str, &[u64]); 2] = [("cart", &[10, 12]), ("rest", &[20])];
        assert_eq!(peak(joined, &used), Some(42 + 11 + 20));
        assert_eq!(peak(split(), &[]), None, "nobody has looked");
    }

    #[test]
    fn what_comes_into_a_replica_that_runs_needs_room_in_each() {
        let mut kept = change("front", Becomes::Kept, "Shop", [2, 3]);
        kept.comes = names("Cart");
        let gone = change("cart", Becomes::Gone, "Cart", [1, 0]);
        let used: [(&str, &[u64]); 2] = [("front", &[20, 20]), ("cart", &[10])];
        assert_eq!(peak(vec![kept, gone], &used), Some(50 + 2 * 10 + 30));
    }
}
