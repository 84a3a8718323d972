//! `Web`: the door.

use std::{io, sync::Arc};

use anylith::{Listener, Stopping};
use axum::{
    Router,
    extract::Path,
    http::StatusCode,
    routing::{get, post},
};

use crate::desk::{Desk as _, DeskClient, DeskError};

/// The door for browsers.
#[derive(anylith::Component)]
#[component(serve)]
pub(crate) struct Web {
    desk: DeskClient,
    #[listener]
    web: Listener,
}

impl Web {
    async fn serve(self: Arc<Self>, stopping: Stopping) -> io::Result<()> {
        let (asked, taken) = (self.desk.clone(), self.desk.clone());
        let page = |answer: Result<String, DeskError>| match answer {
            Ok(known) => (StatusCode::OK, known),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")),
        };
        let ask = async move |Path(id): Path<u64>| page(asked.ask(id).await);
        let once = async move |Path(id): Path<u64>| page(taken.ask_once(id).await);
        let router = Router::new()
            .route("/{id}", get(ask))
            .route("/{id}", post(once));
        self.web.serve(router, stopping).await
    }
}
