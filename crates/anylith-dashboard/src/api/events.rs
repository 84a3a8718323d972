//! How the application is, and what changes, as it happens.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension,
    extract::State,
    response::{
        IntoResponse,
        sse::{KeepAlive, Sse},
    },
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use super::Api;
use crate::line::Line;

/// Where nothing happens, something is sent so often: who hears nothing for far longer has lost the connection.
const SIGN_OF_LIFE_EVERY: Duration = Duration::from_secs(10);

/// A `state`, and then a `change` for each that there is; `lost` while the supervisor does not answer.
pub(super) async fn events(
    State(api): State<Api>,
    Extension(line): Extension<Line>,
) -> impl IntoResponse {
    let events = ReceiverStream::new(api.hub.look(line));
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(alive())
}

pub(super) fn alive() -> KeepAlive {
    KeepAlive::new().interval(SIGN_OF_LIFE_EVERY)
}
