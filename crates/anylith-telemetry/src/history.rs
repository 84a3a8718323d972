//! What went on in an application in the last hour.
//!
//! Who has looked at an application ([`History::note`], once a second) can be asked what goes on now, and what went on
//! before: each second of the last five minutes, and every ten seconds of the last hour. What is told of a moment is what
//! happened in the [`WINDOW`] before it: long enough that it does not matter when a report came.
//!
//! What is kept is bounded, whatever happens: [`SECONDS`] and [`TENS`] points, each of [`MOST_COMPONENTS`] components and
//! [`MOST_EDGES`] edges at most, and [`MOST_MARKS`] marks. A hundred components with three hundred edges take about six
//! mebibytes, and what was counted within the window comes to that.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use anylith_core::Name;
use serde::{Deserialize, Serialize};

use crate::{
    mark::Mark,
    moment::{Change, EdgeDetail, Flow, Makeup, Moment, Need},
    survey::Survey,
};

/// What is told of a moment is what has happened for so long before it.
pub const WINDOW: Duration = Duration::from_secs(5);

/// How many points there are of the last minutes, a second apart.
const SECONDS: usize = 300;
/// How many points there are of the last hour, ten seconds apart.
const TENS: usize = 360;
/// So far are they apart, less what a look may come too soon.
const TEN: Duration = Duration::from_millis(9_500);

/// More components are not kept.
const MOST_COMPONENTS: usize = 512;
/// More edges are not kept.
const MOST_EDGES: usize = 2048;
/// Of more marks the oldest go.
const MOST_MARKS: usize = 400;
/// Older marks go as well.
const OLDEST_MARK_MS: u64 = 3_600_000;
/// What has happened so long before a moment goes with it: who asks every second or so misses none.
const JUST_MS: u64 = 10_000;
/// More of a mark's text is not kept, in letters.
const LONGEST_TEXT: usize = 400;

/// What went on in an application in the last hour.
#[derive(Debug)]
pub struct History {
    /// The last looks, oldest first: all that are not older than the window, and the one before them.
    looks: VecDeque<Look>,
    /// What went on up to the last one.
    now: Moment,
    seconds: VecDeque<Point>,
    tens: VecDeque<Point>,
    /// When the last of the tens was kept, and the survey of that moment.
    ten: Option<Look>,
    components: Tracks<Name>,
    edges: Tracks<(Name, Name)>,
    marks: VecDeque<Mark>,
}

#[derive(Debug, Clone)]
struct Look {
    at: Instant,
    survey: Survey,
}

/// Whom tracks belong to, in the order in which they were first seen: a point has their values in this order.
#[derive(Debug)]
struct Tracks<K> {
    places: BTreeMap<K, usize>,
    most: usize,
}

/// What is kept of one moment.
#[derive(Debug)]
struct Point {
    at_ms: u64,
    all: ComponentPoint,
    components: Box<[ComponentPoint]>,
    edges: Box<[EdgePoint]>,
}

/// What is kept of an edge. Where there is no time it is not a number.
#[derive(Debug, Clone, Copy)]
struct EdgePoint {
    calls: f32,
    remote: f32,
    failed: f32,
    p50_us: f32,
    p99_us: f32,
}

#[derive(Debug, Clone, Copy)]
struct ComponentPoint {
    calls: EdgePoint,
    cores: f32,
    memory_kib: u32,
    ready: u16,
    total: u16,
}

/// Of what somebody wants to know how it went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Subject {
    /// All of it.
    #[default]
    Application,
    /// One component.
    Component {
        /// Which.
        component: Name,
    },
    /// One edge.
    Edge {
        /// The component that calls.
        caller: Name,
        /// The component that is called.
        callee: Name,
    },
}

/// How far back somebody wants to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// Five minutes, each second.
    Minutes,
    /// An hour, every ten seconds.
    #[default]
    Hour,
}

/// How something went: columns of the same length, oldest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Past {
    /// The moments, in milliseconds of Unix time.
    pub at_ms: Vec<u64>,
    /// How far they are apart.
    pub step_ms: u64,
    /// Calls that have ended.
    pub calls_per_second: Vec<f32>,
    /// Those of them that went to another process.
    pub remote_per_second: Vec<f32>,
    /// Those that ended otherwise than with what was asked for.
    pub failed_per_second: Vec<f32>,
    /// Half of them took no longer; nothing where there was none.
    pub p50_us: Vec<Option<f32>>,
    /// Ninety-nine of a hundred took no longer.
    pub p99_us: Vec<Option<f32>>,
    /// What it needed; an edge needs nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub need: Option<PastNeed>,
    /// What has happened meanwhile to the application, oldest first.
    pub marks: Vec<Mark>,
}

/// What something needed, in columns.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PastNeed {
    /// Cores that were kept busy.
    pub cores: Vec<f32>,
    /// What was in memory.
    pub memory_bytes: Vec<u64>,
    /// Replicas that answered.
    pub ready: Vec<u16>,
    /// Replicas that there were.
    pub total: Vec<u16>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            looks: VecDeque::new(),
            now: Moment::default(),
            seconds: VecDeque::new(),
            tens: VecDeque::new(),
            ten: None,
            components: Tracks::of_at_most(MOST_COMPONENTS),
            edges: Tracks::of_at_most(MOST_EDGES),
            marks: VecDeque::new(),
        }
    }
}

impl History {
    /// Takes what an application has counted up to `now`, which is `at_ms` in milliseconds of Unix time.
    pub fn note(&mut self, survey: Survey, makeup: &Makeup<'_>, now: Instant, at_ms: u64) {
        if self.now.at_ms > at_ms + 1000 {
            // The clock was put back, and what was before would stand after what comes.
            self.seconds.clear();
            self.tens.clear();
            self.marks.clear();
        }
        self.looks.push_back(Look { at: now, survey });
        while self
            .looks
            .get(1)
            .is_some_and(|next| now - next.at >= WINDOW)
        {
            self.looks.pop_front();
        }
        let (Some(first), Some(last)) = (self.looks.front(), self.looks.back()) else {
            return;
        };
        self.now = last.since(first).moment(at_ms, makeup);
        let (components, edges) = (&mut self.components, &mut self.edges);
        keep(
            &mut self.seconds,
            SECONDS,
            Point::of(&self.now, components, edges),
        );
        let ten = self.ten.get_or_insert_with(|| last.clone());
        if now - ten.at >= TEN {
            let moment = last.since(ten).moment(at_ms, makeup);
            keep(&mut self.tens, TENS, Point::of(&moment, components, edges));
            *ten = last.clone();
        }
    }

    /// Takes what has happened.
    pub fn mark(&mut self, mut mark: Mark) {
        if let Some((end, _)) = mark.text.char_indices().nth(LONGEST_TEXT) {
            mark.text.truncate(end);
            mark.text.push('…');
        }
        let oldest = mark.at_ms.saturating_sub(OLDEST_MARK_MS);
        while self.marks.len() >= MOST_MARKS
            || self.marks.front().is_some_and(|first| first.at_ms < oldest)
        {
            self.marks.pop_front();
        }
        self.marks.push_back(mark);
    }

    /// What goes on now, with what has just happened.
    pub fn now(&self) -> Moment {
        let since = self.now.at_ms.saturating_sub(JUST_MS);
        let marks = self.marks.iter().filter(|mark| mark.at_ms >= since);
        Moment {
            marks: marks.cloned().collect(),
            ..self.now.clone()
        }
    }

    /// What goes along an edge now, method by method.
    pub fn edge(&self, caller: &Name, callee: &Name) -> EdgeDetail {
        match (self.looks.front(), self.looks.back()) {
            (Some(first), Some(last)) => last.since(first).edge(self.now.at_ms, caller, callee),
            _ => EdgeDetail {
                caller: caller.clone(),
                callee: callee.clone(),
                at_ms: 0,
                seconds: 0.0,
                methods: Vec::new(),
            },
        }
    }

    /// How it went with `subject`; of one that was never seen, nothing went on.
    pub fn past(&self, subject: &Subject, period: Period) -> Past {
        let (points, step_ms) = match period {
            Period::Minutes => (&self.seconds, 1000),
            Period::Hour => (&self.tens, 10_000),
        };
        let begin = points
            .front()
            .map_or(0, |first| first.at_ms.saturating_sub(step_ms));
        let mut past = Past {
            step_ms,
            need: (!matches!(subject, Subject::Edge { .. })).then(PastNeed::default),
            marks: self
                .marks
                .iter()
                .filter(|mark| mark.at_ms >= begin)
                .cloned()
                .collect(),
            ..Past::default()
        };
        for point in points {
            let needs = match subject {
                Subject::Application => point.all,
                Subject::Component { component } => {
                    let place = self.components.places.get(component);
                    let found = place.and_then(|place| point.components.get(*place));
                    found.copied().unwrap_or(ComponentPoint::NONE)
                }
                Subject::Edge { caller, callee } => {
                    let place = self.edges.places.get(&(caller.clone(), callee.clone()));
                    let found = place.and_then(|place| point.edges.get(*place));
                    ComponentPoint {
                        calls: found.copied().unwrap_or(EdgePoint::NONE),
                        ..ComponentPoint::NONE
                    }
                }
            };
            past.push(point.at_ms, &needs);
        }
        past
    }
}

impl Point {
    fn of(
        moment: &Moment,
        components: &mut Tracks<Name>,
        edges: &mut Tracks<(Name, Name)>,
    ) -> Self {
        let own = moment.components.iter();
        let own = own.map(|it| (it.name.clone(), ComponentPoint::of(&it.flow, &it.need)));
        let between = moment.edges.iter();
        let between = between.map(|it| {
            let edge = (it.caller.clone(), it.callee.clone());
            (edge, EdgePoint::of(&it.flow))
        });
        Self {
            at_ms: moment.at_ms,
            all: ComponentPoint::of(&moment.flow, &moment.need),
            components: components.row(own, ComponentPoint::NONE),
            edges: edges.row(between, EdgePoint::NONE),
        }
    }
}

impl EdgePoint {
    const NONE: Self = Self {
        calls: 0.0,
        remote: 0.0,
        failed: 0.0,
        p50_us: f32::NAN,
        p99_us: f32::NAN,
    };

    fn of(flow: &Flow) -> Self {
        let time = |time: Option<f64>| time.map_or(f32::NAN, |time| time as f32);
        Self {
            calls: flow.calls_per_second as f32,
            remote: flow.remote_per_second as f32,
            failed: flow.failed_per_second as f32,
            p50_us: time(flow.p50_us),
            p99_us: time(flow.p99_us),
        }
    }
}

impl ComponentPoint {
    const NONE: Self = Self {
        calls: EdgePoint::NONE,
        cores: 0.0,
        memory_kib: 0,
        ready: 0,
        total: 0,
    };

    fn of(flow: &Flow, need: &Need) -> Self {
        Self {
            calls: EdgePoint::of(flow),
            cores: need.cores as f32,
            memory_kib: u32::try_from(need.memory_bytes / 1024).unwrap_or(u32::MAX),
            ready: u16::try_from(need.ready).unwrap_or(u16::MAX),
            total: u16::try_from(need.total).unwrap_or(u16::MAX),
        }
    }
}

impl Past {
    fn push(&mut self, at_ms: u64, point: &ComponentPoint) {
        let time = |time: f32| (!time.is_nan()).then_some(time);
        self.at_ms.push(at_ms);
        self.calls_per_second.push(point.calls.calls);
        self.remote_per_second.push(point.calls.remote);
        self.failed_per_second.push(point.calls.failed);
        self.p50_us.push(time(point.calls.p50_us));
        self.p99_us.push(time(point.calls.p99_us));
        if let Some(need) = &mut self.need {
            need.cores.push(point.cores);
            need.memory_bytes.push(u64::from(point.memory_kib) * 1024);
            need.ready.push(point.ready);
            need.total.push(point.total);
        }
    }
}

fn keep(points: &mut VecDeque<Point>, most: usize, point: Point) {
    if points.len() == most {
        points.pop_front();
    }
    points.push_back(point);
}

impl Look {
    fn since<'l>(&'l self, earlier: &'l Self) -> Change<'l> {
        Change {
            before: &earlier.survey,
            after: &self.survey,
            seconds: self.at.duration_since(earlier.at).as_secs_f64(),
        }
    }
}

impl<K: Ord> Tracks<K> {
    fn of_at_most(most: usize) -> Self {
        Self {
            places: BTreeMap::new(),
            most,
        }
    }

    /// Each value at the place of whom it belongs to, and `none` in between.
    fn row<V: Copy>(&mut self, values: impl Iterator<Item = (K, V)>, none: V) -> Box<[V]> {
        let mut row = vec![none; self.places.len()];
        for (key, value) in values {
            let next = self.places.len();
            let place = match self.places.get(&key) {
                Some(place) => *place,
                None if next < self.most => {
                    self.places.insert(key, next);
                    row.push(none);
                    next
                }
                None => continue,
            };
            row[place] = value;
        }
        row.into_boxed_slice()
    }
}
