//! The certificate authority of an application: made on first use, it issues short-lived certificates to replicas.
//!
//! What an engine links, and never an application: a replica has its [`Identity`] from whoever starts it, and reads it
//! with `anylith-rpc`.
//!
//! - [`Authority`] issues; it lives in memory, or in a folder that only its user can look into.
//! - [`Subject`] is who a certificate is for; [`GroupSubject`], where several share one. `docs/design` says what of it the certificate names, and why no host.
//! - [`Lifetimes`] says for how long.
//!
//! It asks no clock: the time is an argument.

mod authority;
mod keep;
mod root;
mod subject;

pub use anylith_wire::Identity;
pub use authority::{Authority, AuthorityError, Lifetimes};
pub use subject::{GroupSubject, Subject};
