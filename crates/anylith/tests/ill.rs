//! Who is called where components are not well: replicas with standing orders, which no control plane watches over.

#![expect(missing_docs, reason = "a test has no readers of its documentation")]
#![expect(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, io,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
    thread,
    time::Duration,
};

use anylith::{CallError, Stopping};
use anylith_core::{Address, Directory, Endpoint, Limits, Name, Telemetry};
use anylith_wire::{
    StandingOrders,
    control::{Bootstrap, ENV_BOOTSTRAP},
};
use serde::{Deserialize, Serialize};

/// The fever of a patient that is ill from its start on.
const NEVER_WELL: &str = "patient-3.fever";

/// Nothing takes as long as this, unless it never comes.
const LONG: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum ClinicError {
    #[error(transparent)]
    Call(#[from] CallError),
}

#[anylith::component]
pub trait Patient {
    /// The name of the replica.
    async fn called(&self) -> Result<String, ClinicError>;
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Chart {
    name: String,
    /// While there is such a file the patient is ill.
    fever: PathBuf,
}

#[derive(anylith::Component)]
#[component(interface = Patient, healthy)]
pub struct Bed {
    #[config]
    chart: Chart,
}

impl Bed {
    async fn healthy(&self) -> Result<(), String> {
        if self.chart.fever.exists() {
            return Err("the fever is high".to_owned());
        }
        Ok(())
    }
}

impl Patient for Bed {
    async fn called(&self) -> Result<String, ClinicError> {
        Ok(self.chart.name.clone())
    }
}

/// Looks after the patients all the time, and says whom it met.
#[derive(anylith::Component)]
#[component(serve)]
pub struct Nurse {
    patient: PatientClient,
}

impl Nurse {
    async fn serve(self: Arc<Self>, _: Stopping) -> Result<(), io::Error> {
        loop {
            let met = self.patient.called().await;
            let met = met.unwrap_or_else(|error| format!("nobody: {error}"));
            writeln!(io::stdout().lock(), "met {met}")?;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

anylith::app! {
    /// A clinic.
    pub Clinic = "clinic" { Bed, Nurse }
}

/// Not a test: the process that the tests below start.
#[tokio::test]
#[ignore = "it is started by others"]
async fn process() {
    // Whoever started it holds the other end, also when it is killed.
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    Clinic::run().await;
}

/// A replica.
struct Replica {
    process: Child,
    /// Whom it met; nothing more once it has ended.
    met: Receiver<String>,
    log: PathBuf,
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Replica {
    /// Starts the replica whose orders are in `file`.
    fn start(file: &Path) -> Self {
        let log = file.with_extension("log");
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["process", "--exact", "--ignored", "--nocapture"])
            .current_dir(file.parent().unwrap())
            .env(ENV_BOOTSTRAP, file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (said, met) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let Some((_, met)) = line.split_once("met ") else {
                    continue;
                };
                if said.send(met.to_owned()).is_err() {
                    return;
                }
            }
        });
        Self { process, met, log }
    }

    fn meets(&self) -> String {
        let met = self.met.recv_timeout(LONG);
        let log = || fs::read_to_string(&self.log).unwrap_or_default();
        let met = met.unwrap_or_else(|_| panic!("the nurse is silent:\n{}", log()));
        assert!(!met.starts_with("nobody"), "{met}\n{}", log());
        let never_well = self.log.with_file_name(NEVER_WELL).exists();
        assert!(!never_well || met != "patient-3", "it has not been well");
        met
    }

    /// Waits until it has met all of these.
    fn until_it_meets(&self, all: &[&str]) {
        let mut wanted = BTreeSet::from_iter(all.iter().copied());
        while !wanted.is_empty() {
            let met = self.meets();
            wanted.remove(met.as_str());
        }
    }

    /// Waits until it meets this one alone.
    fn until_it_meets_only(&self, one: &str) {
        let mut in_a_row = 0;
        while in_a_row < 100 {
            in_a_row = if self.meets() == one { in_a_row + 1 } else { 0 };
        }
    }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A host that runs a clinic.
struct Host(tempfile::TempDir);

impl Host {
    fn fever(&self, patient: &str) -> PathBuf {
        self.0.path().join(format!("{patient}.fever"))
    }

    fn falls_ill(&self, patient: &str) {
        fs::write(self.fever(patient), "").unwrap();
    }

    fn recovers(&self, patient: &str) {
        fs::remove_file(self.fever(patient)).unwrap();
    }

    fn endpoint(&self, replica: &str) -> Endpoint {
        Endpoint::Unix(self.0.path().join("run").join(format!("{replica}.sock")))
    }

    /// Starts `replica` of `component`. The directory names three patients, whether or not they are there.
    fn start(&self, component: &str, replica: &str) -> Replica {
        let patients = ["patient-1", "patient-2", "patient-3"].map(|patient| Address {
            replica: name(patient),
            endpoint: self.endpoint(patient),
        });
        let chart = Chart {
            name: replica.to_owned(),
            fever: self.fever(replica),
        };
        let is_called = component == "Patient";
        let orders = StandingOrders {
            replica: name(replica),
            bootstrap: Bootstrap {
                app: name("clinic"),
                group: name(component),
                components: vec![name(component)],
                endpoints: is_called
                    .then(|| self.endpoint(replica))
                    .into_iter()
                    .collect(),
                listeners: BTreeMap::new(),
                config: [(name("Patient"), serde_json::to_value(chart).unwrap())].into(),
                edges: Vec::new(),
                limits: Limits::default(),
                telemetry: Telemetry::default(),
                directory: Directory::new(1, [(name("Patient"), patients.into())]),
                identity: None,
                callers: None,
                held: Vec::new(),
            },
            listen: BTreeMap::new(),
            secrets: BTreeMap::new(),
            identity: None,
            grace_ms: 1000,
            discovery: None,
            health: None,
        };
        let file = self.0.path().join(format!("{replica}.json"));
        fs::write(&file, serde_json::to_vec(&orders).unwrap()).unwrap();
        Replica::start(&file)
    }
}

#[test]
fn where_no_replica_is_healthy_all_are_called_though_nobody_watches_over_them() {
    let host = Host(tempfile::tempdir().unwrap());
    // It has never been well, so nobody meets it.
    host.falls_ill("patient-3");
    let _patients =
        ["patient-1", "patient-2", "patient-3"].map(|patient| host.start("Patient", patient));
    let nurse = host.start("Nurse", "nurse-1");
    nurse.until_it_meets(&["patient-1", "patient-2"]);
    host.falls_ill("patient-1");
    nurse.until_it_meets_only("patient-2");
    host.falls_ill("patient-2");
    nurse.until_it_meets(&["patient-1", "patient-2"]);
    // One who comes now starts and calls as well.
    let late = host.start("Nurse", "nurse-2");
    late.until_it_meets(&["patient-1", "patient-2"]);
    host.recovers("patient-1");
    for nurse in [&nurse, &late] {
        nurse.until_it_meets_only("patient-1");
    }
    // The one that was never well is well.
    host.recovers("patient-3");
    nurse.until_it_meets(&["patient-3"]);
}
