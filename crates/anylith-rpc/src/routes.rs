//! The ways to a component: which connections lead to it, and which one a call takes.

use std::{
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anylith_core::{Address, Fingerprint, Name, Overload, Refusal};
use anylith_wire::{Failure, Readiness};
use arc_swap::{ArcSwap, Guard};
use tokio::time::timeout_at;

use crate::{
    balancer::{Fault, Health, Pool, Verdict, choose},
    connection::Connection,
    network::Shared,
    peer::Status,
    ring::Ring,
};

/// How long a call by a key waits for the first connection to the replica that the key belongs to, where others take calls
/// already; but for no longer than half of the time that it has.
const HOME_PATIENCE: Duration = Duration::from_secs(1);

/// Finds the ways to one component, and keeps them until the network changes.
#[derive(Debug)]
pub(crate) struct Routes {
    network: Arc<Shared>,
    component: Name,
    fingerprint: Fingerprint,
    known: ArcSwap<Known>,
    pool: Arc<Pool>,
    /// Calls that wait for a way. Over the limit on calls of one connection they are refused.
    waiting: AtomicUsize,
}

/// The ways at one version of the network.
#[derive(Debug, Default)]
struct Known {
    version: u64,
    /// To those that are well; where none is, to those that take calls all the same.
    open: Vec<Route>,
    /// The directory's replicas that keys belong to: not those for a burst, or each burst would give keys to others.
    places: Vec<Place>,
    /// When the last of them that may take calls in a moment is waited for no longer.
    opening: Option<Instant>,
    /// Made of their names when the first call by a key comes.
    ring: OnceLock<Ring>,
    /// Why replicas of the directory cannot be called.
    obstacles: Vec<Obstacle>,
    /// Where there is no way: when there was last a reason to hope for one, which is that a replica was new in
    /// the directory, or a connection to one was there.
    hoped: Option<Instant>,
    /// Whether there is no way because the component is on its way: then a call waits as long as it may.
    moving: bool,
}

/// A replica of the directory.
#[derive(Debug)]
struct Place {
    name: Name,
    /// Which of [`Known::open`] leads to it, if one does.
    open: Option<usize>,
    /// Where it was connected to just now, or is being for the first time: until when it counts as one that will take
    /// calls.
    opening: Option<Instant>,
}

/// A way to a component.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) connection: Arc<Connection>,
    /// The component's index on this connection.
    pub(crate) component: u16,
    /// Whether the replica was started for a burst of its calls.
    pub(crate) for_burst: bool,
}

impl Route {
    /// How the replica does with the component.
    pub(crate) fn health(&self) -> &Health {
        self.connection.health(self.component)
    }

    fn is_usable(&self) -> bool {
        self.connection.is_open()
    }
}

impl Known {
    /// The candidate that `key` belongs to.
    fn by_key(&self, key: u64, is_candidate: impl Fn(&Route) -> bool) -> Option<&Route> {
        let in_flight = |replica: usize| self.in_flight(&self.places[replica], &is_candidate);
        let found = &self.open[self.places[self.ring().find(key, in_flight)?].open?];
        found.health().take_probe();
        Some(found)
    }

    /// Until when a call waits for the replica that `key` belongs to, if that one may take calls in a moment.
    fn awaited(&self, key: u64, now: Instant) -> Option<Instant> {
        self.opening.filter(|until| now < *until)?;
        let awaited = |place: &Place| place.opening.filter(|until| now < *until);
        let in_flight = |replica: usize| {
            let place = &self.places[replica];
            let expected = awaited(place).map(|_| 0);
            expected.or_else(|| self.in_flight(place, Route::is_usable))
        };
        awaited(&self.places[self.ring().find(key, in_flight)?])
    }

    /// Notes that the last of the places is to be awaited.
    fn await_last(&mut self, until: Instant) {
        if let Some(place) = self.places.last_mut() {
            place.opening = Some(until);
        }
        self.opening = self.opening.max(Some(until));
    }

    fn ring(&self) -> &Ring {
        let names = || self.places.iter().map(|place| place.name.as_str());
        self.ring.get_or_init(|| Ring::new(names()))
    }

    /// How many calls a replica has, if it is one for calls by keys.
    fn in_flight(&self, place: &Place, is_candidate: impl Fn(&Route) -> bool) -> Option<u32> {
        let route = &self.open[place.open?];
        let health = route.health();
        // One that is left out is looked at by a call that is its own.
        let takes = is_candidate(route) && (health.is_in() || health.wants_probe());
        takes.then(|| health.in_flight())
    }
}

/// Why a replica cannot be called.
#[derive(Debug)]
pub(crate) enum Obstacle {
    /// It may pass.
    Passing {
        why: String,
        /// Since when, if the replica said so itself over a connection.
        since: Option<Instant>,
    },
    /// It has another version of the interface, or of the protocol.
    Incompatible(String),
}

impl Obstacle {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Passing { why, .. } | Self::Incompatible(why) => why,
        }
    }

    /// The same, with the replica that it is about.
    fn at(mut self, address: &Address) -> Self {
        let (Self::Passing { why, .. } | Self::Incompatible(why)) = &mut self;
        *why = format!("{} at {}: {why}", address.replica, address.endpoint);
        self
    }

    fn passing(why: impl Into<String>) -> Self {
        let (why, since) = (why.into(), None);
        Self::Passing { why, since }
    }
}

/// The way to `component` of a replica whose connection has this `status`, and whether calls fare well there; or what is in
/// the way. The interface is to look like `fingerprint`, where that is known.
pub(crate) fn way(
    status: Status,
    component: &Name,
    fingerprint: Option<Fingerprint>,
) -> Result<(Route, Readiness), Obstacle> {
    let connection = match status {
        Status::Open(connection) => connection,
        Status::Opening => return Err(Obstacle::passing("it did not greet yet")),
        Status::Failed(why) => return Err(Obstacle::passing(&*why)),
        Status::Incompatible(why) => return Err(Obstacle::Incompatible(why.to_string())),
    };
    if !connection.is_open() {
        return Err(Obstacle::Passing {
            why: "it is draining".to_owned(),
            since: connection.closed(),
        });
    }
    let mut served = connection.components().iter();
    let Some(index) = served.position(|one| one.name == *component) else {
        return Err(Obstacle::passing(format!("it does not serve {component}")));
    };
    let theirs = connection.components()[index].fingerprint;
    if let Some(ours) = fingerprint.filter(|ours| *ours != theirs) {
        return Err(Obstacle::Incompatible(format!(
            "the interface {component} has the fingerprint {ours} here and {theirs} there"
        )));
    }
    let (readiness, since) = connection.offers(index as u16);
    if readiness == Readiness::Closed {
        return Err(Obstacle::Passing {
            why: format!("it takes no calls for {component}"),
            since: Some(since),
        });
    }
    let route = Route {
        connection,
        component: index as u16,
        for_burst: false,
    };
    Ok((route, readiness))
}

/// Whether `changed` resolves before `until`, if that ever comes.
async fn changes(changed: impl Future<Output = ()>, until: Option<Instant>) -> bool {
    match until {
        Some(until) => timeout_at(until.into(), changed).await.is_ok(),
        None => {
            changed.await;
            true
        }
    }
}

impl Routes {
    pub(crate) fn new(network: Arc<Shared>, component: Name, fingerprint: Fingerprint) -> Self {
        let known = ArcSwap::default();
        let pool = network.pool(&component);
        Self {
            network,
            component,
            fingerprint,
            known,
            pool,
            waiting: AtomicUsize::new(0),
        }
    }

    pub(crate) fn component(&self) -> &Name {
        &self.component
    }

    /// The epoch of the directory that is known here.
    pub(crate) fn epoch(&self) -> u64 {
        self.network.directory().epoch
    }

    /// How long calls wait where there is no way.
    pub(crate) fn reach_timeout(&self) -> Duration {
        self.network.limits.reach_timeout()
    }

    /// The way for a call, if there is one now. `avoid` is taken only if it is the only one.
    ///
    /// A call with a key goes to the replica that has the key on the ring, and there is no way for it while that one
    /// is connected to for the first time; another one goes to the better one of two random replicas.
    pub(crate) fn pick(
        &self,
        key: Option<u64>,
        avoid: Option<&Arc<Connection>>,
        now: Instant,
    ) -> Option<Route> {
        let awaited = key.is_some() && avoid.is_none() && self.awaited(key, now).is_some();
        (!awaited).then(|| self.pick_now(key, avoid, now)).flatten()
    }

    /// The same, without regard to replicas that are not connected yet.
    fn pick_now(
        &self,
        key: Option<u64>,
        avoid: Option<&Arc<Connection>>,
        now: Instant,
    ) -> Option<Route> {
        let known = self.known();
        let many = match known.open.as_slice() {
            [] => return None,
            [only] => return only.is_usable().then(|| only.clone()),
            many => many,
        };
        if self.pool.is_due(now) {
            self.review(many, now);
        }
        let is_other = |route: &Route| {
            route.is_usable() && avoid.is_none_or(|avoid| !Arc::ptr_eq(avoid, &route.connection))
        };
        let best = match key {
            None => self.by_load(many, is_other),
            Some(key) => known.by_key(key, is_other),
        };
        // One that is left out is better than the one that failed just now, and that is better than none.
        best.or_else(|| many.iter().find(|route| is_other(route)))
            .or_else(|| many.iter().find(|route| route.is_usable()))
            .cloned()
    }

    /// The way to a replica that was started for a burst and has fewer calls than `inside`, as far as is known here: the
    /// better one of two random replicas, or one that is to be looked at.
    pub(crate) fn relief(&self, inside: u64, now: Instant) -> Option<Route> {
        let known = self.known();
        let is_relief = |route: &Route| route.for_burst && route.is_usable();
        if !known.open.iter().any(is_relief) {
            return None;
        }
        if self.pool.is_due(now) {
            self.review(&known.open, now);
        }
        let fewer = |route: &Route| u64::from(route.health().in_flight()) < inside;
        let is_candidate = |route: &Route| is_relief(route) && fewer(route);
        self.by_load(&known.open, is_candidate).cloned()
    }

    /// The ways as they are now.
    fn known(&self) -> Guard<Arc<Known>> {
        let known = self.known.load();
        // A peer that goes away is no change of the network, while it still answers calls.
        let all_gone = || !known.open.is_empty() && !known.open.iter().any(Route::is_usable);
        if known.version == self.network.version() && !all_gone() {
            return known;
        }
        self.known.store(Arc::new(self.look()));
        self.known.load()
    }

    /// Until when a call waits for the replica that its key belongs to, if it does.
    fn awaited(&self, key: Option<u64>, now: Instant) -> Option<Instant> {
        let known = self.known();
        // Where nobody takes calls there is nothing to be chosen.
        known.awaited(key.filter(|_| !known.open.is_empty())?, now)
    }

    /// The better one of two random candidates, or one that is to be looked at.
    fn by_load<'k>(
        &self,
        routes: &'k [Route],
        is_candidate: impl Fn(&Route) -> bool,
    ) -> Option<&'k Route> {
        if self.pool.wants_probe() {
            let mut routes = routes.iter();
            let probed = routes.find(|route| is_candidate(route) && route.health().take_probe());
            if probed.is_some() {
                return probed;
            }
        }
        let load = |index: usize| {
            let route = &routes[index];
            let health = route.health();
            (is_candidate(route) && health.is_in()).then(|| health.load())
        };
        let best = choose(routes.len(), load, |below| fastrand::usize(..below));
        best.map(|index| &routes[index])
    }

    /// Compares the replicas, and says who is left out and who comes back.
    fn review(&self, routes: &[Route], now: Instant) {
        let healths: Vec<&Health> = routes.iter().map(Route::health).collect();
        let component = &self.component;
        for verdict in self.pool.review(&healths, now) {
            let peer = |replica: usize| routes[replica].connection.peer();
            match verdict {
                Verdict::LeftOut {
                    replica,
                    pause,
                    why: Fault::NoBetter,
                } => {
                    let (peer, pause_ms) = (peer(replica), pause.as_millis() as u64);
                    tracing::debug!(%component, %peer, pause_ms, "it is left out for longer");
                }
                Verdict::LeftOut {
                    replica,
                    pause,
                    why,
                } => {
                    self.network.tally.ejected.up();
                    let (peer, pause_ms) = (peer(replica), pause.as_millis() as u64);
                    tracing::warn!(
                        %component, %peer, pause_ms,
                        "calls of {component} leave {peer} out for a while: {why}"
                    );
                }
                Verdict::Back { replica } => {
                    let peer = peer(replica);
                    tracing::info!(%component, %peer, "calls of {component} go to {peer} again");
                }
            }
        }
    }

    /// Since when all replicas say that they do not have the component, if all do.
    pub(crate) fn away_since(&self) -> Option<Instant> {
        let known = self.known.load();
        let usable = known.open.iter().filter(|route| route.is_usable());
        let since = usable.map(|route| route.health().away_since());
        since.collect::<Option<Vec<Instant>>>()?.into_iter().max()
    }

    /// That there is a circuit: no replica takes calls, although each of them answers.
    pub(crate) fn nobody_takes(&self, since: Instant) -> Failure {
        let known = self.known.load();
        let peers = known.open.iter().map(|route| route.connection.peer());
        let peers: Vec<&str> = peers.map(Name::as_str).collect();
        let (peers, seconds) = (peers.join(", "), since.elapsed().as_secs_f64());
        let component = &self.component;
        let text = format!("{peers}: no calls of {component} are taken, for {seconds:.1} s now");
        Failure::NotExecuted(Refusal::Unreachable(text))
    }

    /// Waits for a way until `deadline`: if nothing of the component runs until it is called, for as long as it takes to
    /// start one; if the directory says that it is on its way, as long; else while there is hope: [`Limits::reach_timeout`]
    /// from the last reason for it. So the calls of an outage wait, those in the midst of it fail at once, and a caller with a deadline of
    /// ten seconds is not held up for ten seconds by a callee that is gone.
    ///
    /// [`Limits::reach_timeout`]: anylith_core::Limits::reach_timeout
    pub(crate) async fn wait(
        &self,
        deadline: Option<Instant>,
        key: Option<u64>,
        avoid: Option<&Arc<Connection>>,
    ) -> Result<Route, Failure> {
        let limit = self.network.limits.calls_per_connection as usize;
        if self.waiting.fetch_add(1, Relaxed) >= limit {
            self.waiting.fetch_sub(1, Relaxed);
            self.network.tally.withheld.up();
            let overload = Overload::Connection;
            return Err(Failure::NotExecuted(Refusal::Overloaded(overload)));
        }
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Relaxed);
            }
        }
        let _waiting = Waiting(&self.waiting);
        let begun = Instant::now();
        let patience = deadline.map(|at| begun + at.saturating_duration_since(begun) / 2);
        loop {
            let mut changed = pin!(self.network.changed.notified());
            changed.as_mut().enable();
            let now = Instant::now();
            let awaited = self.awaited(key, now).filter(|_| avoid.is_none());
            let awaited = awaited.map(|until| patience.map_or(until, |at| until.min(at)));
            if let Some(until) = awaited.filter(|until| now < *until) {
                let _ = timeout_at(until.into(), changed).await;
                continue;
            }
            if let Some(route) = self.pick_now(key, avoid, now) {
                return Ok(route);
            }
            if let Some(detail) = self.incompatible() {
                return Err(Failure::Incompatible(detail));
            }
            // What is started for this call, or is on its way, is worth waiting for, as long as somebody has it in mind.
            let known = self.known.load();
            let wakes = self.network.wakes(&self.component);
            let hoped = known.hoped.unwrap_or_else(Instant::now);
            let patience = (!wakes).then(|| hoped + self.reach_timeout());
            let until = match deadline {
                Some(deadline) if known.moving => Some(deadline),
                _ => patience.into_iter().chain(deadline).min(),
            };
            if !changes(changed, until).await {
                let obstacle = if wakes {
                    self.sleeper(begun)
                } else {
                    self.obstacle(hoped)
                };
                return Err(Failure::NotExecuted(Refusal::Unreachable(obstacle)));
            }
        }
    }

    /// That what was asked for at `begun` is not there.
    fn sleeper(&self, begun: Instant) -> String {
        let (component, seconds) = (&self.component, begun.elapsed().as_secs_f64());
        format!(
            "nothing ran of {component}, and none that was started for this call is ready after {seconds:.1} s"
        )
    }

    /// Looks through the directory and the connections; begins to connect where that was not done yet.
    fn look(&self) -> Known {
        let mut known = Known {
            version: self.network.version(),
            ..Known::default()
        };
        // Each with the place of its replica's name, if keys belong to it.
        let (mut well, mut ill) = (Vec::new(), Vec::new());
        let mut hoped = self.network.unchanged_since(&self.component);
        let (directory, component) = (self.network.directory(), self.component.as_str());
        for address in directory.replicas(component) {
            let peer = self.network.peer(address);
            let for_burst = directory.is_for_burst(component, &address.replica);
            let place = (!for_burst).then_some(known.places.len());
            known.places.extend(place.map(|_| Place {
                name: address.replica.clone(),
                open: None,
                opening: None,
            }));
            hoped = hoped.max(peer.lost());
            let status = peer.status();
            // What it takes calls for it says after it has greeted.
            let expected = match &status {
                Status::Opening => true,
                Status::Open(connection) => connection.is_open(),
                Status::Failed(_) | Status::Incompatible(_) => false,
            };
            match way(status, &self.component, Some(self.fingerprint)) {
                Ok((route, readiness)) => {
                    let route = Route { for_burst, ..route };
                    match readiness {
                        Readiness::Well => well.push((place, route)),
                        _ => ill.push((place, route)),
                    }
                }
                Err(obstacle) => {
                    if let Obstacle::Passing { since, .. } = &obstacle {
                        hoped = since.map_or(hoped, |since| since.max(hoped));
                        if expected && place.is_some() {
                            known.await_last(peer.lost() + HOME_PATIENCE);
                        }
                    }
                    known.obstacles.push(obstacle.at(address));
                }
            }
        }
        for (place, route) in if well.is_empty() { ill } else { well } {
            if let Some(place) = place {
                known.places[place].open = Some(known.open.len());
            }
            known.open.push(route);
        }
        known.hoped = known.open.is_empty().then_some(hoped);
        known.moving = directory.is_moving(component);
        known
    }

    /// What is wrong, if every replica is incompatible.
    fn incompatible(&self) -> Option<String> {
        let known = self.known.load();
        let text = |obstacle: &Obstacle| match obstacle {
            Obstacle::Incompatible(text) => Some(text.clone()),
            Obstacle::Passing { .. } => None,
        };
        let texts: Option<Vec<String>> = known.obstacles.iter().map(text).collect();
        texts
            .filter(|texts| !texts.is_empty())
            .map(|texts| texts.join("; "))
    }

    /// What is in the way of calls, since `hoped`.
    fn obstacle(&self, hoped: Instant) -> String {
        let known = self.known.load();
        let seconds = hoped.elapsed().as_secs_f64();
        if known.moving {
            let component = &self.component;
            return format!("{component} is on its way to another place, for {seconds:.1} s now");
        }
        if known.obstacles.is_empty() {
            let (component, directory) = (&self.component, self.network.directory());
            // Where builds differ in it, those of the other build are left out.
            let which = match directory.interfaces.contains_key(component) {
                true => " whose interface is the one here",
                false => "",
            };
            let epoch = directory.epoch;
            return format!(
                "the directory (epoch {epoch}) has had no replica of {component}{which} for {seconds:.1} s"
            );
        }
        let texts = known.obstacles.iter().map(Obstacle::text);
        let texts = texts.collect::<Vec<_>>().join("; ");
        format!("{texts}; for {seconds:.1} s now")
    }
}
