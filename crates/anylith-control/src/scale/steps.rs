//! What other numbers of replicas would change, before anybody changes them.

use std::fmt;

use anylith_core::Name;

use crate::{reshape::plan::ReshapePlan, spec::replica_name};

/// A plan in which nothing changes but numbers, for people: a line for each group whose number changes, and then which
/// replicas start and stop.
#[derive(Debug)]
pub struct ScaleSteps<'p>(pub &'p ReshapePlan);

impl fmt::Display for ScaleSteps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut start, mut stop) = (Vec::new(), Vec::new());
        for group in self.0.groups.iter().filter(|it| it.before != it.after) {
            group.fmt(f)?;
            let named = |ordinal| replica_name(&group.name, ordinal);
            start.extend((group.before + 1..=group.after).map(named));
            stop.extend((group.after + 1..=group.before).map(named));
        }
        writeln!(f, "start {}", listed(&start))?;
        writeln!(f, "drain and stop {}", listed(&stop))?;
        self.0.write_footprint(f)
    }
}

fn listed(names: &[Name]) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.join(", "),
    }
}
