//! A lending library: three services behind `Arc<dyn …>`, and the pages in front of them.

#![allow(unreachable_pub)] // Most applications are written so.

mod books;
mod loans;
mod members;
mod web;

use std::{process::ExitCode, sync::Arc};

use crate::{
    books::Shelf,
    loans::Desk,
    members::Cards,
    web::{Web, WebParts},
};

anylith::app! {
    /// A lending library.
    Library = "library" { Shelf, Web }
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_target(false).init();

    let members = Arc::new(Cards::issued());
    Library::builder()
        .with(Shelf::stocked())
        .assemble(move |WebParts { books, web }| {
            let members = members.clone();
            let loans = Arc::new(Desk::new(books.clone(), members.clone()));
            Web {
                books,
                members,
                loans,
                web,
            }
        })
        .run()
        .await
}
