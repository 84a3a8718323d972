//! How components come into a replica that runs.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, PoisonError},
};

use anylith_core::{Name, with_causes};
use anylith_rpc::Server;
use anylith_wire::control::{Additions, ComponentState};
use tokio::task::JoinSet;

use super::{ComponentFailure, Hosted, Phase, Registration, Replica, Standing, door, is_in};
use crate::{component::StartError, fetching, interface::checked, link::Enlistment};

/// What was asked for and cannot be.
type Refusals = Vec<(Name, String)>;

impl Replica {
    /// Starts components beside those that run, in tasks of `errands`. One that cannot start counts as stopped, says why,
    /// and disturbs nobody.
    ///
    /// What they serve is fetched from the control plane that knows this replica by `identity`.
    pub(crate) fn take_in(
        self: &Arc<Self>,
        additions: Additions,
        identity: Option<&Enlistment>,
        errands: &mut JoinSet<()>,
    ) {
        let served = additions.listeners.clone();
        let (come, refused) = self.admit(additions);
        for (component, why) in refused {
            self.states.send_modify(|states| {
                states.insert(component, not_started(why));
            });
        }
        for hosted in come {
            let replica = Arc::clone(self);
            let doors = served.iter().filter(|(_, by)| **by == hosted.name);
            let doors: Vec<Name> = doors.map(|(door, _)| door.clone()).collect();
            let identity = identity.cloned();
            errands.spawn(async move {
                replica.panel.network.renewed().await;
                let started = match replica.fetch(doors, identity).await {
                    Ok(()) => replica.start_one(&hosted).await,
                    Err(error) => Err(ComponentFailure {
                        component: hosted.name.clone(),
                        error,
                    }),
                };
                let Err(failure) = started else {
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

    /// Gets the sockets of those of `doors` that this replica was not given yet.
    async fn fetch(
        &self,
        doors: Vec<Name>,
        identity: Option<Enlistment>,
    ) -> Result<(), StartError> {
        for door in doors {
            if self.panel.given.load().listeners.contains_key(&door) {
                continue;
            }
            let Some(identity) = identity.clone() else {
                continue;
            };
            let panel = Arc::clone(&self.panel);
            let why = format!("the socket of the listener `{door}` could not be had");
            let fetched = tokio::task::spawn_blocking(move || {
                fetching::fetch(&identity, &door, &panel.given)
            });
            let fetched = fetched.await.map_err(io::Error::other).flatten();
            fetched.map_err(|error| StartError::from_cause(format!("{why}: {error}")))?;
        }
        Ok(())
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
            listeners: _,
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
            self.doors.add(door(
                &registration,
                &self.measures,
                self.panel.trails.clone(),
            ));
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
