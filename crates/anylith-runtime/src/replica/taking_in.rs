//! How components come into a replica that runs.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use anylith_core::{Name, with_causes};
use anylith_rpc::Server;
use anylith_wire::control::{Additions, ComponentState};
use tokio::task::JoinSet;

use super::{ComponentFailure, Hosted, Phase, Registration, Replica, Standing, door, is_in};
use crate::interface::checked;

/// What was asked for and cannot be.
type Refusals = Vec<(Name, String)>;

impl Replica {
    /// Starts components beside those that run, in tasks of `errands`. One that cannot start counts as stopped, says why,
    /// and disturbs nobody.
    pub(crate) fn take_in(self: &Arc<Self>, additions: Additions, errands: &mut JoinSet<()>) {
        let (come, refused) = self.admit(additions);
        for (component, why) in refused {
            self.states.send_modify(|states| {
                states.insert(component, not_started(why));
            });
        }
        for hosted in come {
            let replica = Arc::clone(self);
            errands.spawn(async move {
                replica.panel.network.renewed().await;
                let Err(failure) = replica.start_one(&hosted).await else {
                    return;
                };
                let ComponentFailure { component, error } = failure;
                let end = tokio::time::Instant::now();
                *hosted.phase() = Phase::Over { end };
                tracing::warn!(target: "anylith", %component, %error, "a component that was to come cannot start");
                replica.enter_as(&component, &not_started(with_causes(&error)));
            });
        }
    }

    /// Makes room for what comes, and has callers know of it.
    fn admit(&self, additions: Additions) -> (Vec<Arc<Hosted>>, Refusals) {
        let Additions {
            components: wanted,
            config,
            edges,
            callers,
            identity,
            held,
        } = additions;
        let mut components = self.components();
        if components.stopping {
            return (Vec::new(), Vec::new());
        }
        let (mut come, mut refused) = (Vec::new(), Vec::new());
        for name in wanted {
            let known = components.all.iter().find(|it| it.name == name);
            let registration = match known {
                Some(hosted) => {
                    let states = self.states.borrow();
                    if !is_in(&states, name.as_str(), ComponentState::Stopped) {
                        // It is here, or on its way out: who asks is told of that, and asks again.
                        continue;
                    }
                    Some(&hosted.registration)
                }
                None => self.others.iter().find(|it| name == it.name),
            };
            match registration {
                Some(registration) => come.push(registration.clone()),
                None => {
                    let why = "the program of this replica has no such component".to_owned();
                    refused.push((name, why));
                }
            }
        }
        if come.is_empty() {
            return (Vec::new(), refused);
        }
        self.panel.learn(&config, &edges);
        let mut members: Vec<Name> = components.all.iter().map(|it| it.name.clone()).collect();
        let news = come.iter().map(|it| checked(it.name));
        let news: Vec<Name> = news.filter(|name| !members.contains(name)).collect();
        members.extend(news);
        let callers = self.let_call(callers);
        let network = &self.panel.network;
        if let Err(error) = network.become_member(members, callers, identity.as_ref()) {
            let why = format!("the new certificate is of no use: {}", with_causes(&error));
            let all = come.iter().map(|it| (checked(it.name), why.clone()));
            refused.extend(all);
            return (Vec::new(), refused);
        }
        let begun = |registration: Registration| {
            self.failures.forget(&checked(registration.name));
            self.doors.add(door(&registration));
            Hosted::new(registration, &held)
        };
        let come: Vec<Arc<Hosted>> = come.into_iter().map(begun).collect();
        for hosted in &come {
            components.all.retain(|it| it.name != hosted.name);
            components.all.push(Arc::clone(hosted));
        }
        self.states.send_modify(|states| {
            let waiting = come
                .iter()
                .map(|it| (it.name.clone(), Standing::waiting(held.contains(&it.name))));
            states.extend(waiting);
        });
        self.offering.servers.iter().for_each(Server::renew);
        (come, refused)
    }

    /// Adds who may call what comes; returns all.
    fn let_call(
        &self,
        more: Option<BTreeMap<Name, Vec<Name>>>,
    ) -> Option<BTreeMap<Name, Vec<Name>>> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &mut *callers {
            known.extend(more.unwrap_or_default());
        }
        callers.clone()
    }
}

fn not_started(why: String) -> Standing {
    Standing {
        not_started: true,
        ..Standing::new(ComponentState::Stopped, Some(why))
    }
}
