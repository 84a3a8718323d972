//! What the end-to-end tests share: a shop that runs as real processes, and a browser to visit it with.
//!
//! Whatever is started here is stopped when its value is dropped, also when the test fails.

mod browser;
mod build;
mod claim;
mod cluster;
mod contained;
mod course;
mod crowd;
mod door;
mod groupings;
mod hosted;
mod leftovers;
mod load;
mod node;
mod pages;
mod parcels;
mod payments;
mod probe;
mod purchase;
mod random_parts;
mod rendered;
mod samples;
mod shop;
mod shoppers;
mod tour;
mod visitor;
mod visitors;
mod workshop;

pub use browser::Browser;
pub use build::{repository, target_folder};
pub use claim::{Outage, fault};
pub use cluster::{Cluster, Pod};
pub use contained::{ContainedPod, ContainedShop};
pub use course::{Course, Outcome, Plan, Step, Strike};
pub use crowd::Crowd;
pub use door::{Door, Moment, Out};
pub use groupings::Groupings;
pub use hosted::{HostedReplica, HostedShop};
pub use load::Load;
pub use node::{NoContainers, Node};
pub use pages::{Page, VISIT};
pub use parcels::{Answers, Asked, Askers, Parcel, Parcels};
pub use payments::{Payments, Settlement, Told};
pub use probe::until;
pub use purchase::{PRODUCT, buy, buy_in_the_end};
pub use rendered::IMAGE;
pub use samples::Samples;
pub use shop::{App, Replica, Shop, Start};
pub use shoppers::Shoppers;
pub use tour::{ORDER, Tour};
pub use visitor::{Answer, Visitor};
pub use visitors::Visitors;
pub use workshop::{Workshop, cart_of};
