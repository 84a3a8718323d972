//! What came of a load: how long requests took, and what was wrong with them.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::Exchange;

/// A kind of request; requests of one kind cost the shop about the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestKind {
    /// `GET /`.
    Home,
    /// `GET /product/{id}`.
    Product,
    /// `GET /cart`.
    Cart,
    /// `POST /cart`.
    Add,
    /// `POST /setCurrency`.
    SetCurrency,
    /// `POST /cart/checkout`.
    Checkout,
}

impl RequestKind {
    /// Whether it may be made twice.
    pub fn changes_nothing(self) -> bool {
        match self {
            Self::Home | Self::Product | Self::Cart => true,
            Self::Add | Self::SetCurrency | Self::Checkout => false,
        }
    }
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Home => "GET /",
            Self::Product => "GET /product/{id}",
            Self::Cart => "GET /cart",
            Self::Add => "POST /cart",
            Self::SetCurrency => "POST /setCurrency",
            Self::Checkout => "POST /cart/checkout",
        })
    }
}

/// How many examples of a failure are kept.
const SAMPLES: usize = 3;

/// The longest time that is told from longer ones, in microseconds.
const LONGEST_US: u64 = 600_000_000;

/// Counts of one kind of request.
#[derive(Debug)]
struct Tally {
    /// In microseconds; failed requests are in it too.
    times: Histogram<u64>,
    failed: u64,
}

impl Default for Tally {
    fn default() -> Self {
        let times = Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are in order");
        Self { times, failed: 0 }
    }
}

/// Everything that was counted.
#[derive(Debug, Default)]
pub struct Report {
    tallies: BTreeMap<RequestKind, Tally>,
    failures: HashMap<(RequestKind, String), Failure>,
    refused_cards: u64,
    tasks: u64,
    /// Each request, if that is kept.
    history: Option<Vec<Exchange>>,
    /// For how long was counted.
    pub(crate) length: Duration,
}

/// A way in which requests of one kind failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The kind of request.
    pub request: String,
    /// What was wrong, without what differs from one request to the next.
    pub what: String,
    /// How often.
    pub count: u64,
    /// The first of them, in full.
    pub samples: Vec<String>,
}

/// The times of a kind of request, or of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "their names say it")]
pub struct Figures {
    pub count: u64,
    pub failed: u64,
    pub per_second: f64,
    pub mean_us: u64,
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
}

impl Report {
    /// Nothing yet; `with_history` keeps every request.
    pub(crate) fn new(with_history: bool) -> Self {
        Self {
            history: with_history.then(Vec::new),
            ..Self::default()
        }
    }

    /// Counts a request.
    pub(crate) fn add(&mut self, exchange: Exchange) {
        let kind = exchange.kind;
        let tally = self.tallies.entry(kind).or_default();
        let time = u64::try_from(exchange.took.as_micros()).unwrap_or(LONGEST_US);
        tally.times.saturating_record(time.max(1));
        if let Some(wrong) = &exchange.wrong {
            self.add_failure(kind, wrong);
        }
        if let Some(history) = &mut self.history {
            history.push(exchange);
        }
    }

    fn add_failure(&mut self, kind: RequestKind, wrong: &str) {
        let tally = self.tallies.entry(kind).or_default();
        tally.failed += 1;
        let what = without_details(wrong);
        let failure = self
            .failures
            .entry((kind, what.clone()))
            .or_insert_with(|| Failure {
                request: kind.to_string(),
                what,
                count: 0,
                samples: Vec::new(),
            });
        failure.count += 1;
        if failure.samples.len() < SAMPLES {
            failure.samples.push(wrong.to_owned());
        }
    }

    /// Counts a card that the shop refused, as it should.
    pub(crate) fn add_refused_card(&mut self) {
        self.refused_cards += 1;
    }

    /// Counts a task that was done.
    pub(crate) fn add_task(&mut self) {
        self.tasks += 1;
    }

    /// Every request that was counted, in the order of their ends; empty unless [`Load::history`](crate::Load::history)
    /// asks for it.
    pub fn history(&self) -> &[Exchange] {
        self.history.as_deref().unwrap_or_default()
    }

    /// How many requests were counted.
    pub fn requests(&self) -> u64 {
        self.tallies.values().map(|tally| tally.times.len()).sum()
    }

    /// How many of them failed: no answer, another status than expected, or a page that is wrong.
    pub fn failed(&self) -> u64 {
        self.tallies.values().map(|tally| tally.failed).sum()
    }

    /// How many tasks were done.
    pub fn tasks(&self) -> u64 {
        self.tasks
    }

    /// How many cards were refused as expected; those are no failures.
    pub fn refused_cards(&self) -> u64 {
        self.refused_cards
    }

    /// Every way in which requests failed, the most frequent first.
    pub fn failures(&self) -> Vec<Failure> {
        let mut failures: Vec<_> = self.failures.values().cloned().collect();
        failures.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.what.cmp(&b.what)));
        failures
    }

    /// The figures of one kind of request; `None` if there was none.
    pub fn figures(&self, kind: RequestKind) -> Option<Figures> {
        self.tallies
            .get(&kind)
            .map(|tally| self.figures_of(&tally.times, tally.failed))
    }

    /// The figures of all requests together.
    pub fn all(&self) -> Figures {
        let mut all = Tally::default();
        for tally in self.tallies.values() {
            all.times
                .add(&tally.times)
                .expect("all histograms have the same bounds");
            all.failed += tally.failed;
        }
        self.figures_of(&all.times, all.failed)
    }

    fn figures_of(&self, times: &Histogram<u64>, failed: u64) -> Figures {
        let per_second = times.len() as f64 / self.length.as_secs_f64().max(f64::MIN_POSITIVE);
        Figures {
            count: times.len(),
            failed,
            per_second,
            mean_us: times.mean() as u64,
            p50_us: times.value_at_quantile(0.5),
            p90_us: times.value_at_quantile(0.9),
            p99_us: times.value_at_quantile(0.99),
            p999_us: times.value_at_quantile(0.999),
            max_us: times.max(),
        }
    }

    /// All of it, for programs to read.
    pub fn to_json(&self) -> serde_json::Value {
        let kinds: BTreeMap<String, Figures> = self
            .tallies
            .iter()
            .map(|(kind, tally)| {
                (
                    kind.to_string(),
                    self.figures_of(&tally.times, tally.failed),
                )
            })
            .collect();
        serde_json::json!({
            "length_ms": self.length.as_millis() as u64,
            "tasks": self.tasks,
            "refused_cards": self.refused_cards,
            "all": self.all(),
            "requests": kinds,
            "failures": self.failures(),
        })
    }
}

impl fmt::Display for Report {
    /// A table, and under it what failed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<20}{:>9}{:>10}{:>8}",
            "request", "count", "per s", "failed"
        )?;
        for heading in ["p50", "p90", "p99", "p99.9", "max"] {
            write!(f, "{heading:>12}")?;
        }
        writeln!(f)?;
        let kinds = self.tallies.iter();
        let kinds = kinds.map(|(kind, tally)| {
            (
                kind.to_string(),
                self.figures_of(&tally.times, tally.failed),
            )
        });
        for (name, figures) in kinds.chain([("all".to_owned(), self.all())]) {
            let Figures {
                count,
                failed,
                per_second,
                ..
            } = figures;
            write!(f, "{name:<20}{count:>9}{per_second:>10.1}{failed:>8}")?;
            let Figures {
                p50_us,
                p90_us,
                p99_us,
                p999_us,
                max_us,
                ..
            } = figures;
            for time in [p50_us, p90_us, p99_us, p999_us, max_us] {
                write!(f, "{:>12}", milliseconds(time))?;
            }
            writeln!(f)?;
        }
        if self.refused_cards > 0 {
            let refused = self.refused_cards;
            writeln!(
                f,
                "cards of Visa Electron, refused as they should be: {refused}"
            )?;
        }
        for failure in self.failures() {
            writeln!(
                f,
                "\n{} of {}: {}",
                failure.count, failure.request, failure.what
            )?;
            for sample in &failure.samples {
                writeln!(f, "    {sample}")?;
            }
        }
        Ok(())
    }
}

fn milliseconds(us: u64) -> String {
    format!("{:.2} ms", us as f64 / 1000.0)
}

/// `wrong` with every quoted part and every number left out, so that the same mistake counts as one.
fn without_details(wrong: &str) -> String {
    let first_line = wrong.lines().next().unwrap_or_default();
    let mut what = String::new();
    for (index, part) in first_line.split('`').enumerate() {
        if index % 2 == 1 {
            what.push('…');
            continue;
        }
        for letter in part.chars() {
            match letter {
                '0'..='9' if what.ends_with('#') => {}
                '0'..='9' => what.push('#'),
                letter => what.push(letter),
            }
        }
    }
    what
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn exchange(kind: RequestKind, ms: u64, wrong: Option<String>) -> Exchange {
        Exchange {
            kind,
            begun: Instant::now(),
            took: Duration::from_millis(ms),
            wrong,
            answered: true,
            repeated: false,
            total: None,
        }
    }

    #[test]
    fn the_same_mistake_counts_as_one() {
        let mut report = Report::default();
        for n in 0..5 {
            let wrong = format!("`{n}` is missing, after {n}{n} others");
            report.add(exchange(RequestKind::Home, 1, Some(wrong)));
        }
        let failures = report.failures();
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].what, "… is missing, after # others");
        assert_eq!((failures[0].count, failures[0].samples.len()), (5, SAMPLES));
    }

    #[test]
    fn percentiles_are_those_of_what_was_counted() {
        let mut report = Report {
            length: Duration::from_secs(10),
            ..Report::default()
        };
        for ms in 1..=1000 {
            report.add(exchange(RequestKind::Cart, ms, None));
        }
        let figures = report.figures(RequestKind::Cart).unwrap();
        assert_eq!((figures.count, figures.failed), (1000, 0));
        assert_eq!(figures.per_second, 100.0);
        // Three digits of a histogram are exact.
        assert_eq!(figures.p50_us / 1000, 500);
        assert_eq!(figures.p99_us / 1000, 990);
        assert!(report.figures(RequestKind::Home).is_none());
    }
}
