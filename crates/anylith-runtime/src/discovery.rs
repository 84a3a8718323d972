//! Finds other replicas by the names of their groups in the DNS, where nobody says where they are.
//!
//! What a name means is known late, and cached on the way. So it is hope, as any directory without a control plane: whoever is
//! in it is called only once he has proven who he is and offered what is wanted, and leaves the moment he says so himself.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::Arc,
    thread,
    time::Duration,
};

use anylith_core::{Address, Directory, Endpoint};
use anylith_rpc::Network;
use anylith_telemetry::share;
use anylith_topology::MAX_REPLICAS;
use anylith_wire::{PeerGroup, control::ToReplica, replica_at};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};

/// How often names are looked up while all is well: as long as a cluster's DNS lets an answer be kept.
const SETTLED: Duration = Duration::from_secs(5);

/// The same while somebody is missing. Never is it done more often.
const RESTLESS: Duration = Duration::from_secs(1);

/// How long one look may take. The system asks every server of its own several times meanwhile.
const LOOK: Duration = Duration::from_secs(15);

/// Looks names up. The system does; a test has its own way.
pub(crate) trait Lookup: Send + Sync + 'static {
    /// All addresses of `host`.
    fn addresses(&self, host: &str) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send;
}

/// The system's resolver, with its files and its search path.
#[derive(Debug)]
pub(crate) struct System;

impl Lookup for System {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let (say, said) = oneshot::channel();
        let host = host.to_owned();
        // In a thread that nobody waits for: a process that ends is not to wait for a DNS that is away.
        let lookup = thread::Builder::new().name("anylith-lookup".to_owned());
        lookup.spawn(move || {
            let found = (host.as_str(), 0).to_socket_addrs();
            // Who has asked may have waited long enough.
            let _ = say.send(found.map(|found| found.map(|address| address.ip()).collect()));
        })?;
        said.await
            .unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
    }
}

/// Finds the replicas of some groups, and keeps finding them.
#[derive(Debug)]
pub(crate) struct Finder<L> {
    sought: Vec<Sought>,
    lookup: Arc<L>,
    epoch: u64,
}

/// A group, and what its name means as far as that is known.
#[derive(Debug)]
struct Sought {
    group: PeerGroup,
    addresses: BTreeSet<IpAddr>,
    /// Whether the last look brought nothing.
    is_missing: bool,
}

impl<L: Lookup> Finder<L> {
    pub(crate) fn new(groups: Vec<PeerGroup>, lookup: L) -> Self {
        let sought = groups.into_iter().map(|group| Sought {
            group,
            addresses: BTreeSet::new(),
            is_missing: false,
        });
        Self {
            sought: sought.collect(),
            lookup: Arc::new(lookup),
            epoch: 0,
        }
    }

    /// Looks the names up again and again, sooner where a connection of `network` is missing, and sends a directory whenever
    /// they mean something else. Ends when nobody takes these any more.
    pub(crate) async fn follow(mut self, network: Network, news: mpsc::Sender<ToReplica>) {
        loop {
            let look = async {
                let changed = self.look().await;
                if changed
                    && news
                        .send(ToReplica::Directory(self.directory()))
                        .await
                        .is_err()
                {
                    return;
                }
                self.rest(&network).await;
            };
            tokio::select! {
                () = look => {}
                () = news.closed() => return,
            }
        }
    }

    /// Waits until it is time for the next look.
    async fn rest(&self, network: &Network) {
        // Not all pods of a group that began together are to ask at the same time.
        let pause = |most: Duration| most.mul_f64(0.8 + 0.2 * share());
        sleep(pause(RESTLESS)).await;
        if self.sought.iter().any(|sought| sought.is_missing) {
            return;
        }
        tokio::select! {
            () = sleep(pause(SETTLED - RESTLESS)) => {}
            () = network.disconnected() => {}
        }
    }

    /// Looks every name up, at the same time. Returns whether any means something else than before. One that cannot be looked
    /// up means what it did.
    async fn look(&mut self) -> bool {
        let mut looks = JoinSet::new();
        for (at, sought) in self.sought.iter().enumerate() {
            let (lookup, host) = (Arc::clone(&self.lookup), sought.group.host.clone());
            looks.spawn(async move {
                let found = timeout(LOOK, lookup.addresses(&host)).await;
                (
                    at,
                    found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
                )
            });
        }
        let mut changed = false;
        while let Some(look) = looks.join_next().await {
            // It is aborted only with this, and does not panic.
            if let Ok((at, found)) = look {
                changed |= self.sought[at].take(found);
            }
        }
        changed
    }

    /// What is known now, as a directory that is newer than the one before.
    fn directory(&mut self) -> Directory {
        self.epoch += 1;
        let of = |sought: &Sought| {
            let replicas = sought.replicas();
            let components = sought.group.components.clone().into_iter();
            components.map(move |component| (component, replicas.clone()))
        };
        Directory::new(self.epoch, self.sought.iter().flat_map(of))
    }
}

impl Sought {
    /// Takes what a look has brought; returns whether that is news.
    fn take(&mut self, found: io::Result<Vec<IpAddr>>) -> bool {
        let host = &self.group.host;
        let found = match found {
            Ok(found) => usable(found),
            Err(error) => {
                if !std::mem::replace(&mut self.is_missing, true) {
                    let known = self.addresses.len();
                    tracing::warn!(target: "anylith", host, %error, known, "a name cannot be looked up; what it meant before stands");
                }
                return false;
            }
        };
        if std::mem::replace(&mut self.is_missing, found.is_empty()) && !found.is_empty() {
            tracing::info!(target: "anylith", host, "a name can be looked up again");
        }
        let changed = found != self.addresses;
        if changed {
            let (before, now) = (self.addresses.len(), found.len());
            tracing::debug!(target: "anylith", host, before, now, "a name means other addresses");
            self.addresses = found;
        }
        changed
    }

    fn replicas(&self) -> Vec<Address> {
        let at = |address: &IpAddr| {
            let endpoint = Endpoint::Tcp(SocketAddr::new(*address, self.group.port));
            let replica = replica_at(&self.group.group, *address)?;
            Some(Address { replica, endpoint })
        };
        let mut replicas: Vec<Address> = self.addresses.iter().filter_map(at).collect();
        replicas.sort();
        replicas
    }
}

/// Those of `found` at which somebody may be called, and of very many some.
fn usable(found: Vec<IpAddr>) -> BTreeSet<IpAddr> {
    let found = found.into_iter().map(|address| address.to_canonical());
    let all: BTreeSet<IpAddr> = found
        // Who connects to no address in particular meets himself.
        .filter(|address| !address.is_unspecified() && !address.is_multicast())
        .collect();
    all.into_iter().take(MAX_REPLICAS as usize).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use anylith_core::{Limits, Name};
    use tokio::time::Instant;

    use super::*;

    /// What is told, and when that was said.
    type Answer = (Instant, Vec<IpAddr>);

    /// Says what a test has told it, so much later.
    #[derive(Debug, Clone, Default)]
    struct Told {
        answers: Arc<Mutex<Vec<Answer>>>,
        lag: Duration,
    }

    impl Told {
        fn tell(&self, addresses: &[&str]) {
            let addresses = addresses.iter().map(|it| it.parse().unwrap()).collect();
            self.answers
                .lock()
                .unwrap()
                .push((Instant::now(), addresses));
        }
    }

    impl Lookup for Told {
        async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            let answers = self.answers.lock().unwrap();
            let mut known = answers.iter().rev();
            let known = known.find(|(since, _)| since.elapsed() >= self.lag);
            let known = known.map(|(_, addresses)| addresses.clone());
            known.ok_or_else(|| io::Error::other("no such name"))
        }
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn stock() -> PeerGroup {
        PeerGroup {
            group: name("rest"),
            host: "shop-rest-peers".to_owned(),
            port: 7400,
            components: vec![name("Stock"), name("Cart")],
        }
    }

    fn follow(told: &Told) -> mpsc::Receiver<ToReplica> {
        let (news, orders) = mpsc::channel(1);
        let network = Network::new(name("front-10-0-0-1"), Limits::default());
        tokio::spawn(Finder::new(vec![stock()], told.clone()).follow(network, news));
        orders
    }

    async fn directory(orders: &mut mpsc::Receiver<ToReplica>) -> Directory {
        match orders.recv().await {
            Some(ToReplica::Directory(directory)) => directory,
            other => panic!("no directory: {other:?}"),
        }
    }

    #[tokio::test]
    async fn the_system_knows_this_host_and_no_name_that_there_is_not() {
        let found = System.addresses("localhost").await.unwrap();
        assert!(
            found.iter().all(IpAddr::is_loopback) && !found.is_empty(),
            "{found:?}"
        );
        assert!(System.addresses("no name has a space").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn replicas_come_and_go_with_what_their_name_means() {
        let told = Told::default();
        told.tell(&["10.0.0.9", "10.0.0.8"]);
        let mut orders = follow(&told);
        let first = directory(&mut orders).await;
        let replicas = first.replicas("Cart");
        let names: Vec<&str> = replicas.iter().map(|it| it.replica.as_str()).collect();
        assert_eq!(names, ["rest-10-0-0-8", "rest-10-0-0-9"]);
        assert_eq!(replicas[0].endpoint.to_string(), "tcp:10.0.0.8:7400");
        assert_eq!(first.replicas("Stock"), replicas);
        told.tell(&["10.0.0.9"]);
        let second = directory(&mut orders).await;
        assert!(second.epoch > first.epoch);
        assert_eq!(second.replicas("Cart").len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_lags_behind_is_found_when_it_is_there() {
        let told = Told {
            lag: Duration::from_secs(5),
            ..Told::default()
        };
        told.tell(&["10.0.0.8"]);
        let begun = Instant::now();
        let mut orders = follow(&told);
        directory(&mut orders).await;
        // It was missing, so it was looked for each second.
        assert!(
            begun.elapsed() <= told.lag + RESTLESS,
            "{:?}",
            begun.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_cannot_be_looked_up_means_what_it_did() {
        let told = Told::default();
        told.tell(&["10.0.0.8"]);
        let mut orders = follow(&told);
        directory(&mut orders).await;
        told.answers.lock().unwrap().clear();
        sleep(SETTLED * 3).await;
        assert!(orders.try_recv().is_err(), "something is news");
        told.tell(&["10.0.0.8", "10.0.0.7"]);
        assert_eq!(directory(&mut orders).await.replicas("Cart").len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_not_looked_up_more_often_than_they_can_change() {
        #[derive(Debug, Clone, Default)]
        struct Counted(Arc<Mutex<u32>>);
        impl Lookup for Counted {
            async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
                *self.0.lock().unwrap() += 1;
                Ok(vec!["10.0.0.8".parse().unwrap()])
            }
        }
        let counted = Counted::default();
        let (news, mut orders) = mpsc::channel(1);
        let network = Network::new(name("front-10-0-0-1"), Limits::default());
        tokio::spawn(Finder::new(vec![stock()], counted.clone()).follow(network, news));
        directory(&mut orders).await;
        sleep(SETTLED * 20).await;
        let looks = *counted.0.lock().unwrap();
        assert!((20..=27).contains(&looks), "{looks} looks");
        drop(orders);
        sleep(SETTLED * 2).await;
        assert_eq!(
            *counted.0.lock().unwrap(),
            looks,
            "nobody takes what it finds"
        );
    }

    #[test]
    fn hostile_answers_bring_in_nobody_who_cannot_be_called() {
        let odd = ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "::ffff:0.0.0.0"];
        assert!(usable(odd.map(|it| it.parse().unwrap()).to_vec()).is_empty());
        let mapped = ["::ffff:10.0.0.1", "10.0.0.1"];
        assert_eq!(
            usable(mapped.map(|it| it.parse().unwrap()).to_vec()).len(),
            1
        );
        let many = (0..100_000_u32).map(|n| IpAddr::V4((0x0a00_0000 + n).into()));
        assert_eq!(usable(many.collect()).len(), MAX_REPLICAS as usize);
    }
}
