//! Places between replicas and those who connect to them, where bytes are held up, slowed down and cut.
//!
//! Each replica's Unix socket is moved aside, and one of ours takes its place: for every replica, and for those that are started
//! later, as soon as their socket is there. Only whoever has connected in that moment goes past it.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::net::{RecvFlags, recv};

use crate::cut::{Cutter, Passing, Place, Sweep};

/// How often a thread looks whether something has changed.
const LOOK: Duration = Duration::from_millis(2);

/// A file with this ending is the replica's own socket.
const BEHIND: &str = "behind";

/// How many bytes pass at once.
const CHUNK: usize = 16 * 1024;

/// The places before all replicas of a run. Dropping it closes them.
#[derive(Debug)]
pub(crate) struct Links {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    sweep: Arc<Sweep>,
    /// By replica: it stays when that is started again.
    weathers: Mutex<BTreeMap<String, Arc<Weather>>>,
}

/// What happens to the bytes before one replica.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    /// Nothing passes on this way, and nobody is told.
    held: [AtomicBool; 2],
    /// So many bytes pass in a second; 0 for all.
    bytes_per_s: [AtomicU64; 2],
    delay_ms: AtomicU64,
    /// Each connection is cut at a place of its own.
    cutting: AtomicBool,
    /// Grows whenever all connections are cut.
    cuts: AtomicU64,
    /// How many connections go through here now.
    open: AtomicU64,
    /// How many bytes have come through here.
    passed: AtomicU64,
    /// How often something of this happened to bytes that wanted to pass.
    met: AtomicU64,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// To the replica: requests.
    In = 0,
    /// From it: answers.
    Out = 1,
}

impl Links {
    /// Puts itself before every replica whose socket is in a folder `r` somewhere below `run`.
    pub(crate) fn before(run: &Path) -> Self {
        let shared = Arc::new(Shared::default());
        let links = Self {
            shared: Arc::clone(&shared),
        };
        let run = run.to_owned();
        shared.interpose(&run);
        thread::spawn(move || {
            while !shared.over.load(Relaxed) {
                shared.interpose(&run);
                thread::sleep(LOOK);
            }
        });
        links
    }

    /// One of the places before replicas of `groups`, and how its replica is called. It is one through which calls go: whoever
    /// connected before we were there goes past it.
    pub(crate) fn pick(&self, groups: &[&str], pick: u32) -> Option<(String, Arc<Weather>)> {
        let mut found = self.all(groups);
        found.retain(|(_, weather)| weather.open.load(Relaxed) > 0);
        let passed = |weather: &Weather| weather.passed.load(Relaxed);
        let most = found.iter().map(|(_, weather)| passed(weather)).max()?;
        found.retain(|(_, weather)| passed(weather) >= most / 4);
        let chosen = pick as usize % found.len().max(1);
        (!found.is_empty()).then(|| found.swap_remove(chosen))
    }

    /// All places before replicas of `groups`.
    pub(crate) fn all(&self, groups: &[&str]) -> Vec<(String, Arc<Weather>)> {
        let weathers = self.shared.weathers();
        let of = |name: &str| {
            name.split_once('-')
                .map_or(name, |(group, _)| group)
                .to_owned()
        };
        let found = weathers
            .iter()
            .filter(|(name, _)| groups.contains(&of(name).as_str()));
        found
            .map(|(name, weather)| (name.clone(), Arc::clone(weather)))
            .collect()
    }

    /// Where connections are cut that are to be.
    pub(crate) fn sweep(&self) -> Arc<Sweep> {
        Arc::clone(&self.shared.sweep)
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.shared.over.store(true, Relaxed);
    }
}

impl Weather {
    /// Holds everything up, or lets it pass again.
    pub(crate) fn hold(&self, way: Way, held: bool) {
        self.held[way as usize].store(held, Relaxed);
    }

    /// Lets so many bytes pass in a second; 0 for all.
    pub(crate) fn slow(&self, way: Way, bytes_per_s: u64) {
        self.bytes_per_s[way as usize].store(bytes_per_s, Relaxed);
    }

    /// Delays every byte.
    pub(crate) fn delay(&self, delay_ms: u64) {
        self.delay_ms.store(delay_ms, Relaxed);
    }

    /// Cuts every connection, and each that is made from now on at its place; or lets those be that are made from now on.
    pub(crate) fn cut_at_each_byte(&self, cutting: bool) {
        self.cutting.store(cutting, Relaxed);
        self.cuts.fetch_add(1, Relaxed);
    }

    /// How often bytes that wanted to pass were held up, delayed or slowed down.
    pub(crate) fn met(&self) -> u64 {
        self.met.load(Relaxed)
    }

    fn meet(&self) {
        self.met.fetch_add(1, Relaxed);
    }
}

impl Shared {
    /// Takes the place of every socket that is not ours.
    fn interpose(self: &Arc<Self>, run: &Path) {
        for socket in sockets(run) {
            let Some(name) = socket.file_stem().and_then(|name| name.to_str()) else {
                continue;
            };
            // `Target-1.7.sock`: the replica, and which of its processes.
            let replica = name.split('.').next().unwrap_or(name).to_owned();
            let behind = socket.with_extension(BEHIND);
            if behind.exists() || fs::rename(&socket, &behind).is_err() {
                continue;
            }
            let Ok(listener) = UnixListener::bind(&socket) else {
                continue;
            };
            let weather = Arc::clone(self.weathers().entry(replica).or_default());
            let shared = Arc::clone(self);
            thread::spawn(move || shared.accept(&listener, &behind, &weather));
        }
    }

    fn accept(&self, listener: &UnixListener, behind: &Path, weather: &Arc<Weather>) {
        if listener.set_nonblocking(true).is_err() {
            return;
        }
        while !self.over.load(Relaxed) {
            match listener.accept() {
                Ok((near, _)) => {
                    let _ = near.set_nonblocking(false);
                    // Where nobody is behind it any more, it is closed.
                    if let Ok(far) = UnixStream::connect(behind) {
                        let _ = self.connect(near, far, weather);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(LOOK),
                Err(_) => return,
            }
        }
    }

    fn connect(&self, near: UnixStream, far: UnixStream, weather: &Arc<Weather>) -> io::Result<()> {
        let cutting = weather.cutting.load(Relaxed);
        let place = cutting.then(|| self.sweep.take()).flatten();
        weather.open.fetch_add(1, Relaxed);
        let connection = Arc::new(Connection {
            weather: Arc::clone(weather),
            over: AtomicBool::new(false),
            cuts: weather.cuts.load(Relaxed),
            sweep: Arc::clone(&self.sweep),
        });
        let there = [near.try_clone()?, far.try_clone()?];
        let at = |way| place.filter(|place| place.way == way);
        connection.clone().carry(Way::In, there, at(Way::In));
        connection.carry(Way::Out, [far, near], at(Way::Out));
        Ok(())
    }

    fn weathers(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Weather>>> {
        self.weathers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sockets of replicas below `run`.
pub(crate) fn sockets(run: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(run.join("anylith")).into_iter().flatten();
    folders
        .flatten()
        .filter_map(|folder| fs::read_dir(folder.path().join("r")).ok())
        .flatten()
        .flatten()
        .map(|socket| socket.path())
        .filter(|path| path.extension().is_some_and(|it| it == "sock"))
        .collect()
}

/// One connection that goes through.
struct Connection {
    weather: Arc<Weather>,
    over: AtomicBool,
    /// The cuts of all connections that were before this one.
    cuts: u64,
    sweep: Arc<Sweep>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.weather.open.fetch_sub(1, Relaxed);
    }
}

impl Connection {
    /// Carries bytes in threads of its own, until either side is closed or no more may pass.
    fn carry(self: Arc<Self>, way: Way, [from, to]: [UnixStream; 2], place: Option<Place>) {
        let (chunks, arriving) = sync_channel(64);
        let (reading, writing) = (Arc::clone(&self), self);
        let Ok(target) = to.try_clone() else { return };
        let writer = thread::spawn(move || writing.write(way, target, &arriving));
        thread::spawn(move || {
            let cut = reading.read(way, &from, place, &chunks);
            // What was read still arrives.
            drop(chunks);
            let _ = writer.join();
            if let Some(place) = place {
                reading.sweep.give_back(place, cut.unwrap_or(false));
            }
            reading.over.store(true, Relaxed);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }

    /// Reads until one side is closed. Returns whether the connection was cut at its place.
    fn read(
        &self,
        way: Way,
        mut from: &UnixStream,
        place: Option<Place>,
        chunks: &SyncSender<(Instant, Vec<u8>)>,
    ) -> io::Result<bool> {
        from.set_read_timeout(Some(LOOK * 5))?;
        let mut cutter = place.map(Cutter::at);
        let mut bytes = vec![0; CHUNK];
        while !self.is_over() {
            if self.is_held(way) {
                if has_bytes(from) {
                    self.weather.meet();
                }
                thread::sleep(LOOK);
                continue;
            }
            let slow = self.weather.bytes_per_s[way as usize].load(Relaxed);
            let wanted = match slow {
                0 => CHUNK,
                // A hundredth of a second's at a time.
                slow => (slow as usize / 100).clamp(1, CHUNK),
            };
            if slow > 0 {
                thread::sleep(Duration::from_millis(10));
            }
            let read = match from.read(&mut bytes[..wanted]) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if is_timeout(&error) => continue,
                Err(error) => return Err(error),
            };
            self.weather.passed.fetch_add(read as u64, Relaxed);
            let delay = Duration::from_millis(self.weather.delay_ms.load(Relaxed));
            // There was as much as may pass: the rest waits.
            if !delay.is_zero() || slow > 0 && read == wanted {
                self.weather.meet();
            }
            let passing = match &mut cutter {
                Some(cutter) => cutter.pass(&bytes[..read]),
                None => Passing::All(bytes[..read].to_vec()),
            };
            let (passing, cut) = match passing {
                Passing::All(bytes) => (bytes, false),
                Passing::UpTo(bytes) => (bytes, true),
            };
            if chunks.send((Instant::now() + delay, passing)).is_err() {
                return Ok(false);
            }
            if cut {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn write(&self, way: Way, mut to: UnixStream, arriving: &Receiver<(Instant, Vec<u8>)>) {
        for (due, chunk) in arriving {
            while (Instant::now() < due || self.is_held(way)) && !self.is_over() {
                thread::sleep(LOOK / 2);
            }
            if self.is_over() || to.write_all(&chunk).is_err() {
                // Whoever writes learns it by its next write.
                self.over.store(true, Relaxed);
                return;
            }
        }
    }

    fn is_held(&self, way: Way) -> bool {
        self.weather.held[way as usize].load(Relaxed)
    }

    fn is_over(&self) -> bool {
        self.over.load(Relaxed) || self.weather.cuts.load(Relaxed) != self.cuts
    }
}

fn has_bytes(stream: &UnixStream) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    recv(stream, &mut [0_u8; 1], flags).is_ok_and(|(_, count)| count > 0)
}

fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}
