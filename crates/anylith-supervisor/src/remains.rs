//! What an earlier supervisor has left behind in a run folder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anylith_core::{Fingerprint, Name};

use crate::{process::Process, record::Record, run_folder::RunFolder, stray::Stray};

/// What is remembered of an earlier supervisor, and its processes that live, held.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    pub(crate) record: Option<Record>,
    /// Those that are remembered, or have a place in what is.
    pub(crate) living: BTreeMap<Name, Process>,
    /// Those of which nothing is known but that they run.
    pub(crate) strangers: Vec<Stray>,
}

impl Remains {
    /// Looks for them in `folder`, of which `record` tells. Processes that it does not remember have to run its program, or
    /// the one at `own`, or one that is kept there; whatever they run, if there is neither of the first two.
    pub(crate) fn of(mut record: Option<Record>, folder: &RunFolder, own: Option<&Path>) -> Self {
        let before = record.as_ref().map(Record::programs).unwrap_or_default();
        let before = before.iter().map(PathBuf::as_path);
        let programs: Vec<&Path> = before.chain(own).collect();
        let strays = Stray::all(folder, &programs);
        let (living, strangers) = match &mut record {
            Some(record) => record.hold_living(strays, &folder.builds()),
            None => (BTreeMap::new(), strays),
        };
        Self {
            record,
            living,
            strangers,
        }
    }

    /// Where nothing was written down, because there never was room: those who are of `launch` are what `record` says, in which
    /// nothing has been changed since.
    pub(crate) fn recognise(
        mut self,
        launch: Fingerprint,
        folder: &RunFolder,
        record: impl FnOnce() -> Record,
    ) -> Self {
        if self.record.is_some() {
            return self;
        }
        let all = std::mem::take(&mut self.strangers).into_iter();
        let (own, others): (Vec<Stray>, Vec<Stray>) =
            all.partition(|stray| stray.launch == Some(launch));
        self.strangers = others;
        if !own.is_empty() {
            let mut record = record();
            let (living, strangers) = record.hold_living(own, &folder.builds());
            (self.living, self.record) = (living, Some(record));
            self.strangers.extend(strangers);
        }
        self
    }

    /// How many replicas run.
    pub(crate) fn replicas(&self) -> usize {
        self.living.len() + self.strangers.len()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::ErrorKind,
        os::unix::process::CommandExt,
        process::{Child, Command, Stdio},
    };

    use anylith_wire::control::{ENV_CONTROL, ENV_INCARNATION, ENV_REPLICA};
    use serde_json::{Value, json};

    use super::*;
    use crate::record::Build;

    /// A program that does nothing, under several names.
    const IDLE: &str = "/bin/sleep";

    /// A process that says of itself that it is a replica in the folder; it ends with the test.
    struct Puppet(Child);

    impl Puppet {
        fn of(program: &Path, folder: &RunFolder, replica: &str) -> Self {
            let mut command = Command::new(program);
            command
                .arg("1000")
                .env(ENV_CONTROL, folder.control_socket())
                .env(ENV_REPLICA, replica)
                .env(ENV_INCARNATION, "7")
                .stdin(Stdio::null())
                .process_group(0);
            loop {
                match command.spawn() {
                    Ok(child) => return Self(child),
                    // A process that another test just starts still has the file open to which it was copied.
                    Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    impl Drop for Puppet {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A copy of a program that does nothing.
    fn build(path: PathBuf) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(IDLE, &path).unwrap();
        path
    }

    /// The record of an upgrade from the build at `launched` to a kept one that has the number 1; all replicas are known to
    /// run the old one.
    fn record(launched: &Path, kept: &Path, rollout: &Value) -> Record {
        let build = Build::of(launched).unwrap();
        let past = |_| json!({"incarnation": 6, "restarts": 0, "pid": null, "build": 0});
        let replicas =
            ["all-1", "all-2", "all-3", "all-4"].map(|name| (name.to_owned(), past(name)));
        serde_json::from_value(json!({
            "spec": {
                "app": "idle", "topology": "test",
                "groups": [{
                    "name": "all", "components": ["Idle"], "replicas": 4, "scaling": null, "external": false,
                }],
                "dependencies": {"Idle": []},
                "listeners": {}, "config": {}, "edges": [],
                "limits": anylith_core::Limits::default(),
                "transport": anylith_topology::Transport::default(),
                "singletons": {}, "interfaces": {},
            },
            "program": {"path": launched},
            "build": build,
            "kept": {"1": {"path": kept, "source": kept, "build": build}},
            "addresses": {},
            "memory": {
                "epoch": 3, "replicas": serde_json::Map::from_iter(replicas), "rollout": rollout,
            },
            "started": {},
        }))
        .unwrap()
    }

    #[test]
    fn a_replica_that_was_not_written_down_has_the_build_that_it_runs() {
        let temp = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(temp.path().join("run"));
        let launched = build(temp.path().join("idle"));
        let second = build(folder.builds().join("2-2/idle"));
        let unknown = build(folder.builds().join("3-3/idle"));
        let other = build(temp.path().join("other"));
        let puppets: Vec<Puppet> = [&launched, &second, &unknown, &other]
            .into_iter()
            .zip(["all-1", "all-2", "all-3", "all-4"])
            .map(|(program, replica)| Puppet::of(program, &folder, replica))
            .collect();
        let look = |rollout: &Value| {
            let remains = Remains::of(Some(record(&launched, &second, rollout)), &folder, None);
            let memory = remains.record.unwrap().memory;
            let found = remains.living.keys().map(|replica| {
                let past = memory.replicas[replica];
                assert_eq!(past.incarnation, 7);
                (replica.to_string(), past.build)
            });
            let strangers = remains.strangers.iter().map(|one| one.replica.to_string());
            (found.collect::<Vec<_>>(), strangers.collect::<Vec<_>>())
        };
        let named = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let first = ("all-1".to_owned(), 0);
        let rollout = json!({"from": 0, "to": 1, "interfaces": {}});
        let found = [first.clone(), ("all-2".to_owned(), 1)];
        assert_eq!(look(&rollout), (found.to_vec(), named(&["all-3"])));
        // Nobody is to run the second one any more.
        assert_eq!(
            look(&Value::Null),
            (vec![first], named(&["all-2", "all-3"]))
        );
        drop(puppets);
    }
}
