//! The engine: turns what happens on this machine into events, and carries out what the control plane wants.

mod room;
mod upgrade;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::{self, File},
    future::pending,
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use anylith_control::{Action, ControlPlane, Event, GroupSpec, GroupStatus, Refused, Spec, Timing};
use anylith_core::{Endpoint, Fingerprint, Name};
use anylith_pki::Subject;
use anylith_telemetry::{Survey, TraceId};
use anylith_wire::control::{FromReplica, Group, Identity, Request, ToReplica};
use rustix::process::Signal;
use tokio::{
    net::UnixListener,
    sync::{mpsc, oneshot},
    time::MissedTickBehavior,
};

use crate::{
    answer::{Answer, Overview},
    askers::Askers,
    builds::{Held, Kept},
    collector::{Collection, Collector},
    connection::Arrival,
    herald::Herald,
    identities::Identities,
    ledger::Ledger,
    listener_socket::ListenerSocket,
    listeners::Listeners,
    log_file,
    measures::{LOOK_EVERY, Measures},
    process::{self, Process, Start},
    processes::{End, Processes},
    record::{Build, Legacy, Program, Record, Shape},
    report::Report,
    run_folder::{self, RunFolder},
    supervisor::{Order, Retiring, Supervisor},
    switchboard::{Line, Switchboard},
};

/// How often the logs are looked at for their size, and what could not be done before is tried again: the state, the
/// certificate authority, certificates.
const CHORES_EVERY: Duration = Duration::from_secs(2);

/// How long what replicas have said at their end may take to be kept, and sent on.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// What is driven, and where.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) spec: Spec,
    /// The shape that was asked for when it was launched.
    pub(crate) launched: Option<Shape>,
    /// What replicas are told of the launch that they are of.
    pub(crate) mark: Fingerprint,
    pub(crate) program: Program,
    pub(crate) build: Build,
    pub(crate) kept: BTreeMap<u32, Kept>,
    pub(crate) addresses: BTreeMap<Name, String>,
    pub(crate) timing: Timing,
    pub(crate) folder: RunFolder,
    pub(crate) collection: Collection,
    pub(crate) kill_on_drop: bool,
    /// Where replicas need certificates.
    pub(crate) identities: Option<Identities>,
}

/// Carries out what one control plane wants, until nothing of the application runs any more.
#[derive(Debug)]
pub(crate) struct Engine {
    plane: ControlPlane,
    folder: RunFolder,
    ledger: Ledger,
    mark: Fingerprint,
    /// What was launched, or what that was which is adopted.
    held: Option<Held>,
    listeners: Listeners,
    processes: Processes,
    switchboard: Switchboard,
    identities: Option<Identities>,
    herald: Herald,
    askers: Askers,
    measures: Measures,
    collector: Collector,
    done: bool,
    /// Held as long as this supervisor is one.
    lock: File,
    /// Whether the next supervisor is this process too.
    keep_lock: bool,
}

/// What the engine has waited for.
enum Wake {
    Arrival(Arrival),
    Ordered(Option<Order>),
    Ended(End),
    Listener(Event),
    Tick,
    Look,
    Chores,
}

impl Engine {
    /// Watches the processes of the `legacy`, and does nothing else yet.
    pub(crate) fn new(
        deployment: Deployment,
        legacy: Legacy,
        lost: &BTreeSet<Name>,
        sockets: BTreeMap<Name, ListenerSocket>,
        control: UnixListener,
        lock: File,
    ) -> Self {
        let Deployment {
            spec,
            launched,
            mark,
            program,
            build,
            kept,
            addresses,
            timing,
            folder,
            collection,
            kill_on_drop,
            identities,
        } = deployment;
        let mut memory = legacy.memory;
        let mut processes = Processes::new(kill_on_drop);
        for (replica, process) in legacy.living {
            if processes.watch(&replica, process).is_err()
                && let Some(past) = memory.replicas.get_mut(&replica)
            {
                // It was ended, and nobody would say so: the control plane is to start another.
                past.pid = None;
            }
        }
        let (now, wanted) = (Instant::now(), spec.clone());
        let plane = ControlPlane::new(wanted, timing, folder.sockets(), &memory, lost, now);
        let record = Record {
            spec,
            launched,
            program,
            build,
            kept,
            addresses,
            memory,
            started: BTreeMap::new(),
        };
        let held = Held::find(&record);
        let listeners = Listeners::new(sockets);
        let overview = Overview {
            status: plane.status(&listeners.urls()),
            notes: Vec::new(),
            supervisor: std::process::id(),
            troubles: Vec::new(),
            change: None,
            underway: None,
        };
        let measures = Measures::of(&overview.status);
        let app = overview.status.app.clone();
        Self {
            plane,
            collector: Collector::start(app, folder.traces(), collection),
            herald: Herald::new(&folder, overview),
            ledger: Ledger::new(record, folder.record()),
            mark,
            held,
            folder,
            listeners,
            processes,
            switchboard: Switchboard::new(control),
            identities,
            askers: Askers::default(),
            measures,
            done: false,
            lock,
            keep_lock: false,
        }
    }

    /// Runs in a task of its own. `first` is reported before anything else.
    pub(crate) fn start(mut self, first: Option<Report>) -> Supervisor {
        let (orders, ordered) = mpsc::channel(8);
        let (folder, overview, progress) = (
            self.folder.clone(),
            self.herald.overview(),
            self.herald.progress(),
        );
        let reports = self.herald.reports();
        if let Some(first) = first {
            self.herald.report(first);
        }
        let task = tokio::spawn(async move {
            // Nobody needs the lock any more.
            let _ = self.take_orders(ordered).await;
        });
        Supervisor {
            folder,
            orders,
            overview,
            progress,
            reports,
            task,
        }
    }

    /// Stops everything in good order; returns the lock, still held. `tell` hears of what happens, and of what
    /// is waited for.
    pub(crate) async fn retire(mut self, tell: &mut impl FnMut(Retiring)) -> io::Result<File> {
        self.keep_lock = true;
        let (_orders, ordered) = mpsc::channel(1);
        let (mut reports, mut overview) = (self.herald.reports(), self.herald.overview());
        // Before all else: nothing is to be started that is missing.
        self.feed(Event::StopAsked, Instant::now());
        let mut over = std::pin::pin!(self.take_orders(ordered));
        loop {
            tokio::select! {
                biased;
                Ok(report) = reports.recv() => tell(Retiring::Report(report)),
                Ok(()) = overview.changed() => {
                    let now = overview.borrow_and_update().clone();
                    tell(Retiring::Overview(now));
                }
                lock = &mut over => return lock,
            }
        }
    }

    async fn take_orders(mut self, orders: mpsc::Receiver<Order>) -> io::Result<File> {
        let mut orders = Some(orders);
        let mut chores = tokio::time::interval(CHORES_EVERY);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.feed(Event::Tick, Instant::now());
        while !self.done {
            let wake = self.next(&mut orders, &mut looks, &mut chores).await;
            let now = Instant::now();
            match wake {
                Wake::Arrival(arrival) => self.arrived(arrival, now),
                Wake::Ordered(Some(Order::Stop)) => self.feed(Event::StopAsked, now),
                Wake::Ordered(Some(Order::Kill)) => self.feed(Event::KillAsked, now),
                Wake::Ordered(Some(Order::KillReplica(replica))) => self.processes.kill(&replica),
                Wake::Ordered(None) => orders = None,
                Wake::Ended(end) => self.ended(end, now),
                Wake::Listener(event) => self.feed(event, now),
                Wake::Tick => self.feed(Event::Tick, now),
                Wake::Look => {
                    let status = self.plane.status(&BTreeMap::new());
                    self.measures.look(&status, self.plane.spec(), now);
                }
                Wake::Chores => {
                    log_file::trim_all(&self.folder.logs());
                    if self.remember() && self.plane.awaits_keeping() {
                        self.feed(Event::Kept, now);
                    }
                    self.tend_identities();
                    self.herald.catch_up();
                    self.export(now);
                    self.herald.show(self.overview(now));
                }
            }
        }
        self.finish().await
    }

    async fn next(
        &mut self,
        orders: &mut Option<mpsc::Receiver<Order>>,
        looks: &mut tokio::time::Interval,
        chores: &mut tokio::time::Interval,
    ) -> Wake {
        let tick = self.plane.next_tick();
        tokio::select! {
            arrival = self.switchboard.next() => Wake::Arrival(arrival),
            order = receive(orders) => Wake::Ordered(order),
            end = self.processes.next_end() => Wake::Ended(end),
            event = self.listeners.next() => Wake::Listener(event),
            () = until(tick) => Wake::Tick,
            _ = looks.tick() => Wake::Look,
            _ = chores.tick() => Wake::Chores,
        }
    }

    /// Gives the control plane an event, carries out what follows, and what follows from that.
    fn feed(&mut self, event: Event, now: Instant) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let actions = self.plane.on(event, now);
            let is_kept = self.remember();
            for action in actions {
                events.extend(self.carry_out(action));
            }
            if is_kept && self.plane.awaits_keeping() {
                events.push_back(Event::Kept);
            }
        }
        self.herald.show(self.overview(now));
    }

    fn overview(&self, now: Instant) -> Overview {
        Overview {
            status: self.plane.status(&self.listeners.urls()),
            notes: self.plane.notes(now),
            supervisor: std::process::id(),
            troubles: self.troubles(),
            change: self.plane.change(),
            underway: self.plane.underway(),
        }
    }

    /// What cannot be written or issued now, in words.
    fn troubles(&self) -> Vec<String> {
        let identities = self.identities.iter().flat_map(Identities::troubles);
        let reports = self.ledger.trouble().into_iter().chain(identities);
        reports.map(|report| report.to_string()).collect()
    }

    /// Writes down what the control plane now wants remembered, before anything is done about it. What could
    /// not be written is tried again at the next event. Returns whether it is written.
    fn remember(&mut self) -> bool {
        if self.plane.underway().is_none() {
            self.ledger.is_over();
        }
        if let Some(report) = self.ledger.keep(self.plane.spec(), self.plane.memory()) {
            self.herald.report(report);
        }
        self.ledger.is_kept()
    }

    fn carry_out(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Spawn {
                replica,
                incarnation,
            } => return Some(self.spawn(replica, incarnation)),
            Action::Bind { listener } => self.bind(listener),
            Action::Examine { replica } => {
                let pid = self.processes.of(&replica).map(|process| process.pid);
                let traced = pid.is_some_and(process::is_traced);
                return Some(Event::Examined { replica, traced });
            }
            Action::Shut { listener } => return self.listeners.shut(listener),
            Action::Send {
                replica,
                mut message,
            } => {
                match &mut message {
                    ToReplica::Welcome(bootstrap) => {
                        bootstrap.identity = self.identity_of(&replica);
                    }
                    ToReplica::Start(additions) => {
                        additions.identity = self.identity_of(&replica);
                    }
                    _ => {}
                }
                if let Err(error) = self.switchboard.send(&replica, &message) {
                    self.herald.disconnected(replica, &error);
                }
            }
            Action::Publish(directory) => {
                let directory = ToReplica::Directory(directory);
                for (replica, error) in self.switchboard.publish(&directory) {
                    self.herald.disconnected(replica, &error);
                }
            }
            Action::Kill { replica } => self.processes.kill(&replica),
            Action::Dismiss { replica } => self.dismiss(&replica),
            Action::Report(notice) => {
                self.askers.hear(&notice);
                let components = |replica: &Name| self.plane.components_of(replica);
                self.measures.hear(&notice, components);
                self.herald.notice(notice);
            }
            Action::Done => self.done = true,
        }
        None
    }

    fn spawn(&mut self, replica: Name, incarnation: u64) -> Event {
        let program = match self.program_of(&replica) {
            Ok(program) => program,
            Err(error) => {
                let path = self.ledger.record().program.path.display();
                let error =
                    format!("another build is at {path} now, and its own cannot be kept: {error}");
                return Event::SpawnFailed { replica, error };
            }
        };
        let spec = self.plane.spec();
        let served = spec.listeners_of(&self.plane.components_of(&replica));
        let sockets = self.listeners.sockets(served.into_keys());
        self.herald.begins(&replica);
        // A replica without a log is better than none.
        let log = self.folder.open_log(&replica).map_err(|error| {
            let (replica, error) = (replica.clone(), error.to_string());
            self.herald.report(Report::NoLog { replica, error });
        });
        let start = Start {
            program: &program,
            control: &self.folder.control_socket(),
            replica: &replica,
            incarnation,
            launch: self.mark,
            log: log.ok(),
        };
        let spawned = sockets
            .and_then(|sockets| start.process(&sockets))
            .and_then(|process| {
                let pid = process.pid;
                self.processes.watch(&replica, process).map(|()| pid)
            });
        match spawned {
            Ok(pid) => Event::Spawned { replica, pid },
            Err(error) => {
                let path = program.path.display();
                Event::SpawnFailed {
                    replica,
                    error: format!("{path} could not be started: {error}"),
                }
            }
        }
    }

    /// A new identity for `replica`, where it needs one. Without it calls over TCP fail, and say why.
    fn identity_of(&mut self, replica: &Name) -> Option<Identity> {
        let subject = Subject {
            app: self.plane.spec().app.clone(),
            replica: replica.clone(),
            group: self.plane.group_of(replica)?.clone(),
            components: self.plane.components_of(replica),
        };
        let (identity, report) = self.identities.as_mut()?.issue(&subject);
        if let Some(report) = report {
            self.herald.report(report);
        }
        identity
    }

    /// Sends `replica`, which is connected, a new identity.
    fn send_identity(&mut self, replica: Name) {
        let Some(identity) = self.identity_of(&replica) else {
            return;
        };
        let message = ToReplica::Identity(identity);
        if let Err(error) = self.switchboard.send(&replica, &message) {
            self.herald.disconnected(replica, &error);
        }
    }

    /// Gives new identities to those who are due. One who cannot be sent his is cut off, and gets one when he comes again.
    fn tend_identities(&mut self) {
        let Some(identities) = &mut self.identities else {
            return;
        };
        let (due, report) = identities.tend(self.switchboard.connected());
        if let Some(report) = report {
            self.herald.report(report);
        }
        for replica in due {
            self.send_identity(replica);
        }
    }

    fn bind(&mut self, listener: Name) {
        let address = self.ledger.record().addresses.get(&listener);
        let address = address.map_or("127.0.0.1:0", String::as_str);
        self.listeners.bind(listener, address.to_owned());
    }

    /// Closes the connection of somebody who is not wanted, and ends him if he is a leftover.
    fn dismiss(&mut self, replica: &Name) {
        let Some(Line {
            peer: Some(peer), ..
        }) = self.switchboard.hang_up(replica)
        else {
            return;
        };
        // A test, for one, hosts its fakes in the same process as the supervisor.
        let own = peer == std::process::id();
        // Held before it is looked at: what is held keeps its number.
        let programs = self.ledger.record().programs();
        if !own
            && !self.processes.are_with(peer)
            && let Ok(process) = Process::open(peer)
            && (programs.iter().any(|path| process::runs(peer, path))
                || process::runs_within(peer, &self.folder.builds()))
        {
            process.signal(Signal::KILL);
        }
    }

    fn arrived(&mut self, arrival: Arrival, now: Instant) {
        match arrival {
            Arrival::Connected {
                id,
                hello,
                peer,
                outbox,
            } => {
                let (replica, runs) = (hello.replica.clone(), hello.endpoint.is_some());
                let line = Line { id, peer, outbox };
                let before = self.switchboard.connect(replica.clone(), line);
                self.feed(Event::Hello(hello), now);
                // One that was cut off may have missed its last renewal.
                if runs && self.switchboard.line(&replica).is_some() {
                    self.send_identity(replica.clone());
                }
                // It was dismissed: who was there before is still the right one.
                if let (None, Some(before)) = (self.switchboard.line(&replica), before) {
                    self.switchboard.connect(replica, before);
                }
            }
            Arrival::Said {
                id,
                replica,
                message,
            } if self.switchboard.is_current(id, &replica) => match message {
                // Nothing is decided by it.
                FromReplica::Measured { report } => self.measures.reported(&replica, *report),
                FromReplica::Spans {
                    spans,
                    wanted,
                    dropped,
                } => {
                    self.collector.told(&replica, spans, dropped);
                    self.recall(&replica, wanted);
                }
                message => self.feed(Event::Said { replica, message }, now),
            },
            Arrival::Disconnected { id, replica, error }
                if self.switchboard.is_current(id, &replica) =>
            {
                if let Some(error) = error {
                    self.herald.disconnected(replica.clone(), &error);
                }
                self.switchboard.hang_up(&replica);
                self.measures.cut_off(&replica);
                self.collector.cut_off(&replica);
                let left = self.processes.take_leave(&replica);
                self.feed(Event::Disconnected { replica }, now);
                if let Some(End { replica, pid, exit }) = left {
                    self.feed(Event::Exited { replica, pid, exit }, now);
                }
            }
            // Of a connection whose place another one has taken.
            Arrival::Said { .. } | Arrival::Disconnected { .. } => {}
            Arrival::Brought { listener, sockets } => self.brought(listener, sockets, now),
            Arrival::Fetched { listener, answer } => {
                let sockets = self.listeners.sockets([listener.clone()].into_iter());
                let socket = sockets.ok().and_then(|mut held| held.remove(&listener));
                // Where there is none, who asks is hung up on.
                let _ = socket.map(|socket| answer.send(socket));
            }
            Arrival::Stranger { uid, pid } => self.herald.stranger(uid, pid),
            Arrival::Asked { request, answer } => self.asked(request, answer, now),
        }
    }

    /// What was counted, in all.
    fn survey(&self) -> Survey {
        let status = self.plane.status(&self.listeners.urls());
        let telemetry = self.plane.spec().telemetry;
        let mut survey = self.measures.survey(&status, telemetry.metrics);
        survey.spans = telemetry.traces.on.then(|| self.collector.counts());
        survey
    }

    /// Sends what was counted on, if it is time.
    fn export(&mut self, now: Instant) {
        if self.collector.is_due(now) {
            let survey = self.survey();
            self.collector.export(survey, now);
        }
    }

    /// Tells all others that `replica` has found these traces to be worth keeping.
    fn recall(&mut self, replica: &Name, traces: Vec<TraceId>) {
        if traces.is_empty() {
            return;
        }
        let message = ToReplica::Recall { traces };
        for other in self.collector.others(replica) {
            if let Err(error) = self.switchboard.send(&other, &message) {
                self.herald.disconnected(other, &error);
            }
        }
    }

    fn brought(&mut self, listener: Name, sockets: Vec<OwnedFd>, now: Instant) {
        let wanted = self.plane.spec().listeners.contains_key(&listener);
        if wanted && self.listeners.take_over(&listener, sockets) {
            self.feed(Event::ListenerHeld { listener }, now);
        }
    }

    fn asked(&mut self, request: Request, answer: oneshot::Sender<Answer>, now: Instant) {
        match request {
            Request::Stop => {
                self.askers.ask_stop(answer);
                self.feed(Event::StopAsked, now);
            }
            Request::Kill => {
                self.askers.ask_stop(answer);
                self.feed(Event::KillAsked, now);
            }
            Request::Restart { group } => {
                let allowed = self.plane.check_restart(group.as_ref());
                let allowed = self.with_room(allowed, 0);
                if self.askers.ask_change(allowed, answer) {
                    self.feed(Event::RestartAsked { group }, now);
                }
            }
            Request::Scale {
                groups,
                dry_run: true,
            } if let Ok(plan) = self.plane.plan_scale(&groups) => {
                let plan = plan.weighed(&self.memory_used());
                let _ = answer.send(Answer::Plan(plan));
            }
            Request::Scale { groups, .. } => {
                let allowed = self.plane.check_scale(&groups);
                let replicas = groups.values().map(|size| u64::from(size.most())).sum();
                let allowed = self.with_room(allowed, replicas);
                if self.askers.ask_change(allowed, answer) {
                    self.feed(Event::ScaleAsked { groups }, now);
                }
            }
            Request::Reshape {
                topology,
                groups,
                dry_run,
            } => self.asked_to_reshape(topology, groups, dry_run, answer, now),
            Request::Upgrade(upgrade) => self.asked_to_upgrade(*upgrade, answer, now),
            Request::Steer(steer) => self.asked_to_steer(steer, answer, now),
            Request::Metrics => {
                let _ = answer.send(Answer::Metrics(Box::new(self.survey())));
            }
            Request::Look(look) => {
                let seen = self.measures.seen(&look);
                let _ = answer.send(Answer::Seen(Box::new(seen)));
            }
            // How things are is never wrong.
            Request::Status | Request::Unknown => {
                let _ = answer.send(Answer::Status(self.overview(now)));
            }
        }
    }

    fn asked_to_reshape(
        &mut self,
        topology: Name,
        groups: Vec<Group>,
        dry_run: bool,
        answer: oneshot::Sender<Answer>,
        now: Instant,
    ) {
        let bursts = groups.iter().flat_map(|group| &group.bursts);
        let bursts: Vec<GroupSpec> = bursts.map(GroupSpec::of_burst).collect();
        let groups: Vec<GroupSpec> = groups.into_iter().map(group_spec).chain(bursts).collect();
        match self.plane.check_reshape(&topology, &groups) {
            Ok(plan) if dry_run => {
                let plan = plan.weighed(&self.memory_used());
                let _ = answer.send(Answer::Plan(plan));
            }
            // What is asked for is so already.
            Err(Refused::Same { .. }) => {
                let left = Vec::new();
                let _ = answer.send(Answer::Changed { left });
            }
            allowed => {
                let replicas = groups.iter().map(|group| u64::from(group.replicas)).sum();
                let allowed = self.with_room(allowed.map(drop), replicas);
                if self.askers.ask_change(allowed, answer) {
                    self.feed(Event::ReshapeAsked { topology, groups }, now);
                }
            }
        }
    }

    /// Group → what each of its replicas has of memory now, in bytes.
    fn memory_used(&self) -> BTreeMap<Name, Vec<u64>> {
        let groups = self.plane.status(&BTreeMap::new()).groups.into_iter();
        let used = |group: GroupStatus| {
            let pids = group.replicas.iter().filter_map(|replica| replica.pid);
            let pids = pids.filter_map(process::resident_bytes);
            (group.name, pids.collect())
        };
        groups.map(used).collect()
    }

    fn ended(&mut self, end: End, now: Instant) {
        let shown = self.herald.shown();
        let replica = shown.status.replica(end.replica.as_str());
        if let Some(replica) = replica
            && replica.pid == Some(end.pid)
            && let Some(Endpoint::Unix(socket)) = &replica.address
        {
            let _ = fs::remove_file(socket);
        }
        // What it said last is still to be read, and tells more than its code.
        let line = self.switchboard.line(&end.replica);
        let talking = line.is_some_and(|line| line.peer == Some(end.pid));
        if let Some(End { replica, pid, exit }) = self.processes.ended(end, talking) {
            self.feed(Event::Exited { replica, pid, exit }, now);
        }
    }

    /// Leaves nothing behind but the logs, and only then tells those who asked for the stop.
    async fn finish(mut self) -> io::Result<File> {
        let _ = fs::remove_file(self.folder.control_socket());
        self.ledger.remove();
        let _ = fs::remove_dir_all(self.folder.authority());
        let _ = fs::remove_dir_all(self.folder.builds());
        // Sockets of replicas that were killed, by whomever.
        let _ = run_folder::sweep(&self.folder.sockets());
        self.listeners.close();
        if !self.keep_lock {
            let _ = self.lock.unlock();
        }
        self.askers.stopped();
        let lock = self.lock.try_clone();
        if self.collector.exports() {
            let survey = self.survey();
            self.collector.export(survey, Instant::now());
        }
        self.collector.finish(LAST_SPANS).await;
        self.switchboard.close().await;
        self.herald.end();
        lock
    }
}

fn group_spec(group: Group) -> GroupSpec {
    GroupSpec {
        name: group.name,
        components: group.components,
        replicas: group.replicas,
        scaling: group.scaling,
        burst: false,
        external: false,
    }
}

async fn receive(orders: &mut Option<mpsc::Receiver<Order>>) -> Option<Order> {
    match orders {
        Some(orders) => orders.recv().await,
        None => pending().await,
    }
}

async fn until(tick: Option<Instant>) {
    match tick {
        Some(tick) => tokio::time::sleep_until(tick.into()).await,
        None => pending().await,
    }
}
