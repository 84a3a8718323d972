//! Whether the settings fit the application.

use std::collections::HashMap;

use anylith_core::{
    Burst, ComponentManifest, EdgeSettings, Manifest, MethodManifest, MethodShape, MisfitManifest,
    Name, Scaling,
};

use crate::{
    Graph, Problem, Settings, burst,
    nearest::suggest,
    settings::{GroupSettings, PlacedEdge, TopologySettings, bursts::Bursts, scaling::Replicas},
    singleton,
    source::At,
};

impl Settings {
    /// Everything that does not fit between these settings and the application that `manifest` describes,
    /// and everything that is wrong with the application's graph. Empty if all is well.
    pub fn check(&self, manifest: &Manifest) -> Vec<Problem> {
        let mut check = Check {
            settings: self,
            manifest,
            problems: Vec::new(),
        };
        check.application();
        check.app_name();
        check.listeners();
        check.components();
        check.edges();
        for (name, topology) in &self.topologies {
            check.topology(name, topology);
        }
        check
            .problems
            .retain(|problem| self.syntax.lets_stand(problem));
        check.problems
    }
}

struct Check<'a> {
    settings: &'a Settings,
    manifest: &'a Manifest,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn report(&mut self, at: &At, what: impl Into<String>, mend: impl Into<String>) {
        self.problems
            .push(self.settings.source.problem(at, what, mend));
    }

    fn report_code(&mut self, what: String, mend: &str) {
        self.problems
            .push(Problem::application(self.manifest.app.as_str(), what, mend));
    }

    /// The graph by itself: doubled names, dependencies that nothing provides, cycles.
    fn application(&mut self) {
        let components = &self.manifest.components;
        if components.is_empty() {
            self.report_code("it has no components".to_owned(), "list them in `app!`");
        }
        let mut seen: HashMap<&Name, ()> = HashMap::with_capacity(components.len());
        for component in components {
            if seen.insert(&component.name, ()).is_some() {
                let what = format!("two components are called {}", component.name);
                self.report_code(what, "rename one of the interfaces");
            }
            for MisfitManifest { place, misfit } in &component.misfits {
                self.report_code(format!("{place}: {misfit}"), misfit.mend());
            }
            for dependency in &component.dependencies {
                if self.manifest.component(dependency.as_str()).is_none() {
                    let what = format!(
                        "{} is dependent on {dependency}, which no component provides",
                        component.name
                    );
                    self.report_code(what, "add an implementation of it to `app!`");
                }
            }
        }
        for cycle in Graph::of(self.manifest).cycles() {
            let path: Vec<&str> = cycle.iter().map(|name| name.as_str()).collect();
            let what = format!("its components wait for each other: {}", path.join(" → "));
            self.report_code(
                what,
                "take one of these dependencies out, or move what both need into a third",
            );
        }
    }

    fn app_name(&mut self) {
        let Some((name, at)) = self
            .settings
            .app
            .name
            .as_ref()
            .zip(self.settings.app_places.get("name"))
        else {
            return;
        };
        if *name != self.manifest.app {
            let what = format!(
                "the application calls itself `{}`, not `{name}`",
                self.manifest.app
            );
            let mend = format!(
                "write name = \"{}\", or set `package` to the other",
                self.manifest.app
            );
            self.report(at, what, mend);
        }
    }

    fn listeners(&mut self) {
        let listeners = self
            .manifest
            .components
            .iter()
            .flat_map(|component| &component.listeners);
        let mut known: Vec<&str> = listeners.map(Name::as_str).collect();
        known.sort_unstable();
        known.dedup();
        let set = self.settings.listeners.iter();
        let set = set.map(|(name, listener)| (name, &listener.at));
        let exposed = self.settings.exposed.iter().map(|(name, at)| (name, at));
        for (name, at) in set.chain(exposed) {
            if !known.contains(&name.as_str()) {
                let what = format!("no component has a listener `{name}`");
                let none = "take it out: no component has a listener at all";
                let mend = suggest(name.as_str(), &known, "listeners", none);
                self.report(at, what, mend);
            }
        }
    }

    fn components(&mut self) {
        let read = self.settings.components.iter();
        let read = read.map(|(name, config)| (name, &config.at));
        let unread = self.settings.unread_components.iter();
        let limited = self.settings.limited.iter();
        let on_kubernetes = self.settings.on_kubernetes.iter();
        let named = unread.chain(limited).chain(on_kubernetes);
        let named = named.map(|(name, at)| (name, at));
        for (name, at) in read.chain(named) {
            if self.manifest.component(name.as_str()).is_none() {
                let what = format!("there is no component `{name}`");
                self.report(at, what, self.nearest_component(name.as_str()));
            }
        }
    }

    fn edges(&mut self) {
        let edges = self.manifest.components.iter().flat_map(|caller| {
            caller
                .dependencies
                .iter()
                .map(|callee| format!("{} -> {callee}", caller.name))
        });
        let edges: Vec<String> = edges.collect();
        let known: Vec<&str> = edges.iter().map(String::as_str).collect();
        for edge in &self.settings.edges {
            let (caller, callee) = (&edge.settings.caller, &edge.settings.callee);
            let wrong = if known.contains(&format!("{caller} -> {callee}").as_str()) {
                self.wrong_method(edge)
            } else {
                Some(self.wrong_edge(edge, &known))
            };
            match wrong {
                Some((what, mend)) => self.report(&edge.at, what, mend),
                None => self.hedge(edge),
            }
        }
    }

    /// Only calls that may run twice, and are no streams, are sent to a second replica.
    fn hedge(&mut self, edge: &PlacedEdge) {
        let EdgeSettings {
            callee,
            method,
            hedge_ms,
            ..
        } = &edge.settings;
        let (Some(at), Some(1..)) = (&edge.hedge, hedge_ms) else {
            return;
        };
        let Some(callee_manifest) = self.manifest.component(callee.as_str()) else {
            return;
        };
        let can = |it: &&MethodManifest| it.idempotent && it.shape == MethodShape::Unary;
        let methods = &callee_manifest.methods;
        let named = |it: &&MethodManifest| method.as_ref().is_none_or(|name| it.name == *name);
        if methods.iter().filter(named).any(|it| can(&it)) {
            return;
        }
        let one = methods.iter().find(named).filter(|_| method.is_some());
        let (what, mend) = match one {
            Some(it) if it.shape != MethodShape::Unary => (
                format!("{callee}.{} has a stream, and no stream is hedged", it.name),
                "take it out",
            ),
            Some(it) => (
                format!(
                    "{callee}.{} may not run twice, so it cannot be hedged",
                    it.name
                ),
                "take it out, or mark the method #[idempotent] if two runs are as good as one",
            ),
            None => (
                format!("{callee} has no method that may run twice, so none can be hedged"),
                "take it out, or mark a method #[idempotent] if two runs are as good as one",
            ),
        };
        self.report(at, what, mend);
    }

    /// What is wrong with the method of an edge, and its mend.
    fn wrong_method(&self, edge: &PlacedEdge) -> Option<(String, String)> {
        let EdgeSettings { callee, method, .. } = &edge.settings;
        let method = method.as_ref()?;
        let methods = &self.manifest.component(callee.as_str())?.methods;
        let methods: Vec<&str> = methods.iter().map(|it| it.name.as_str()).collect();
        (!methods.contains(&method.as_str())).then(|| {
            let what = format!("{callee} has no method `{method}`");
            let kind = format!("methods of {callee}");
            let mend = suggest(method.as_str(), &methods, &kind, "take it out");
            (what, mend)
        })
    }

    /// Why there is no such edge, and its mend; `known` are those that there are.
    fn wrong_edge(&self, edge: &PlacedEdge, known: &[&str]) -> (String, String) {
        let EdgeSettings { caller, callee, .. } = &edge.settings;
        let written = format!("{caller} -> {callee}");
        let mut ends = [caller, callee].into_iter();
        if let Some(name) = ends.find(|end| self.manifest.component(end.as_str()).is_none()) {
            if let Some(mend) = self.interface_of(name.as_str()) {
                return (format!("there is no component `{name}`"), mend);
            }
            let mend = suggest(&written, known, "edges", "take it out");
            return (format!("there is no component `{name}`"), mend);
        }
        let what = format!("{caller} is not dependent on {callee}");
        let backwards = format!("{callee} -> {caller}");
        if known.contains(&backwards.as_str()) {
            return (what, format!("did you mean `{backwards}`?"));
        }
        let of_caller = self.manifest.component(caller.as_str());
        let callees = of_caller.map_or(&[][..], |component| &component.dependencies);
        let callees: Vec<&str> = callees.iter().map(Name::as_str).collect();
        let kind = format!("dependencies of {caller}");
        let none = "take it out: it calls no other component";
        (what, suggest(callee.as_str(), &callees, &kind, none))
    }

    fn topology(&mut self, name: &Name, topology: &TopologySettings) {
        let mut owner: HashMap<&str, &GroupSettings> = HashMap::new();
        let mut star: Option<&GroupSettings> = None;
        let mut stars = 0;
        for group in &topology.groups {
            for (component, at) in &group.components {
                if component == "*" {
                    stars += 1;
                    if let Some(other) = star.replace(group) {
                        let what = format!("`*` is in the group `{}` already", other.name);
                        self.report(at, what, "name the components of all groups but one");
                    }
                } else if self.manifest.component(component).is_none() {
                    let what = format!("there is no component `{component}`");
                    self.report(at, what, self.nearest_component(component));
                } else if let Some(other) = owner.insert(component, group) {
                    let what = format!("{component} is in the group `{}` already", other.name);
                    self.report(
                        at,
                        what,
                        "take it out of one of the two: a component has one group",
                    );
                }
            }
            self.group_name(group);
        }
        self.open_doors(topology);
        self.bursts(topology);
        if topology.complete && stars < 2 {
            self.whole(name, topology, star);
            self.shared_listeners(topology);
            self.crowded(topology);
        }
    }

    /// A name that means a group and a component of another group would be ambiguous in `--replicas`.
    fn group_name(&mut self, group: &GroupSettings) {
        let is_component = self.manifest.component(group.name.as_str()).is_some();
        let has = |name: &str| group.components.iter().any(|(member, _)| member == name);
        if is_component && !has(group.name.as_str()) && !has("*") {
            let what = format!(
                "the group `{}` has the name of a component that is not in it",
                group.name
            );
            self.report(&group.at, what, "give the group another name");
        }
    }

    /// A group that may have no replica serves no listener: who connects to its socket starts none.
    fn open_doors(&mut self, topology: &TopologySettings) {
        let members = topology.members(self.manifest);
        for (group, members) in topology.groups.iter().zip(members) {
            let (Replicas::Scaled(Scaling { min: 0, .. }), Some(at)) =
                (group.replicas, &group.replicas_at)
            else {
                continue;
            };
            let components = members.iter();
            let mut components =
                components.filter_map(|name| self.manifest.component(name.as_str()));
            let served = components.find_map(|it| Some((&it.name, it.listeners.first()?)));
            if let Some((component, listener)) = served {
                let what = format!(
                    "the group `{}` may have no replica, and {component} of it serves the listener `{listener}`: who \
                     connects starts no replica, as a call does",
                    group.name
                );
                let mend = format!("write min = 1, or give {component} a group of its own");
                self.report(at, what, mend);
            }
        }
    }

    /// Only components of the group get replicas for its bursts, and only those that can.
    fn bursts(&mut self, topology: &TopologySettings) {
        let members = topology.members(self.manifest);
        for (group, members) in topology.groups.iter().zip(members) {
            let among = burst::among(&group.bursts, &members, self.manifest);
            match &group.bursts {
                Bursts::None => {}
                Bursts::All(at) => {
                    if among.is_empty() && !members.is_empty() {
                        let what = format!(
                            "no component of the group `{}` can have replicas of its own: each serves a listener, is a \
                             singleton, or is called by keys",
                            group.name
                        );
                        self.report(at, what, "take it out");
                    }
                }
                Bursts::Of(bursts) => {
                    for (burst, at) in bursts {
                        self.burst(group, &members, burst, at);
                    }
                }
            }
            for burst in among {
                let name = burst.group();
                let mut others = topology.groups.iter();
                if let Some(other) = others.find(|other| other.name == name) {
                    let what = format!(
                        "the group `{name}` has the name of the replicas for bursts of {}",
                        burst.component
                    );
                    self.report(&other.at, what, "give the group another name");
                }
            }
        }
    }

    fn burst(&mut self, group: &GroupSettings, members: &[Name], burst: &Burst, at: &At) {
        let name = &burst.component;
        let Some(component) = self.manifest.component(name.as_str()) else {
            let what = format!("there is no component `{name}`");
            let mend = self.nearest_component(name.as_str());
            return self.report(at, what, mend);
        };
        if !members.contains(name) {
            let what = format!("{name} is not in the group `{}`", group.name);
            let members: Vec<&str> = members.iter().map(Name::as_str).collect();
            let kind = format!("components of `{}`", group.name);
            let mend = suggest(name.as_str(), &members, &kind, "take it out");
            return self.report(at, what, mend);
        }
        if let Some((what, mend)) = burst::obstacle(component) {
            self.report(at, what, mend);
        }
    }

    /// Every component has a group, and `*` stands for something.
    fn whole(&mut self, name: &Name, topology: &TopologySettings, star: Option<&GroupSettings>) {
        let members = topology.members(self.manifest);
        let placed = |component: &Name| members.iter().flatten().any(|member| member == component);
        let components = self
            .manifest
            .components
            .iter()
            .map(|component| &component.name);
        let homeless: Vec<&str> = components
            .filter(|component| !placed(component))
            .map(Name::as_str)
            .collect();
        if !homeless.is_empty() {
            let what = format!(
                "no group of [topologies.{name}] has {}",
                homeless.join(", ")
            );
            let mend = "add to one group, or add groups.rest = { components = [\"*\"] }";
            self.report(&topology.at, what, mend);
        }
        let Some(star) = star else { return };
        let alone = star.components.iter().all(|(member, _)| member == "*");
        let index = topology
            .groups
            .iter()
            .position(|group| group.name == star.name);
        if alone && index.is_some_and(|index| members[index].is_empty()) {
            let what = format!(
                "the group `{}` is empty: every component is in another",
                star.name
            );
            self.report(&star.at, what, "take the group out");
        }
    }

    /// A component of which there is one at a time has a group of one replica.
    fn crowded(&mut self, topology: &TopologySettings) {
        let members = topology.members(self.manifest);
        for (group, members) in topology.groups.iter().zip(members) {
            let singletons = singleton::among(&members, self.manifest);
            if let Some(component) = singletons.first().filter(|_| group.replicas.most() > 1) {
                let named = group
                    .components
                    .iter()
                    .find(|(name, _)| *component == name.as_str());
                let at = named.map_or(&group.at, |(_, at)| at);
                let what = singleton::too_many(component, &group.name, group.replicas.most());
                self.report(at, what, singleton::mend(component, members.len()));
            }
        }
    }

    fn shared_listeners(&mut self, topology: &TopologySettings) {
        let members = topology.members(self.manifest);
        let mut owner: HashMap<&Name, (usize, &Name)> = HashMap::new();
        for (index, components) in members.iter().enumerate() {
            for name in components {
                let Some(component) = self.manifest.component(name.as_str()) else {
                    continue;
                };
                for listener in &component.listeners {
                    let (first, other) = *owner.entry(listener).or_insert((index, name));
                    // One that is in two groups is a mistake of its own.
                    if first != index && other != name {
                        let what = format!(
                            "{name} and {other} of another group both serve the listener `{listener}`"
                        );
                        let mend = "put them into one group, or give each a listener of its own";
                        self.report(&topology.groups[index].at, what, mend);
                    }
                }
            }
        }
    }

    /// The mend for a struct that was written in the place of its interface: `app!` lists structs, and everything
    /// else speaks of interfaces.
    fn interface_of(&self, written: &str) -> Option<String> {
        let mut components = self.manifest.components.iter();
        let ComponentManifest { name, .. } = components.find(|it| it.implementation == written)?;
        Some(format!("`{written}` implements `{name}`: write `{name}`"))
    }

    fn nearest_component(&self, wrong: &str) -> String {
        if let Some(mend) = self.interface_of(wrong) {
            return mend;
        }
        let components = self.manifest.components.iter();
        let known: Vec<&str> = components
            .map(|component| component.name.as_str())
            .collect();
        suggest(wrong, &known, "components", "take it out")
    }
}
