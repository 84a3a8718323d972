//! What a replica has of the data plane: its place in it, the directory, and the connections to others.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use anylith_core::{Address, Counters, Directory, Endpoint, Fingerprint, Limits, Name};
use anylith_wire::Identity;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::timeout,
};

use crate::{
    balancer::{Health, Pool},
    callee::Callee,
    connection::Driver,
    peer::Peer,
    policy::Policy,
    routes::{Obstacle, way},
    serve::Serve,
    server::{Room, Server},
    tally::Tally,
    tls::IdentityError,
    trust::{Membership, Trust},
};

/// How long calls may go on over connections that others are to take the place of.
const RENEWAL: Duration = Duration::from_secs(2);

/// The data plane as one replica sees it. Clones are the same network; when the last one and the last
/// [`Callee`] are dropped, its connections close.
#[derive(Debug, Clone)]
pub struct Network {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) trust: Arc<Trust>,
    directory: watch::Sender<Arc<Directory>>,
    /// When the directory last named other replicas of a component than before; those without an entry have
    /// been as they are since the network began.
    changes: Mutex<HashMap<Name, Instant>>,
    begun: Instant,
    /// The peers that were needed so far and are in the directory.
    peers: Mutex<HashMap<Address, Arc<Peer>>>,
    /// How the replicas of each component do.
    pools: Mutex<HashMap<Name, Arc<Pool>>>,
    /// One for each peer, and for each that is retired and still answers calls.
    tasks: Mutex<JoinSet<()>>,
    /// Grows whenever a call might find another way than before.
    version: AtomicU64,
    pub(crate) changed: Notify,
    /// Components of which nothing runs, and that calls wait for → the epoch in which the first of these came.
    wanted: watch::Sender<BTreeMap<Name, u64>>,
    pub(crate) tally: Arc<Tally>,
}

impl Network {
    /// The network of `replica`, with an empty directory. It calls for no component, and lets everybody call.
    pub fn new(replica: Name, limits: Limits) -> Self {
        Self::of(Membership::of(replica), limits)
    }

    /// The network of a replica as `membership` has it, with an empty directory.
    pub fn of(membership: Membership, limits: Limits) -> Self {
        let tally = Arc::<Tally>::default();
        let shared = Shared {
            limits,
            trust: Arc::new(Trust::new(membership, Arc::clone(&tally))),
            directory: watch::Sender::new(Arc::default()),
            changes: Mutex::default(),
            begun: Instant::now(),
            peers: Mutex::default(),
            pools: Mutex::default(),
            tasks: Mutex::default(),
            version: AtomicU64::new(1),
            changed: Notify::new(),
            wanted: watch::Sender::default(),
            tally,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Proves this replica with `identity` on each connection that is opened or accepted from now on. Those that are
    /// open stay as they are, with their calls.
    ///
    /// # Errors
    ///
    /// It is of no use, or somebody else's. What was set before goes on to be used.
    pub fn set_identity(&self, identity: &Identity) -> Result<(), IdentityError> {
        self.shared.trust.set_identity(identity)
    }

    /// Makes this replica one that calls for `components`, and proves it with `identity`; who may call which of its own
    /// is in `callers`. Connections that are open were greeted by another: in the place of each a new one is opened, and
    /// calls go over the old one until then. What serves is to do the same, by [`Server::renew`].
    ///
    /// # Errors
    ///
    /// The identity is of no use, or somebody else's. Nothing has changed.
    pub fn become_member(
        &self,
        components: Vec<Name>,
        callers: Option<BTreeMap<Name, Vec<Name>>>,
        identity: Option<&Identity>,
    ) -> Result<(), IdentityError> {
        self.shared
            .trust
            .become_member(components, callers, identity)?;
        self.shared.peers().values().for_each(|peer| peer.renew());
        Ok(())
    }

    /// Waits until no call goes over a connection that was greeted by what this replica was before
    /// [`Network::become_member`]: its callee would deny what the new components call. Where a new one cannot be opened in
    /// time, the old one takes no more calls.
    pub async fn renewed(&self) {
        let is_renewed = || {
            let peers = self.shared.peers();
            !peers
                .values()
                .any(|peer| peer.is_outdated(&self.shared.trust))
        };
        let renewed = async {
            loop {
                let mut changed = pin!(self.shared.changed.notified());
                changed.as_mut().enable();
                if is_renewed() {
                    return;
                }
                changed.await;
            }
        };
        if timeout(RENEWAL, renewed).await.is_err() {
            let peers = self.shared.peers();
            let outdated = peers
                .values()
                .filter(|peer| peer.is_outdated(&self.shared.trust));
            outdated.for_each(|peer| peer.give_up_connection());
        }
    }

    /// Begins to serve calls at `endpoint`.
    ///
    /// # Errors
    ///
    /// The endpoint cannot be bound, or it is a TCP endpoint and this replica has no identity.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn serve(&self, endpoint: &Endpoint, service: Arc<dyn Serve>) -> io::Result<Server> {
        self.shared.trust.allows(endpoint)?;
        Server::start(
            self.shared.trust.clone(),
            self.shared.limits.clone(),
            endpoint,
            service,
            Room::default(),
            self.shared.tally.clone(),
        )
    }

    /// Takes a directory, unless it is older than the one that is known. Returns whether it was taken.
    ///
    /// Connections to replicas that are no longer in it close once their calls are answered.
    pub fn update(&self, directory: Directory) -> bool {
        let directory = Arc::new(directory);
        let taken = self.shared.directory.send_if_modified(|known| {
            let newer = directory.epoch > known.epoch || (known.epoch == 0 && directory.epoch == 0);
            if newer {
                let before = std::mem::replace(known, directory.clone());
                self.shared.note_changes(&before, &directory);
            }
            newer
        });
        if taken {
            self.shared.forget_absent(&directory);
            self.shared.wanted.send_if_modified(|wanted| {
                let before = wanted.len();
                wanted.retain(|component, _| directory.is_asleep(component.as_str()));
                wanted.len() != before
            });
            self.shared.bump();
        }
        taken
    }

    /// The directory in use.
    pub fn directory(&self) -> Arc<Directory> {
        self.shared.directory()
    }

    /// How many calls of each component are under way from here to other processes.
    pub fn outgoing(&self) -> Vec<(Name, u64)> {
        let pools = self.shared.pools();
        let pools = pools.iter();
        let under_way = pools.map(|(component, pool)| (component.clone(), pool.in_flight()));
        under_way.filter(|(_, calls)| *calls > 0).collect()
    }

    /// What this replica had to decline, repeat or give up on, since the network began.
    pub fn counters(&self) -> Counters {
        self.shared.tally.read()
    }

    /// The directory in use, and each that follows it.
    pub fn watch(&self) -> watch::Receiver<Arc<Directory>> {
        self.shared.directory.subscribe()
    }

    /// The components that sleep by the directory and that calls wait for, as that changes, each with the epoch in
    /// which the first of these calls came: somebody is to start them. One stays among them until the directory says
    /// something else of it.
    pub fn wanted(&self) -> watch::Receiver<BTreeMap<Name, u64>> {
        self.shared.wanted.subscribe()
    }

    /// Waits until a replica of the directory takes calls for `component`, well or ill. Connects to those that were not
    /// needed before.
    ///
    /// A replica that speaks another version of the protocol counts as well: to wait for it would be in vain, and
    /// calls say what is wrong.
    ///
    /// # Cancellation
    ///
    /// The connections that were begun stay, and are kept open for calls.
    pub async fn offered(&self, component: &Name) {
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            if self.shared.is_offered(component) {
                return;
            }
            changed.await;
        }
    }

    /// Where the directory has `component`, and why it is not called there; `None` if it can be called. Connects to those
    /// that were not needed before.
    pub fn obstacles(&self, component: &Name) -> Option<Vec<(Address, String)>> {
        if self.shared.is_offered(component) {
            return None;
        }
        let directory = self.shared.directory();
        let obstacle = |address: &Address| {
            let way = way(self.shared.peer(address).status(), component, None);
            way.err()
                .map(|obstacle| (address.clone(), obstacle.text().to_owned()))
        };
        let replicas = directory.replicas(component.as_str());
        Some(replicas.iter().filter_map(obstacle).collect())
    }

    /// Whether there is a connection to every replica of the directory that was needed so far.
    pub fn is_connected(&self) -> bool {
        let peers = self.shared.peers();
        peers.values().all(|peer| peer.is_connected())
    }

    /// Waits until there is no connection to a replica of the directory that was needed.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn disconnected(&self) {
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            if !self.is_connected() {
                return;
            }
            changed.await;
        }
    }

    /// A handle for calls of `component`, whose interface looks like `fingerprint` here.
    ///
    /// Connections are opened when the first call is made.
    pub fn callee(&self, component: Name, fingerprint: Fingerprint) -> Callee {
        self.callee_by(component, fingerprint, Policy::default())
    }

    /// A handle for calls of `component`, whose interface looks like `fingerprint` here, which are retried, hedged and held
    /// back as `policy` has it. Connections are opened when the first call is made.
    pub fn callee_by(&self, component: Name, fingerprint: Fingerprint, policy: Policy) -> Callee {
        Callee::new(self.shared.clone(), component, fingerprint, policy)
    }
}

impl Shared {
    pub(crate) fn directory(&self) -> Arc<Directory> {
        self.directory.borrow().clone()
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(SeqCst)
    }

    /// Makes callees look anew for their ways, and wakes the calls that wait for one.
    pub(crate) fn bump(&self) {
        self.version.fetch_add(1, SeqCst);
        self.changed.notify_waiters();
    }

    /// The peer at `address`; begins to connect to it if it was not needed before.
    pub(crate) fn peer(self: &Arc<Self>, address: &Address) -> Arc<Peer> {
        let mut peers = self.peers();
        if let Some(peer) = peers.get(address) {
            return peer.clone();
        }
        let peer = Arc::new(Peer::new(address.clone()));
        // Who looks may hold a directory that was replaced just now: then nobody would ever retire this peer.
        if !names(&self.directory(), address) {
            return peer;
        }
        peers.insert(address.clone(), peer.clone());
        drop(peers);
        let network = Arc::downgrade(self);
        let keep = peer
            .clone()
            .keep_connected(network, self.trust.clone(), self.limits.clone());
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(keep);
        peer
    }

    /// Drives what has been replaced until its last call is answered.
    pub(crate) fn keep_until_over(&self, driver: Pin<Box<Driver>>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(async move { drop(driver.await) });
    }

    /// Whether nothing of `component` runs until it is called. If so, it counts as called.
    pub(crate) fn wakes(&self, component: &Name) -> bool {
        // Held, so that no other directory comes in between.
        let directory = self.directory.borrow();
        if !directory.is_asleep(component.as_str()) {
            return false;
        }
        self.wanted.send_if_modified(|wanted| {
            let is_new = !wanted.contains_key(component);
            if is_new {
                wanted.insert(component.clone(), directory.epoch);
            }
            is_new
        });
        true
    }

    fn is_offered(self: &Arc<Self>, component: &Name) -> bool {
        let directory = self.directory();
        // All of them are asked, so that a connection to each is begun.
        directory
            .replicas(component.as_str())
            .iter()
            .fold(false, |offered, address| {
                let offers = match way(self.peer(address).status(), component, None) {
                    Ok(_) | Err(Obstacle::Incompatible(_)) => true,
                    Err(Obstacle::Passing { .. }) => false,
                };
                offered || offers
            })
    }

    /// How the replicas of `component` do.
    pub(crate) fn pool(&self, component: &Name) -> Arc<Pool> {
        let mut pools = self.pools();
        if let Some(pool) = pools.get(component) {
            return Arc::clone(pool);
        }
        let pool = Arc::new(Pool::new(self.begun));
        pools.insert(component.clone(), Arc::clone(&pool));
        pool
    }

    /// How the replica at `address` does with `component`. Nothing is kept of what the directory does not have there,
    /// whatever the replica says of itself.
    pub(crate) fn health(&self, component: &Name, address: &Address) -> Arc<Health> {
        let directory = self.directory();
        if directory.replicas(component.as_str()).contains(address) {
            self.pool(component).health(address)
        } else {
            Arc::new(Health::new(self.begun))
        }
    }

    fn note_changes(&self, before: &Directory, after: &Directory) {
        let now = Instant::now();
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        for name in before.components.keys().chain(after.components.keys()) {
            if before.components.get(name) != after.components.get(name) {
                changes.insert(name.clone(), now);
            }
        }
    }

    /// Since when the directory names the replicas of `component` that it names.
    pub(crate) fn unchanged_since(&self, component: &Name) -> Instant {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.get(component).copied().unwrap_or(self.begun)
    }

    fn forget_absent(&self, directory: &Directory) {
        self.peers().retain(|address, peer| {
            let keep = names(directory, address);
            if !keep {
                peer.retire();
            }
            keep
        });
        self.pools().retain(|component, pool| {
            let replicas = directory.replicas(component.as_str());
            pool.keep(replicas);
            // A callee keeps its own, for the replicas that are still to come.
            !replicas.is_empty() || Arc::strong_count(pool) > 1
        });
    }

    fn pools(&self) -> MutexGuard<'_, HashMap<Name, Arc<Pool>>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<Address, Arc<Peer>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `directory` has anything at `address`.
fn names(directory: &Directory, address: &Address) -> bool {
    directory.addresses().any(|known| known == address)
}

#[cfg(test)]
mod tests;
