//! The shop's pages: every route, form, cookie and status, and what is left out when a component fails.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod buying;
mod counted;
mod fan_out;
mod looking;
mod preferences;
mod shop;
mod trouble;
