//! Calls between two processes: what they cost, beside what they cost with others.

use anyhow::Result;

use crate::{
    contestant::{Method, Peer},
    pair::{Cost, Pair, Transport, in_turn},
    ratio::Ratio,
    report::Report,
    role::Placement,
};

/// How many calls are in flight where many are.
const MANY: usize = 64;

/// The contestants of a measurement, ours first, then each peer with the bound of the ratio to it.
struct Field {
    method: Method,
    callers: usize,
    transport: Transport,
    placement: Placement,
    peers: &'static [(Peer, Option<f64>)],
}

impl Field {
    /// Runs the rounds and reports a ratio for each peer.
    fn measure(
        &self,
        report: &mut Report,
        name: &str,
        unit: &'static str,
        cost: fn(&Cost) -> f64,
    ) -> Result<()> {
        let mut names = vec![Peer::Anylith];
        names.extend(self.peers.iter().map(|(peer, _)| *peer));
        let mut pairs = Vec::new();
        for peer in &names {
            report.settings(*peer)?;
            pairs.push(Pair::start(*peer, self.transport, &self.placement)?);
        }
        let costs = in_turn(&mut pairs, self.method, self.callers)?;
        let costs: Vec<Vec<f64>> = costs
            .iter()
            .map(|rounds| rounds.iter().map(cost).collect())
            .collect();
        for ((peer, bound), peers) in self.peers.iter().zip(&costs[1..]) {
            let name = format!("{name} / {}", peer.name());
            report.ratio(&Ratio::new(
                name,
                unit,
                &costs[0],
                (peer.name(), peers),
                *bound,
            ))?;
        }
        Ok(())
    }
}

/// `get`: 64 calls in flight, then one, on one core.
pub(crate) fn get(report: &mut Report) -> Result<()> {
    let many = Field {
        method: Method::Get,
        callers: MANY,
        transport: Transport::Unix,
        placement: Placement::one_core()?,
        peers: &[
            (Peer::Tonic, Some(1.0 / 8.0)),
            (Peer::Tarpc, Some(1.0 / 2.0)),
        ],
    };
    many.measure(report, "get 64 in flight", "µs CPU", |cost| cost.cpu_us)?;
    let one = Field {
        callers: 1,
        peers: &[
            (Peer::Raw, Some(1.3)),
            (Peer::Tonic, None),
            (Peer::Tarpc, None),
        ],
        ..many
    };
    one.measure(report, "get one by one", "µs", |cost| {
        cost.median_us.unwrap_or(f64::NAN)
    })
}

/// `list`: 64 calls in flight, each answered with thirty products.
pub(crate) fn list(report: &mut Report) -> Result<()> {
    let field = Field {
        method: Method::List,
        callers: MANY,
        transport: Transport::Unix,
        placement: Placement::one_core()?,
        peers: &[(Peer::Tonic, Some(1.0 / 2.5)), (Peer::Tarpc, None)],
    };
    field.measure(report, "list 64 in flight", "µs CPU", |cost| cost.cpu_us)
}

/// `blob`: 64 KiB there and back, one at a time.
pub(crate) fn blob(report: &mut Report) -> Result<()> {
    let field = Field {
        method: Method::Blob,
        callers: 1,
        transport: Transport::Unix,
        placement: Placement::one_core()?,
        peers: &[
            (Peer::Tonic, Some(1.0 / 3.0)),
            (Peer::TonicLargeFrames, None),
            (Peer::Tarpc, None),
            (Peer::Raw, None),
        ],
    };
    field.measure(report, "blob one by one", "µs CPU", |cost| cost.cpu_us)
}

/// `get` as users run it: multi-thread runtimes on both sides.
pub(crate) fn get_mt(report: &mut Report) -> Result<()> {
    let field = Field {
        method: Method::Get,
        callers: MANY,
        transport: Transport::Unix,
        placement: Placement::multi_thread()?,
        peers: &[(Peer::Tonic, Some(1.0 / 6.0)), (Peer::Tarpc, None)],
    };
    field.measure(report, "get-mt 64 in flight", "µs CPU", |cost| cost.cpu_us)
}

/// `get` with mutual TLS on both sides, on one core and on two: how many calls a second go over one connection.
pub(crate) fn tls(report: &mut Report) -> Result<()> {
    let peers: &[(Peer, Option<f64>)] = &[(Peer::TonicTls, Some(1.0 / 3.0))];
    let one_core = Field {
        method: Method::Get,
        callers: MANY,
        transport: Transport::Tcp,
        placement: Placement::one_core()?,
        peers,
    };
    one_core.measure(report, "tls 64 in flight, one core", "µs a call", |cost| {
        cost.elapsed_us
    })?;
    let two_cores = Field {
        placement: Placement::multi_thread()?,
        ..one_core
    };
    two_cores.measure(report, "tls 64 in flight, two cores", "µs a call", |cost| {
        cost.elapsed_us
    })?;
    let blob = Field {
        method: Method::Blob,
        callers: 1,
        placement: Placement::one_core()?,
        peers: &[(Peer::TonicTls, None)],
        ..two_cores
    };
    blob.measure(report, "tls blob one by one", "µs CPU", |cost| cost.cpu_us)
}

/// `get` over TCP, to know. Ours has mutual TLS there, as it always has; the peers have none.
pub(crate) fn get_tcp(report: &mut Report) -> Result<()> {
    let field = Field {
        method: Method::Get,
        callers: MANY,
        transport: Transport::Tcp,
        placement: Placement::one_core()?,
        peers: &[(Peer::Tonic, None), (Peer::Tarpc, None)],
    };
    field.measure(report, "get-tcp 64 in flight", "µs CPU", |cost| {
        cost.cpu_us
    })
}
