//! Puts a plan on a cluster: which objects it comes to, under which names, and why not.

use std::{collections::BTreeMap, net::SocketAddr};

use anylith_core::{Name, Target};

use crate::{
    ComponentNeeds, Egress, Exposure, GroupPlan, Plan, Problem, Problems, Settings, Storage,
    source::At,
};

/// An application in one topology, as a cluster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The application's name, as objects have it.
    pub app: String,
    /// Its groups, in the order of the plan.
    pub groups: Vec<ClusterGroup>,
    /// Its listeners, by name.
    pub listeners: BTreeMap<Name, ClusterListener>,
}

/// A group, as a cluster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterGroup {
    /// Its name in the plan.
    pub group: Name,
    /// The same, as labels have it: `rest`.
    pub label: String,
    /// What its objects are called: `boutique-rest`.
    pub object: String,
    /// Of a core, in thousandths: the sum over its components.
    pub cpu_millis: u32,
    /// In bytes: the sum over its components, and what a process has by itself.
    pub memory_bytes: u64,
    /// The volumes that stay, each with the component that asks for it.
    pub storage: Vec<(Name, Storage)>,
    /// Whom it calls outside of the application, each once.
    pub egress: Vec<Egress>,
}

/// A listener, as a cluster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterListener {
    /// Its name, as ports have it.
    pub label: String,
    /// What its objects are called: `boutique-web`.
    pub object: String,
    /// The port at which its pods listen.
    pub port: u16,
    /// Where it is reached.
    pub exposure: Exposure,
}

impl Cluster {
    /// The port at which pods answer calls of each other.
    pub const CALLS: u16 = 7400;
    /// The port at which pods say how they are, and what they have counted.
    pub const HEALTH: u16 = 7401;
    /// The first port of listeners that have none of their own.
    const FIRST_FREE: u16 = 8080;
    /// The lowest port that a process without privileges may listen at everywhere.
    const LOWEST: u16 = 1024;
    /// The longest name of a group's objects: a StatefulSet's has to leave room for a hyphen and a hash in a label.
    const LONGEST_OBJECT: usize = 52;
    /// The longest name of a group, which has to leave room for an address in the names of its replicas.
    const LONGEST_GROUP: usize = Name::MAX_LEN - "-255-255-255-255".len();
    /// The longest name of a port.
    const LONGEST_PORT: usize = 15;
    /// What a process has in memory by itself, in bytes.
    const PROCESS_BYTES: u64 = 32 << 20;
}

/// Whether `text` can be what objects are called, and the value of a label.
pub fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether `text` can be a name with dots: of a host, a class or a Secret.
pub fn is_domain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// `name` as objects have it: `CheckoutService` is `checkout-service`.
fn label(name: &Name) -> String {
    let letters: Vec<char> = name.as_str().chars().collect();
    let mut label = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| letters.get(before));
        let after = letters.get(at + 1);
        let begins_a_word = letter.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || before.is_ascii_uppercase() && after.is_some_and(char::is_ascii_lowercase)
            });
        let hyphen = begins_a_word || matches!(letter, '_' | '-');
        if hyphen && !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
        if letter.is_ascii_alphanumeric() {
            label.push(letter.to_ascii_lowercase());
        }
    }
    label.trim_end_matches('-').to_owned()
}

impl Settings {
    /// Puts `plan`, which was made of these settings, on a cluster.
    ///
    /// # Errors
    ///
    /// Everything that a cluster cannot have, at once: names that are too long, or the same in small letters; ports that
    /// meet, or need privileges; numbers of replicas that follow what no cluster measures.
    pub fn on_cluster(&self, plan: &Plan) -> Result<Cluster, Problems> {
        let mut problems = Vec::new();
        let app = label(&plan.app);
        if !app.starts_with(|first: char| first.is_ascii_lowercase()) {
            let what = format!("Kubernetes has no name for the application `{}`", plan.app);
            let mend = "begin its name with a letter";
            problems.push(self.app_problem("name", what, mend));
        }
        let placing = Placing {
            settings: self,
            plan,
            app: &app,
        };
        let groups: Vec<ClusterGroup> = plan
            .groups
            .iter()
            .map(|group| placing.group(group, &mut problems))
            .collect();
        placing.meeting_groups(&groups, &mut problems);
        let listeners = placing.listeners(&mut problems);
        let cluster = Cluster {
            groups,
            listeners,
            app: app.clone(),
        };
        Problems::new(problems).none_or(cluster)
    }
}

/// A plan on its way to a cluster.
struct Placing<'a> {
    settings: &'a Settings,
    plan: &'a Plan,
    app: &'a str,
}

impl Placing<'_> {
    /// The problem `what` of `group`: at its line, if it is written anywhere.
    fn of_group(&self, group: &Name, what: String, mend: impl Into<String>) -> Problem {
        match self.place_of(group) {
            Some((at, _)) => self.settings.source.problem(at, what, mend),
            None => self.of_topology(what, mend),
        }
    }

    /// The problem `what` of how many replicas `group` has.
    fn of_replicas(&self, group: &Name, what: String, mend: impl Into<String>) -> Problem {
        match self.place_of(group) {
            Some((at, replicas)) => {
                let at = replicas.unwrap_or(at);
                self.settings.source.problem(at, what, mend)
            }
            None => self.of_topology(what, mend),
        }
    }

    fn of_topology(&self, what: String, mend: impl Into<String>) -> Problem {
        Problem::given(&format!("--topology {}", self.plan.topology), what, mend)
    }

    /// Where `group` is written, and where it says how many replicas it has.
    fn place_of(&self, group: &Name) -> Option<(&At, Option<&At>)> {
        let topology = self.settings.topologies.get(self.plan.topology.as_str())?;
        let mut groups = topology.groups.iter();
        let group = groups.find(|known| known.name == *group)?;
        Some((&group.at, group.replicas_at.as_ref()))
    }

    fn group(&self, group: &GroupPlan, problems: &mut Vec<Problem>) -> ClusterGroup {
        const SHORTER: &str = "give it a shorter name; a group of a topology of your own can be \
                               called otherwise than its component";
        let name = &group.name;
        let label = label(name);
        let object = format!("{}-{label}", self.app);
        if label.is_empty() {
            let what = format!("Kubernetes has no name for the group `{name}`");
            problems.push(self.of_group(name, what, "give it a name with a letter or a digit"));
        } else if object.len() > Cluster::LONGEST_OBJECT {
            let (longest, length) = (Cluster::LONGEST_OBJECT, object.len());
            let what = format!(
                "the name `{object}` of the group's objects has {length} letters, and {longest} fit into a label"
            );
            problems.push(self.of_group(name, what, SHORTER));
        } else if name.as_str().len() > Cluster::LONGEST_GROUP {
            let (longest, length) = (Cluster::LONGEST_GROUP, name.as_str().len());
            let what = format!(
                "the name of the group `{name}` has {length} letters, and {longest} leave room for the address of a pod"
            );
            problems.push(self.of_group(name, what, SHORTER));
        }
        self.numbers(group, problems);
        let needs = group.components.iter().map(|component| {
            let needs = self.settings.kubernetes.components.get(component);
            (component, needs.cloned().unwrap_or_default())
        });
        let needs: Vec<(&Name, ComponentNeeds)> = needs.collect();
        let storage: Vec<(Name, Storage)> = needs
            .iter()
            .filter_map(|(component, needs)| Some(((*component).clone(), needs.storage.clone()?)))
            .collect();
        self.meeting_folders(group, &storage, problems);
        let mut egress = Vec::new();
        for one in needs.iter().flat_map(|(_, needs)| &needs.egress) {
            if !egress.contains(one) {
                egress.push(one.clone());
            }
        }
        let cpus = needs.iter().map(|(_, needs)| needs.cpu_millis);
        let memory = needs.iter().map(|(_, needs)| needs.memory_bytes);
        ClusterGroup {
            group: name.clone(),
            label,
            object,
            cpu_millis: cpus.fold(0, u32::saturating_add),
            memory_bytes: memory.fold(Cluster::PROCESS_BYTES, u64::saturating_add),
            storage,
            egress,
        }
    }

    /// Whether a cluster can have as many replicas of `group` as the plan wants.
    fn numbers(&self, group: &GroupPlan, problems: &mut Vec<Problem>) {
        let name = &group.name;
        if let Some(scaling) = &group.scaling {
            if scaling.min == 0 {
                let what = format!(
                    "the group `{name}` may have no replica, and Kubernetes starts none when it is called"
                );
                problems.push(self.of_replicas(name, what, "write min = 1"));
            }
            if let Target::P99(_) = scaling.target {
                let what = format!(
                    "the replicas of `{name}` follow a latency, which no HorizontalPodAutoscaler can"
                );
                let mend = "write target = { cpu = 0.7 }, or target = { concurrency = 16 }";
                problems.push(self.of_replicas(name, what, mend));
            }
        }
        if let Some(burst) = group.bursts.first() {
            let what = format!(
                "{} of the group `{name}` is to get replicas alone in a burst of calls, which Kubernetes cannot",
                burst.component
            );
            let mend = format!(
                "take `burst` out, and give {} a group with a range of replicas",
                burst.component
            );
            problems.push(self.of_group(name, what, mend));
        }
    }

    fn meeting_folders(
        &self,
        group: &GroupPlan,
        storage: &[(Name, Storage)],
        problems: &mut Vec<Problem>,
    ) {
        for (at, (component, own)) in storage.iter().enumerate() {
            let mut before = storage[..at].iter();
            if let Some((other, _)) = before.find(|(_, other)| other.path == own.path) {
                let what = format!(
                    "{other} and {component} of the group `{}` ask for volumes in the same folder",
                    group.name
                );
                let mend = format!("give {component} a `path` of its own in its `storage`");
                let at = self.settings.on_kubernetes.iter();
                let mut at = at.filter(|(name, _)| name == component);
                problems.push(match at.next() {
                    Some((_, at)) => self.settings.source.problem(at, what, mend),
                    None => self.of_group(&group.name, what, mend),
                });
            }
        }
    }

    fn meeting_groups(&self, groups: &[ClusterGroup], problems: &mut Vec<Problem>) {
        for (at, group) in groups.iter().enumerate() {
            let mut before = groups[..at].iter();
            if let Some(other) = before.find(|other| other.object == group.object) {
                let what = format!(
                    "the groups `{}` and `{}` are both called `{}` on Kubernetes",
                    other.group, group.group, group.object
                );
                let mend = "give one of them another name: capitals and `_` do not tell them apart";
                problems.push(self.of_group(&group.group, what, mend));
            }
        }
    }

    fn listeners(&self, problems: &mut Vec<Problem>) -> BTreeMap<Name, ClusterListener> {
        let set = self.plan.listeners.values().map(SocketAddr::port);
        let set: Vec<u16> = set.collect();
        let mut free = (Cluster::FIRST_FREE..=u16::MAX).filter(|port| !set.contains(port));
        let mut listeners: BTreeMap<Name, ClusterListener> = BTreeMap::new();
        for (name, address) in &self.plan.listeners {
            let port = match address.port() {
                0 => free.next().unwrap_or(Cluster::FIRST_FREE),
                port => port,
            };
            let label = label(name);
            let object = format!("{}-{label}", self.app);
            let mut wrong =
                |what: String, mend: &str| problems.push(self.of_listener(name, what, mend));
            if !label.contains(|letter: char| letter.is_ascii_lowercase())
                || label.len() > Cluster::LONGEST_PORT
            {
                let what = format!("Kubernetes has no name for the port of the listener `{name}`");
                wrong(
                    what,
                    "give it a name with a letter, of at most 15 letters and digits",
                );
            } else if !is_label(&object) {
                let what = format!("the name `{object}` of the listener's Service is too long");
                wrong(what, "give it a shorter name");
            }
            if port < Cluster::LOWEST {
                let what = format!(
                    "the listener `{name}` has the port {port}, which a process without privileges may not have"
                );
                wrong(
                    what,
                    "give it a port from 1024: who calls it uses `port` of [kubernetes.listeners], which is 80",
                );
            } else if [Cluster::CALLS, Cluster::HEALTH].contains(&port) {
                let what = format!(
                    "the listener `{name}` has the port {port}, at which pods answer each other, or probes"
                );
                wrong(what, "give it another port");
            }
            let mut others = listeners.iter();
            if let Some((other, _)) =
                others.find(|(_, other)| other.port == port || other.object == object)
            {
                let what = format!("the listeners `{other}` and `{name}` meet in a port or a name");
                wrong(what, "give each a port and a name of its own");
            }
            let exposure = self.settings.kubernetes.listeners.get(name);
            listeners.insert(
                name.clone(),
                ClusterListener {
                    label,
                    object,
                    port,
                    exposure: exposure.cloned().unwrap_or_default(),
                },
            );
        }
        listeners
    }

    fn of_listener(&self, name: &Name, what: String, mend: &str) -> Problem {
        match self.settings.listeners.get(name) {
            Some(known) => self.settings.source.problem(&known.at, what, mend),
            None => Problem::application(self.plan.app.as_str(), what, mend),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_label_in_which_words_are_told_apart() {
        for (name, wanted) in [
            ("Cart", "cart"),
            ("CheckoutService", "checkout-service"),
            ("HTTPGateway", "http-gateway"),
            ("cart_2-b", "cart-2-b"),
            ("Step2Do", "step2-do"),
            ("_x_", "x"),
            ("a__b", "a-b"),
            ("_", ""),
        ] {
            assert_eq!(label(&Name::new(name).unwrap()), wanted);
        }
    }

    #[test]
    fn a_label_is_what_kubernetes_takes_for_a_name() {
        for good in ["a", "0", "a-b", &"x".repeat(63)] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "ä", &"x".repeat(64)] {
            assert!(!is_label(bad), "{bad}");
        }
        assert!(is_domain("a.b-c.example"));
        for bad in ["", ".", "a..b", "a.", "-a.b", "a/b"] {
            assert!(!is_domain(bad), "{bad}");
        }
    }
}
