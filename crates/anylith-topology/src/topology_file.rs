//! A topology in a file of its own, for who wants one that `anylith.toml` does not have.

use anylith_core::{Manifest, Name};

use crate::{
    Plan, Problem, Problems, ReplicaChange, Settings,
    settings::{reader::Reader, sections},
    source::{At, Source},
    tree::{self, Table},
};

const MEND: &str = "write [topologies.NAME], and groups.GROUP = { components = [\"*\"] } below it";

/// A file with one section `[topologies.NAME]`, as `anylith.toml` may have several:
///
/// ```
/// # let text = r#"
/// [topologies.split]
/// groups.checkout = { components = ["Checkout", "Payment"], replicas = 2 }
/// groups.rest = { components = ["*"] }
/// # "#;
/// # let file = anylith_topology::TopologyFile::read("split.toml", text);
/// # assert_eq!(file.name().map(ToString::to_string).as_deref(), Some("split"));
/// # assert!(file.problems().is_empty());
/// ```
#[derive(Debug, Clone)]
pub struct TopologyFile {
    /// With that topology, and nothing else.
    settings: Settings,
    name: Option<Name>,
    problems: Vec<Problem>,
}

impl TopologyFile {
    /// Reads what can be read of `text`, which messages call `file`. What cannot is in [`TopologyFile::problems`], and lets
    /// nothing be planned.
    pub fn read(file: &str, text: &str) -> Self {
        let source = Source::new(file, text);
        let tree::Parsed {
            root,
            problems,
            syntax,
        } = tree::parse(&source);
        let mut reader = Reader::new(&source, problems, !syntax.problems.is_empty());
        let mut settings = Settings::default();
        if let Some(table) = only_section(&root, &mut reader) {
            settings.topologies = sections::topologies(table, &mut reader);
        }
        let mut problems = reader.problems;
        problems.retain(|problem| syntax.lets_stand(problem));
        problems.extend(syntax.problems.iter().cloned());
        settings.source = source;
        settings.syntax = syntax;
        let name = settings.topologies().next().cloned();
        Self {
            name,
            settings,
            problems,
        }
    }

    /// What the topology is called; `None` if there is none.
    pub fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// What is wrong with the file by itself.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Plans `manifest`'s application in this topology, with the replicas changed as asked. Of the plan only the topology and
    /// its groups come from this file; all else is as if there were no settings.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file, and that does not fit the application.
    pub fn plan(&self, manifest: &Manifest, replicas: &ReplicaChange) -> Result<Plan, Problems> {
        let mut problems = self.problems.clone();
        let plan = match &self.name {
            Some(name) => self.settings.plan(manifest, name.as_str(), replicas),
            None => Err(Problems::default()),
        };
        match plan {
            Ok(plan) => Problems::new(problems).none_or(plan),
            Err(more) => {
                problems.extend(more);
                Err(Problems::new(problems))
            }
        }
    }
}

/// The table `topologies`, if there is one, with one topology. All else is reported.
fn only_section<'t>(root: &'t Table, reader: &mut Reader<'_>) -> Option<&'t Table> {
    for entry in &root.entries {
        let key = entry.key.as_str();
        let mend = match key {
            "topologies" => continue,
            "groups" => "write [topologies.NAME] above it",
            "app" | "listeners" | "components" | "edges" | "limits" | "telemetry" => {
                "take it out: it stays as anylith.toml had it when the application was started"
            }
            _ => MEND,
        };
        let what = format!("a file with a topology has no `{key}`");
        reader.report(&entry.at, what, mend);
    }
    let known = reader.problems.is_empty();
    let Some(entry) = root.get("topologies") else {
        let end = reader.source.end();
        reader.missing(known, &end, "this file has no topology".to_owned(), MEND);
        return None;
    };
    let table = reader.table(&entry.item, "`topologies`", MEND)?;
    match table.entries.as_slice() {
        [] => reader.missing(
            known,
            &entry.at,
            "this file has no topology".to_owned(),
            MEND,
        ),
        [_] => {}
        [_, second, ..] => {
            let names = table.entries.iter();
            let names: Vec<String> = names.map(|entry| format!("`{}`", entry.key)).collect();
            let names = names.join(" and ");
            let what = format!("a file for `reshape` has one topology; this has {names}");
            let at: &At = &second.at;
            reader.report(at, what, "keep the one that is meant");
        }
    }
    Some(table)
}
