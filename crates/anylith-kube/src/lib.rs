//! An application in a topology, as the objects of a Kubernetes cluster.
//!
//! In: what should be ([`Spec`](anylith_control::Spec)) and what a cluster must know of it
//! ([`Cluster`](anylith_topology::Cluster)). Out: manifests that a careful platform engineer would have written, as texts. The
//! same input gives the same bytes. Nothing here asks a clock, a disk or a cluster.
//!
//! - [`render`] makes the manifests of a [`Request`].
//! - [`flaws`] says what of them a schema accepts and a cluster refuses, or breaks on.
//! - [`ImageReference`] and [`namespace`] read what is typed.

mod autoscaler;
mod configuration;
mod disruption;
mod group;
mod identity;
mod image_reference;
mod kustomization;
mod object;
mod policy;
mod render;
mod service;
mod soundness;
mod workload;
mod yaml;

pub use identity::{CERTIFICATE, KEY, ROOTS, needs_certificate, secret_manifest, secret_name};
pub use image_reference::ImageReference;
pub use object::namespace;
pub use render::{Manifests, Request, render};
pub use soundness::flaws;
pub use yaml::Unreadable;
