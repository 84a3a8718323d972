//! How the application is now.

use anylith_supervisor::ToldStatus;
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};

use super::Api;
use crate::refusal::Refusal;

/// What `anylith status --json` prints.
pub(super) async fn status(State(api): State<Api>) -> Result<Response, Refusal> {
    let overview = api.control.overview().await?;
    Ok(Json(ToldStatus::from(&overview)).into_response())
}
