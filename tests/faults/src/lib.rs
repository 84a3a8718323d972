//! The fault suite.
//!
//! An application of its own ([`app`]) makes calls at a steady pace, in real processes, and writes down at both
//! ends what happened: each call that was made with what its caller was told, and each execution that its callee saw. Meanwhile
//! processes are killed and stopped, connections cut and held up. Afterwards an oracle compares the two
//! ledgers, and finds every call whose caller was not told the truth.
//!
//! Start at `suite.rs`, which decides what is run, and at `oracle.rs`, which judges. `README.md` says how to use it.

mod ability;
pub mod app;
mod clock;
mod cut;
mod defect;
mod deployment;
mod fault;
mod flaw;
mod history;
mod hold;
mod home;
mod ledger;
mod link;
mod oracle;
mod packet;
mod plan;
mod process;
mod proof;
mod report;
mod run;
mod stage;
pub mod suite;
mod table;
mod topology;
mod unit;
