//! A lending library: three services behind `Arc<dyn …>`, and the pages in front of them.

#![allow(unreachable_pub)] // Most applications are written so.

mod books;
mod loans;
mod members;
mod web;

use std::process::ExitCode;

use crate::{
    books::Shelf,
    loans::{Desk, DeskParts},
    members::Cards,
    web::Web,
};

anylith::app! {
    /// A lending library.
    Library = "library" { Shelf, Cards, Desk, Web }
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_target(false).init();

    Library::builder()
        .with(Shelf::stocked())
        .with(Cards::issued())
        .assemble(|parts: DeskParts| Desk::new(parts.books, parts.members))
        .run()
        .await
}
