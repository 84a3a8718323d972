//! A lending library: three services behind `Arc<dyn …>`, and the pages in front of them.

#![allow(unreachable_pub)] // Most applications are written so.

mod books;
mod loans;
mod members;
mod web;

use std::{env, sync::Arc};

use tokio::net::TcpListener;

use crate::{books::Shelf, loans::Desk, members::Cards, web::Web};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_target(false).init();

    let books = Arc::new(Shelf::stocked());
    let members = Arc::new(Cards::issued());
    let loans = Arc::new(Desk::new(books.clone(), members.clone()));
    let web = Web {
        books,
        members,
        loans,
    };

    let address = env::var("LIBRARY_ADDRESS").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    tracing::info!("listening on {}", listener.local_addr()?);
    axum::serve(listener, web::router(web))
        .with_graceful_shutdown(told_to_stop())
        .await?;
    Ok(())
}

async fn told_to_stop() {
    // Without a handler for it, Ctrl-C just ends the process.
    let _ = tokio::signal::ctrl_c().await;
}
