//! Components that say that they are not well.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    time::Duration,
};

use anylith::CallError;
use anylith_test::{Cluster, ClusterBuilder};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

/// Nothing takes as long as this, unless it never comes.
const LONG: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum ClinicError {
    #[error(transparent)]
    Call(#[from] CallError),
}

#[anylith::component]
pub trait Patient {
    /// Falls ill, or recovers. Returns which process that was.
    async fn feel(&self, is_well: bool) -> Result<u32, ClinicError>;
    /// Returns the process, and how often it has said in a row that it is ill.
    async fn look(&self) -> Result<(u32, u32), ClinicError>;
    /// Returns the process in which the doctor is seen.
    #[routed(by = doctor)]
    async fn see(&self, doctor: &str) -> Result<u32, ClinicError>;
}

#[anylith::component]
pub trait Nurse {
    /// Asks a patient.
    async fn round(&self) -> Result<u32, ClinicError>;
}

#[derive(anylith::Component)]
#[component(interface = Patient, healthy)]
pub struct Bed {
    #[init]
    is_ill: AtomicBool,
    #[init]
    complaints: AtomicU32,
}

impl Bed {
    async fn healthy(&self) -> Result<(), String> {
        if self.is_ill.load(SeqCst) {
            self.complaints.fetch_add(1, SeqCst);
            return Err("the fever is high".to_owned());
        }
        self.complaints.store(0, SeqCst);
        Ok(())
    }
}

impl Patient for Bed {
    async fn feel(&self, is_well: bool) -> Result<u32, ClinicError> {
        self.is_ill.store(!is_well, SeqCst);
        Ok(std::process::id())
    }

    async fn look(&self) -> Result<(u32, u32), ClinicError> {
        Ok((std::process::id(), self.complaints.load(SeqCst)))
    }

    async fn see(&self, _: &str) -> Result<u32, ClinicError> {
        Ok(std::process::id())
    }
}

#[derive(anylith::Component)]
#[component(interface = Nurse)]
pub struct Ward {
    patient: PatientClient,
}

impl Nurse for Ward {
    async fn round(&self) -> Result<u32, ClinicError> {
        Ok(self.patient.look().await?.0)
    }
}

anylith::app! {
    /// Somebody to look after, and who does.
    pub Clinic = "clinic" { Bed, Ward }
}

/// How many processes patients are in.
fn beds(cluster: &Cluster<Clinic>) -> usize {
    if cluster.topology().has_processes() {
        2
    } else {
        1
    }
}

/// Calls until `all` have answered.
async fn until_called<F: Future<Output = Result<u32, ClinicError>>>(
    all: usize,
    call: impl Fn() -> F,
) -> BTreeSet<u32> {
    let mut called = BTreeSet::new();
    let until = async {
        while called.len() < all {
            called.insert(call().await.expect("somebody takes calls"));
        }
    };
    timeout(LONG, until).await.expect("one is never called");
    called
}

/// Makes every patient ill, and waits until all have said so often enough.
async fn all_fall_ill(cluster: &Cluster<Clinic>, patient: &PatientClient) {
    until_called(beds(cluster), || patient.feel(false)).await;
    let mut known = BTreeSet::new();
    let end = Instant::now() + LONG;
    while known.len() < beds(cluster) {
        let replicas = cluster.replicas();
        let ill = replicas.iter().filter(|one| !one.unhealthy.is_empty());
        known.extend(ill.filter_map(|one| one.pid));
        // Where nobody watches over it. Two times are enough, and the third is after what followed of that.
        if beds(cluster) == 1 {
            let (process, complaints) = patient.look().await.expect("it is called");
            known.extend((complaints > 2).then_some(process));
        }
        assert!(Instant::now() < end, "they are not known to be ill");
        sleep(Duration::from_millis(10)).await;
    }
}

#[anylith::test(Clinic, with(Bed { is_ill: AtomicBool::new(false), complaints: AtomicU32::new(0) }))]
async fn where_no_replica_is_healthy_all_are_called(builder: ClusterBuilder<Clinic>) {
    let cluster = builder.replicas("Patient", 2).start().await.unwrap();
    let (patient, nurse): (PatientClient, NurseClient) = (cluster.client(), cluster.client());
    all_fall_ill(&cluster, &patient).await;
    let beds = beds(&cluster);
    until_called(beds, || nurse.round()).await;
    let mut doctor = 0..;
    let doctors = std::cell::RefCell::new(&mut doctor);
    let see = || {
        let doctor = doctors.borrow_mut().next().unwrap();
        let patient = patient.clone();
        async move { patient.see(&format!("doctor-{doctor}")).await }
    };
    until_called(beds, see).await;
    // One who comes now is started, and calls.
    if cluster.topology().has_processes() {
        cluster.kill("Nurse-1").await;
    }
    until_called(beds, || nurse.round()).await;
    // With one that is well the others are left alone.
    let well = patient.feel(true).await.unwrap();
    let (mut in_a_row, end) = (0, Instant::now() + LONG);
    while in_a_row < 100 {
        assert!(Instant::now() < end, "those that are ill are called");
        let met = nurse.round().await.unwrap();
        in_a_row = if met == well { in_a_row + 1 } else { 0 };
        tokio::task::yield_now().await;
    }
    cluster.stop().await;
}
