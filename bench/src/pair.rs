//! A contestant's server and client, running, and rounds of several contestants in turn.

use std::{net::TcpListener, time::Duration};

use anyhow::Result;
use anylith_core::Endpoint;
use tempfile::TempDir;

use crate::{
    child::Child,
    contestant::{
        Method, Peer,
        certificates::{Certificates, ENV_CERTIFICATES},
    },
    control::{ControlPlane, Policy},
    role::{Part, Placement, Role},
    round::Round,
};

/// How long a round should take. Short, so that noise of the machine meets all contestants alike.
const ROUND: Duration = Duration::from_millis(100);

/// How many rounds each contestant runs.
pub(crate) const ROUNDS: usize = 21;

/// The kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Unix,
    Tcp,
}

/// A server and its client, ready to be measured.
pub(crate) struct Pair {
    client: Child,
    server: Child,
    _folder: TempDir,
}

/// What a call cost in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Processor time of both processes, in microseconds.
    pub(crate) cpu_us: f64,
    /// How long a round took for each of its calls, in microseconds: of one second, what one call takes.
    pub(crate) elapsed_us: f64,
    /// The median time of a call in microseconds, where calls were made one at a time.
    pub(crate) median_us: Option<f64>,
}

impl Pair {
    /// Starts both processes.
    pub(crate) fn start(peer: Peer, transport: Transport, placement: &Placement) -> Result<Self> {
        let folder = TempDir::with_prefix("bench-")?;
        let endpoint = match transport {
            Transport::Unix => Endpoint::Unix(folder.path().join("server.sock")),
            // The port is free again when the listener is dropped, and nobody else asked for it.
            Transport::Tcp => Endpoint::Tcp(TcpListener::bind("127.0.0.1:0")?.local_addr()?),
        };
        let role = |part| Role {
            part,
            placement: placement.clone(),
        };
        let (serving, calling) = match peer {
            Peer::Anylith => {
                // Nobody calls the caller, but a replica answers somewhere.
                let unused = Endpoint::Unix(folder.path().join("client.sock"));
                let control = ControlPlane::start(folder.path(), Policy::default())?;
                (
                    control.expect("Store", 1, endpoint.clone())?,
                    control.expect("Load", 1, unused)?,
                )
            }
            Peer::TonicTls => {
                let file = folder.path().join("certificates.json");
                Certificates::issue()?.write(&file)?;
                let known = vec![(ENV_CERTIFICATES, file.display().to_string())];
                (known.clone(), known)
            }
            _ => (Vec::new(), Vec::new()),
        };
        let serve = role(Part::Serve {
            peer,
            endpoint: endpoint.clone(),
        });
        let server = Child::start(&serve, &serving)?;
        let client = Child::start(&role(Part::Call { peer, endpoint }), &calling)?;
        Ok(Self {
            client,
            server,
            _folder: folder,
        })
    }

    fn measure(&mut self, round: Round) -> Result<(Cost, Duration)> {
        let before = self.server.cpu()?;
        let client = self.client.run(round)?;
        let server = self.server.cpu()? - before;
        let cost = Cost {
            cpu_us: (server + client.cpu).as_secs_f64() * 1e6 / client.calls as f64,
            elapsed_us: client.elapsed.as_secs_f64() * 1e6 / client.calls as f64,
            median_us: client.median.map(|median| median.as_secs_f64() * 1e6),
        };
        Ok((cost, client.elapsed))
    }

    /// Warms up, and finds how many calls fill a round.
    fn settle(&mut self, method: Method, callers: usize) -> Result<Round> {
        let mut round = Round {
            method,
            callers,
            calls_per_caller: 8,
        };
        loop {
            let (_, elapsed) = self.measure(round)?;
            if elapsed >= ROUND / 2 {
                let factor = ROUND.as_secs_f64() / elapsed.as_secs_f64();
                let calls = round.calls_per_caller as f64 * factor;
                return Ok(Round {
                    calls_per_caller: (calls as usize).max(1),
                    ..round
                });
            }
            round.calls_per_caller *= 2;
        }
    }
}

/// Runs rounds of all pairs in turn; returns the costs of each pair, round by round.
pub(crate) fn in_turn(
    pairs: &mut [Pair],
    method: Method,
    callers: usize,
) -> Result<Vec<Vec<Cost>>> {
    let rounds: Vec<Round> = pairs
        .iter_mut()
        .map(|pair| pair.settle(method, callers))
        .collect::<Result<_>>()?;
    let mut costs = vec![Vec::with_capacity(ROUNDS); pairs.len()];
    for _ in 0..ROUNDS {
        for (index, pair) in pairs.iter_mut().enumerate() {
            costs[index].push(pair.measure(rounds[index])?.0);
        }
    }
    Ok(costs)
}
