//! How a replica takes its components out of service, one or all.

use std::{sync::Arc, time::Duration};

use anylith_rpc::defect::{Defect, planted};
use anylith_wire::control::{ComponentState, SHUT_DOWN, SUCCESSION};
use tokio::time::{Instant, timeout_at};

use super::{Hosted, Life, Phase, Replica, Standing, is_in};
use crate::{
    ambient::Frame,
    component::{Hooks, StartError},
    framed::Framed,
    gate::{Gate, Inside},
    serve::Door,
    task::Task,
};

impl Replica {
    /// Drains every component, callers before what they call, and closes the endpoint.
    pub(crate) async fn stop(&self, grace: Duration) {
        let end = Instant::now() + grace;
        self.components().stopping = true;
        for name in self.order().iter().rev() {
            let left = end.saturating_duration_since(Instant::now());
            self.drain(name, left).await;
        }
        for server in &*self.offering.servers {
            let _ = timeout_at(end, server.drain()).await;
        }
        for server in &*self.offering.servers {
            server.close().await;
        }
    }

    /// Takes one component out of service: no new calls, the end of those under way, then its `stop`. After
    /// `grace` what is left is dropped.
    pub(crate) async fn drain(&self, component: &str, grace: Duration) {
        let Some(hosted) = self.hosted(component) else {
            return;
        };
        let hosted = &*hosted;
        let end = Instant::now() + grace;
        let before = std::mem::replace(&mut *hosted.phase(), Phase::Over { end });
        match before {
            Phase::Ready(life) => self.finish(hosted, life, end).await,
            // Who starts it finds out, if anybody still does; see `Replica::start_one`. Who comes after a singleton waits until
            // nothing of it runs.
            Phase::Starting => {
                hosted.turn.end();
                let rests = hosted.turn.rests();
                if hosted.registration.singleton.is_none() || timeout_at(end, rests).await.is_ok() {
                    self.enter(&hosted.name, ComponentState::Stopped);
                }
            }
            // It was told to make room, and what it hands over is waited for.
            Phase::Over { .. } if hosted.turn.yields() => {
                self.stopped(hosted, end + SUCCESSION).await;
            }
            // Drained already, or somebody is at it.
            Phase::Over { .. } => self.stopped(hosted, end).await,
        }
    }

    /// Waits until somebody else has brought the component to its end, or until `end`.
    async fn stopped(&self, hosted: &Hosted, end: Instant) {
        let name = hosted.name.as_str();
        let mut states = self.states.subscribe();
        let stopped = states.wait_for(|states| is_in(states, name, ComponentState::Stopped));
        let _ = timeout_at(end, stopped).await;
    }

    /// Ends the life of a component that was ready.
    async fn finish(&self, hosted: &Hosted, mut life: Life, mut end: Instant) {
        if planted(Defect::CuttingDrain) {
            end = Instant::now();
        }
        // How it is does not matter any more.
        drop(life.health.take());
        let begun = Instant::now();
        self.enter(&hosted.name, ComponentState::Draining);
        let door = self.doors.of(hosted.registration.name);
        let door = door.as_deref();
        if let Some(door) = door {
            door.gate.close();
        }
        self.panel.leave(hosted.registration.name);
        life.stop.send_replace(true);
        let finished = async {
            let _ = (&mut life.running).await;
            if let Some(door) = door {
                door.gate.emptied().await;
            }
        };
        let left = match timeout_at(end, finished).await {
            Ok(()) => None,
            Err(_) => {
                let left = self.cut_short(hosted, door, &mut life.running).await;
                Some(format!("after {:.1?} it still did {left}", begun.elapsed()))
            }
        };
        let bequest = self.bequeath(hosted, &*life.hooks).await;
        self.shut_down(hosted, &*life.hooks, end).await;
        if let Some(door) = door {
            door.open.store(None);
        }
        // Whoever begins after it may need what it had.
        drop(life);
        if let Some(left) = &left {
            tracing::warn!(component = %hosted.name, %left, "drained before it was done: what was left is dropped");
        }
        let standing = Standing {
            bequest,
            ..Standing::new(ComponentState::Stopped, left)
        };
        self.enter_as(&hosted.name, &standing);
    }

    /// Drops what a component still does: its own work, and its calls, whose callers are told. Says what that was.
    async fn cut_short(
        &self,
        hosted: &Hosted,
        door: Option<&Door>,
        running: &mut Task<()>,
    ) -> String {
        let mut left = Vec::new();
        if !running.is_finished() {
            left.push("its own work".to_owned());
        }
        running.abort();
        if let Some(door) = door {
            door.gate.clear();
        }
        for server in &*self.offering.servers {
            server.stop_component(&hosted.name);
        }
        let gone = async {
            if !running.is_finished() {
                let _ = running.await;
            }
            if let Some(door) = door {
                door.gate.emptied().await;
            }
        };
        // What blocks its thread can be neither dropped nor waited for.
        let _ = timeout_at(Instant::now() + SHUT_DOWN, gone).await;
        if let Some(door) = door {
            left.extend(calls(hosted, &door.gate));
        }
        left.join(", ")
    }

    /// Runs the `stop` of a component, until `end` or for [`SHUT_DOWN`] at least. A panic is a failure of the
    /// component.
    pub(super) async fn shut_down(&self, hosted: &Hosted, hooks: &dyn Hooks, end: Instant) {
        let shut_down = Framed {
            future: hooks.shut_down(),
            frame: Frame::of(hosted.registration.name),
        };
        match timeout_at(end.max(Instant::now() + SHUT_DOWN), shut_down).await {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => {
                let error = StartError::from_cause(format!("its stop panicked: {panic}"));
                self.failures.tell(hosted.name.clone(), error);
            }
            Err(_) => tracing::warn!(
                component = %hosted.name,
                "the component's stop does not end: it is dropped"
            ),
        }
    }

    /// The components of this replica, dependencies first.
    fn order(&self) -> Vec<&'static str> {
        fn visit(
            all: &[Arc<Hosted>],
            name: &str,
            order: &mut Vec<&'static str>,
            seen: &mut Vec<String>,
        ) {
            let Some(hosted) = all.iter().find(|it| it.registration.name == name) else {
                return;
            };
            if seen.iter().any(|it| it == name) {
                return;
            }
            seen.push(name.to_owned());
            for dependency in &hosted.registration.dependencies {
                visit(all, dependency, order, seen);
            }
            order.push(hosted.registration.name);
        }
        let (mut order, mut seen) = (Vec::new(), Vec::new());
        let all = self.components().all.clone();
        for hosted in &all {
            visit(&all, hosted.registration.name, &mut order, &mut seen);
        }
        order
    }
}

/// The calls that were dropped, by method and caller: `2 calls of boil by Cook`.
fn calls(hosted: &Hosted, gate: &Gate) -> Vec<String> {
    let turned_out = gate.turned_out();
    let mut left: Vec<String> = turned_out
        .into_iter()
        .map(|(Inside { method, caller }, count)| {
            let method = hosted.registration.methods.get(usize::from(method));
            let method = method.map_or("an unknown method", |method| method.name);
            let calls = match count {
                1 => "1 call".to_owned(),
                more => format!("{more} calls"),
            };
            match caller {
                Some(caller) => format!("{calls} of {method} by {caller}"),
                None => format!("{calls} of {method} from other processes"),
            }
        })
        .collect();
    match gate.inside() {
        0 => {}
        stuck => left.push(format!("{stuck} calls that hold on to their threads")),
    }
    left
}
