//! Topologies of the shop that nobody has thought of.

use std::fmt::Write as _;

use fastrand::Rng;

/// The components of the shop.
const COMPONENTS: [&str; 10] = [
    "Ad",
    "Cart",
    "Catalog",
    "Checkout",
    "Currency",
    "Email",
    "Frontend",
    "Payment",
    "Recommendation",
    "Shipping",
];

/// What groups are called. Two groupings often have groups of the same name, and those change in place.
const GROUPS: [&str; 6] = ["red", "green", "blue", "white", "black", "grey"];

/// One group in so many has two replicas.
const DOUBLED: u32 = 4;

/// Random divisions of the shop's components into groups.
#[derive(Debug, Clone)]
pub struct Groupings {
    names: Vec<String>,
    settings: String,
}

impl Groupings {
    /// Draws `count` of them.
    pub fn draw(rng: &mut Rng, count: usize) -> Self {
        let mut groupings = Self {
            names: Vec::new(),
            settings: String::new(),
        };
        for number in 1..=count {
            let name = format!("random-{number}");
            let settings = grouping(rng, &name);
            groupings.settings += &settings;
            groupings.names.push(name);
        }
        groupings
    }

    /// What they are called: `random-1` and so on.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Their sections of `anylith.toml`.
    pub fn settings(&self) -> &str {
        &self.settings
    }
}

fn grouping(rng: &mut Rng, name: &str) -> String {
    let mut groups = GROUPS;
    rng.shuffle(&mut groups);
    let groups = &groups[..rng.usize(2..=GROUPS.len())];
    let mut members: Vec<Vec<&str>> = vec![Vec::new(); groups.len()];
    for component in COMPONENTS {
        members[rng.usize(..groups.len())].push(component);
    }
    let mut settings = format!("\n[topologies.{name}]\n");
    let groups = groups.iter().zip(members);
    for (group, members) in groups.filter(|(_, members)| !members.is_empty()) {
        let replicas = 1 + u32::from(rng.u32(..DOUBLED) == 0);
        // Writing to a string does not fail.
        let _ = writeln!(
            settings,
            "groups.{group} = {{ components = {members:?}, replicas = {replicas} }}"
        );
    }
    settings
}
