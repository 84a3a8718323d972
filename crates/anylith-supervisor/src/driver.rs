//! The loop of a supervisor: turns what happens into events, and carries out the actions.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::{self, File},
    future::pending,
    io,
    net::TcpListener,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use anylith_control::{Action, ControlPlane, Event, Exit, Memory, Notice, Spec, Timing};
use anylith_core::{Endpoint, Name};
use anylith_wire::control::{FromReplica, Request, ToReplica, encode};
use rustix::process::Signal;
use tokio::{
    net::UnixListener,
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinSet,
};

use crate::{
    answer::{Answer, Overview},
    connection::{self, Arrival, ConnectionId},
    door,
    log_file::{self, OwnLog},
    process::{self, Process},
    record::{Build, Program, Record},
    run_folder::RunFolder,
    supervisor::{Order, Progress, Report, Supervisor},
};

/// Arrivals that wait for the loop. When so many wait, connections are read more slowly.
const ARRIVALS: usize = 256;

/// Reports that a slow reader may leave unread; then it misses the oldest.
const REPORTS: usize = 256;

/// From so many failures in a row on, whoever waits for the start is told that it fails.
const START_FAILS: u32 = 4;

/// How long a connection may outlive its process. A child of it may have inherited the socket.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(200);

/// How often the logs are looked at for their size.
const TRIM_EVERY: Duration = Duration::from_secs(2);

/// What a report shows of a failed replica's log.
const LAST_LINES: usize = 10;

/// What is driven, and where.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) spec: Spec,
    pub(crate) program: Program,
    pub(crate) build: Build,
    pub(crate) addresses: BTreeMap<Name, String>,
    pub(crate) timing: Timing,
    pub(crate) folder: RunFolder,
    pub(crate) kill_on_drop: bool,
}

/// Drives one control plane until nothing of the application runs any more.
#[derive(Debug)]
pub(crate) struct Driver {
    plane: ControlPlane,
    folder: RunFolder,
    kill_on_drop: bool,
    /// As it was last written.
    record: Record,
    sockets: BTreeMap<Name, TcpListener>,
    processes: BTreeMap<Name, Process>,
    exits: JoinSet<(Name, u32, Exit)>,
    /// Processes that are over, while what they said last is still being read.
    parting: BTreeMap<Name, (u32, Exit)>,
    control: UnixListener,
    served: JoinSet<()>,
    arrivals: (mpsc::Sender<Arrival>, mpsc::Receiver<Arrival>),
    connections: BTreeMap<Name, Connection>,
    last_connection: ConnectionId,
    /// Those who asked for a stop, and wait for its end.
    stop_askers: Vec<oneshot::Sender<Answer>>,
    log: OwnLog,
    reports: broadcast::Sender<Report>,
    overview: watch::Sender<Overview>,
    progress: watch::Sender<Progress>,
    done: bool,
    /// Held as long as this supervisor is one.
    lock: File,
    /// Whether the next supervisor is this process too.
    keep_lock: bool,
}

/// The connection through which a replica is reached.
#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    peer: Option<u32>,
    outbox: mpsc::Sender<Vec<u8>>,
}

/// What the loop has waited for.
enum Wake {
    Arrival(Arrival),
    Ordered(Option<Order>),
    Exited(Name, u32, Exit),
    Tick,
    Trim,
}

impl Driver {
    /// Takes hold of the processes in `memory`, and of nothing else yet.
    pub(crate) fn new(
        deployment: Deployment,
        memory: &Memory,
        lost: &BTreeSet<Name>,
        sockets: BTreeMap<Name, TcpListener>,
        control: UnixListener,
        lock: File,
    ) -> Self {
        let Deployment {
            spec,
            program,
            build,
            addresses,
            timing,
            folder,
            kill_on_drop,
        } = deployment;
        let record = Record {
            spec: spec.clone(),
            program,
            build,
            addresses,
            memory: memory.clone(),
            started: BTreeMap::new(),
        };
        let now = Instant::now();
        let plane = ControlPlane::new(spec, timing, folder.sockets(), memory, lost, now);
        let overview = Overview {
            status: plane.status(&door::urls(&sockets)),
            notes: Vec::new(),
            supervisor: std::process::id(),
        };
        let mut driver = Self {
            plane,
            log: OwnLog::open(&folder.own_log()),
            folder,
            kill_on_drop,
            record,
            sockets,
            processes: BTreeMap::new(),
            exits: JoinSet::new(),
            control,
            served: JoinSet::new(),
            arrivals: mpsc::channel(ARRIVALS),
            connections: BTreeMap::new(),
            last_connection: 0,
            stop_askers: Vec::new(),
            reports: broadcast::channel(REPORTS).0,
            overview: watch::channel(overview).0,
            progress: watch::channel(Progress::Starting).0,
            done: false,
            lock,
            keep_lock: false,
            parting: BTreeMap::new(),
        };
        for (replica, past) in &memory.replicas {
            if let Some(pid) = past.pid {
                // If it is gone by now, the control plane misses its hello and starts another.
                let _ = Process::open(pid).and_then(|process| driver.watch(replica, process));
            }
        }
        driver
    }

    /// Runs in a task of its own. `first` is reported before anything else.
    pub(crate) fn start(mut self, first: Option<Report>) -> Supervisor {
        let (orders, ordered) = mpsc::channel(8);
        let (folder, overview, progress) = (
            self.folder.clone(),
            self.overview.subscribe(),
            self.progress.subscribe(),
        );
        let reports = self.reports.subscribe();
        if let Some(first) = first {
            self.report(first);
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

    /// Runs without anybody who gives orders; returns the lock, still held.
    pub(crate) async fn run(mut self) -> io::Result<File> {
        self.keep_lock = true;
        let (_orders, ordered) = mpsc::channel(1);
        self.take_orders(ordered).await
    }

    async fn take_orders(mut self, orders: mpsc::Receiver<Order>) -> io::Result<File> {
        let mut orders = Some(orders);
        let mut trim = tokio::time::interval(TRIM_EVERY);
        self.feed(Event::Tick, Instant::now());
        while !self.done {
            let wake = self.next(&mut orders, &mut trim).await;
            let now = Instant::now();
            match wake {
                Wake::Arrival(arrival) => self.arrived(arrival, now),
                Wake::Ordered(Some(Order::Stop)) => self.feed(Event::StopAsked, now),
                Wake::Ordered(Some(Order::Kill)) => self.feed(Event::KillAsked, now),
                Wake::Ordered(Some(Order::KillReplica(replica))) => self.kill(&replica),
                Wake::Ordered(None) => orders = None,
                Wake::Exited(replica, pid, exit) => self.exited(replica, pid, exit, now),
                Wake::Tick => self.feed(Event::Tick, now),
                Wake::Trim => log_file::trim_all(&self.folder.logs()),
            }
        }
        self.finish().await
    }

    async fn next(
        &mut self,
        orders: &mut Option<mpsc::Receiver<Order>>,
        trim: &mut tokio::time::Interval,
    ) -> Wake {
        loop {
            let tick = self.plane.next_tick();
            tokio::select! {
                Some(arrival) = self.arrivals.1.recv() => return Wake::Arrival(arrival),
                accepted = self.control.accept() => match accepted {
                    Ok((stream, _)) => {
                        self.last_connection += 1;
                        let (id, arrivals) = (self.last_connection, self.arrivals.0.clone());
                        self.served.spawn(async move {
                            // What is wrong with one connection is the other side's to find out.
                            let _ = connection::serve(stream, id, arrivals).await;
                        });
                    }
                    // No file descriptor is free; one will be.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                Some(_) = self.served.join_next() => {}
                order = receive(orders) => return Wake::Ordered(order),
                Some(Ok((replica, pid, exit))) = self.exits.join_next() => {
                    return Wake::Exited(replica, pid, exit);
                }
                () = until(tick) => return Wake::Tick,
                _ = trim.tick() => return Wake::Trim,
            }
        }
    }

    /// Gives the control plane an event, carries out what follows, and what follows from that.
    pub(crate) fn feed(&mut self, event: Event, now: Instant) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let actions = self.plane.on(event, now);
            self.remember();
            for action in actions {
                events.extend(self.carry_out(action));
            }
        }
        let overview = Overview {
            status: self.plane.status(&door::urls(&self.sockets)),
            notes: self.plane.notes(now),
            supervisor: std::process::id(),
        };
        self.overview.send_if_modified(|known| {
            let changed = *known != overview;
            *known = overview;
            changed
        });
    }

    /// Writes down what the control plane now wants remembered, before anything is done about it.
    fn remember(&mut self) {
        let memory = self.plane.memory();
        if memory == self.record.memory && self.folder.record().exists() {
            return;
        }
        let pids = memory.replicas.values().filter_map(|replica| replica.pid);
        let started = |pid| process::started_at(pid).map(|at| (pid, at));
        self.record.started = pids.filter_map(started).collect();
        self.record.memory = memory;
        if let Err(error) = self.record.write(&self.folder.record()) {
            self.report(Report::Forgetful {
                error: error.to_string(),
            });
        }
    }

    fn carry_out(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Spawn {
                replica,
                incarnation,
            } => Some(self.spawn(replica, incarnation)),
            Action::Send { replica, message } => {
                self.send(&replica, &message);
                None
            }
            Action::Publish(directory) => {
                let message = ToReplica::Directory(directory);
                let replicas: Vec<Name> = self.connections.keys().cloned().collect();
                replicas
                    .iter()
                    .for_each(|replica| self.send(replica, &message));
                None
            }
            Action::Kill { replica } => {
                self.kill(&replica);
                None
            }
            Action::Dismiss { replica } => {
                self.dismiss(&replica);
                None
            }
            Action::Examine { replica } => {
                let pid = self.processes.get(&replica).map(|process| process.pid);
                let traced = pid.is_some_and(process::is_traced);
                Some(Event::Examined { replica, traced })
            }
            Action::Shut { listener } => Some(Event::ListenerShut { listener }),
            Action::Bind { listener } => Some(self.bind(listener)),
            Action::Report(notice) => {
                self.notice(notice);
                None
            }
            Action::Done => {
                self.done = true;
                None
            }
        }
    }

    fn spawn(&mut self, replica: Name, incarnation: u64) -> Event {
        let (spec, program) = (self.plane.spec(), &self.record.program);
        let components = spec
            .groups
            .iter()
            .find(|group| group.replica_names().any(|name| name == replica));
        let served = components
            .map(|group| spec.listeners_of(group))
            .unwrap_or_default();
        let sockets: io::Result<BTreeMap<Name, TcpListener>> = served
            .into_keys()
            .filter_map(|name| self.sockets.get(&name).map(|socket| (name, socket)))
            .map(|(name, socket)| Ok((name, socket.try_clone()?)))
            .collect();
        let spawned = sockets
            .and_then(|sockets| {
                Process::spawn(program, &self.folder, &replica, incarnation, &sockets)
            })
            .and_then(|process| {
                let pid = process.pid;
                self.watch(&replica, process).map(|()| pid)
            });
        match spawned {
            Ok(pid) => Event::Spawned { replica, pid },
            Err(error) => {
                let path = self.record.program.path.display();
                Event::SpawnFailed {
                    replica,
                    error: format!("{path} could not be started: {error}"),
                }
            }
        }
    }

    fn watch(&mut self, replica: &Name, process: Process) -> io::Result<()> {
        let (name, pid, over) = (replica.clone(), process.pid, process.wait()?);
        self.exits.spawn(async move { (name, pid, over.await) });
        self.processes.insert(replica.clone(), process);
        Ok(())
    }

    fn bind(&mut self, listener: Name) -> Event {
        let address = self
            .record
            .addresses
            .get(&listener)
            .map_or("127.0.0.1:0", String::as_str);
        match door::bind(&listener, address) {
            Ok(socket) => {
                self.sockets.insert(listener.clone(), socket);
                Event::ListenerHeld { listener }
            }
            Err(error) => Event::ListenerFailed {
                listener,
                error: error.to_string(),
            },
        }
    }

    fn send(&mut self, replica: &Name, message: &ToReplica) {
        let Some(connection) = self.connections.get(replica) else {
            return;
        };
        let sent = encode(message).map(|bytes| connection.outbox.try_send(bytes).is_ok());
        if !matches!(sent, Ok(true)) {
            // Without its outbox the connection is closed. It comes again, and is told everything then.
            self.connections.remove(replica);
        }
    }

    fn kill(&self, replica: &Name) {
        if let Some(process) = self.processes.get(replica) {
            process.signal(Signal::KILL);
        }
    }

    /// Closes the connection of somebody who is not wanted, and ends him if he is a leftover.
    fn dismiss(&mut self, replica: &Name) {
        let Some(Connection {
            peer: Some(peer), ..
        }) = self.connections.remove(replica)
        else {
            return;
        };
        let wanted = self.processes.values().any(|process| process.pid == peer);
        // A test, for one, hosts its fakes in the same process as the supervisor.
        let own = peer == std::process::id();
        let ours = fs::read_link(format!("/proc/{peer}/exe"))
            .is_ok_and(|program| fs::canonicalize(&self.record.program.path).ok() == Some(program));
        if ours
            && !wanted
            && !own
            && let Ok(process) = Process::open(peer)
        {
            process.signal(Signal::KILL);
        }
    }

    fn notice(&mut self, notice: Notice) {
        let last_lines = match &notice {
            Notice::Failed { replica, .. } | Notice::CrashLoop { replica, .. } => {
                log_file::last_lines(&self.folder.log_of(replica), LAST_LINES)
            }
            _ => Vec::new(),
        };
        let progress = match &notice {
            Notice::Ready => Some(Progress::Ready),
            Notice::CrashLoop { failures, .. }
                if *failures >= START_FAILS && *self.progress.borrow() == Progress::Starting =>
            {
                let report = Report::Noticed {
                    notice: notice.clone(),
                    last_lines: last_lines.clone(),
                };
                Some(Progress::Failing(Box::new(report)))
            }
            _ => None,
        };
        self.report(Report::Noticed { notice, last_lines });
        if let Some(progress) = progress {
            self.progress.send_replace(progress);
        }
    }

    fn report(&mut self, report: Report) {
        self.log.write(&report);
        // That nobody listens is no error.
        let _ = self.reports.send(report);
    }

    fn arrived(&mut self, arrival: Arrival, now: Instant) {
        match arrival {
            Arrival::Connected {
                id,
                hello,
                peer,
                outbox,
            } => {
                let replica = hello.replica.clone();
                let connection = Connection { id, peer, outbox };
                let before = self.connections.insert(replica.clone(), connection);
                self.feed(Event::Hello(hello), now);
                // It was dismissed: who was there before is still the right one.
                if let (false, Some(before)) = (self.connections.contains_key(&replica), before) {
                    self.connections.insert(replica, before);
                }
            }
            Arrival::Said {
                id,
                replica,
                message,
            } if self.is_current(id, &replica) => match message {
                // It says once more who it is, now with the port that the system gave it.
                FromReplica::Hello(hello) if hello.replica == replica => {
                    self.feed(Event::Hello(hello), now);
                }
                FromReplica::Hello(_) => {}
                message => self.feed(Event::Said { replica, message }, now),
            },
            Arrival::Disconnected { id, replica } if self.is_current(id, &replica) => {
                self.connections.remove(&replica);
                self.feed(
                    Event::Disconnected {
                        replica: replica.clone(),
                    },
                    now,
                );
                if let Some((pid, exit)) = self.parting.remove(&replica) {
                    self.feed(Event::Exited { replica, pid, exit }, now);
                }
            }
            // Of a connection whose place another one has taken.
            Arrival::Said { .. } | Arrival::Disconnected { .. } => {}
            Arrival::Brought { listener, socket } => self.brought(listener, socket, now),
            Arrival::Asked { request, answer } => self.asked(request, answer, now),
        }
    }

    fn is_current(&self, id: ConnectionId, replica: &Name) -> bool {
        self.connections
            .get(replica)
            .is_some_and(|connection| connection.id == id)
    }

    fn brought(&mut self, listener: Name, socket: OwnedFd, now: Instant) {
        let wanted = self.plane.spec().listeners.contains_key(&listener);
        if wanted
            && !self.sockets.contains_key(&listener)
            && let Ok(socket) = door::take_over(socket)
        {
            self.sockets.insert(listener.clone(), socket);
            self.feed(Event::ListenerHeld { listener }, now);
        }
    }

    fn asked(&mut self, request: Request, answer: oneshot::Sender<Answer>, now: Instant) {
        match request {
            Request::Stop => {
                self.stop_askers.push(answer);
                self.feed(Event::StopAsked, now);
            }
            Request::Kill => {
                self.stop_askers.push(answer);
                self.feed(Event::KillAsked, now);
            }
            // Status, and what a later command may ask: how things are is never wrong.
            _ => {
                let mut overview = self.overview.borrow().clone();
                overview.notes = self.plane.notes(now);
                let _ = answer.send(Answer::Status(overview));
            }
        }
    }

    fn exited(&mut self, replica: Name, pid: u32, exit: Exit, now: Instant) {
        if self
            .processes
            .get(&replica)
            .is_some_and(|process| process.pid == pid)
        {
            self.processes.remove(&replica);
            let status = self
                .overview
                .borrow()
                .status
                .replica(replica.as_str())
                .cloned();
            if let Some(Endpoint::Unix(socket)) = status.and_then(|status| status.address) {
                let _ = fs::remove_file(socket);
            }
            // What it said last is still to be read, and tells more than its code.
            if self
                .connections
                .get(&replica)
                .is_some_and(|one| one.peer == Some(pid))
            {
                self.parting.insert(replica.clone(), (pid, exit));
                self.exits.spawn(async move {
                    tokio::time::sleep(LAST_WORDS_WITHIN).await;
                    (replica, pid, exit)
                });
                return;
            }
        }
        if self
            .parting
            .get(&replica)
            .is_some_and(|(parting, _)| *parting == pid)
        {
            self.parting.remove(&replica);
        }
        self.feed(Event::Exited { replica, pid, exit }, now);
    }

    /// Leaves nothing behind but the logs, and only then tells those who asked for the stop.
    async fn finish(mut self) -> io::Result<File> {
        let _ = fs::remove_file(self.folder.control_socket());
        let _ = fs::remove_file(self.folder.record());
        self.sockets.clear();
        if !self.keep_lock {
            let _ = self.lock.unlock();
        }
        for asker in self.stop_askers.drain(..) {
            let _ = asker.send(Answer::Stopped);
        }
        self.connections.clear();
        let answered = async { while self.served.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_millis(500), answered).await;
        self.progress.send_replace(Progress::Over);
        self.lock.try_clone()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.kill_on_drop {
            for process in self.processes.values() {
                process.signal(Signal::KILL);
            }
        }
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
