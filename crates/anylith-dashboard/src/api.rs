//! The routes of the API. `openapi.json` describes them, and a test holds both equal.

mod change;
mod events;
mod graph;
mod logs;
mod numbers;
mod status;
mod traces;

use std::{io, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{self, MethodRouter},
};
use tokio::task::spawn_blocking;

use crate::{
    assets,
    control::Control,
    guard,
    hub::Hub,
    premises::{Looked, Premises},
    refusal::Refusal,
    token::Token,
};

/// What describes the API.
const DESCRIPTION: &str = include_str!("../openapi.json");

/// What answers need.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    control: Control,
    premises: Arc<Premises>,
    hub: Hub,
}

/// One route.
struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "the handler knows it"))]
    method: Method,
    path: &'static str,
    handler: MethodRouter<Api>,
}

fn routes() -> [Route; 17] {
    let get = |path, handler| Route {
        method: Method::GET,
        path,
        handler,
    };
    let post = |path, handler| Route {
        method: Method::POST,
        path,
        handler,
    };
    [
        get("/api/v1/status", routing::get(status::status)),
        get("/api/v1/graph", routing::get(graph::graph)),
        get("/api/v1/picture", routing::get(graph::picture)),
        get("/api/v1/topologies", routing::get(graph::topologies)),
        get(
            "/api/v1/components/{component}",
            routing::get(graph::component),
        ),
        get("/api/v1/now", routing::get(numbers::now)),
        get(
            "/api/v1/edges/{caller}/{callee}",
            routing::get(numbers::edge),
        ),
        get("/api/v1/history", routing::get(numbers::history)),
        get("/api/v1/events", routing::get(events::events)),
        get("/api/v1/logs", routing::get(logs::logs)),
        get("/api/v1/logs/follow", routing::get(logs::follow)),
        get("/api/v1/traces", routing::get(traces::traces)),
        get("/api/v1/traces/{id}", routing::get(traces::trace)),
        post("/api/v1/reshape", routing::post(change::reshape)),
        post("/api/v1/scale", routing::post(change::scale)),
        post("/api/v1/restart", routing::post(change::restart)),
        get("/api/v1/openapi.json", routing::get(description)),
    ]
}

/// Everything that is served: the API, and the page.
pub(crate) fn router(api: Api, token: Token) -> Router {
    let mut router = Router::new();
    for route in routes() {
        router = router.route(route.path, route.handler);
    }
    router
        .method_not_allowed_fallback(other_method)
        .fallback(other)
        .layer(middleware::from_fn_with_state(token, guard::guard))
        .with_state(api)
}

/// The page's files; below `/api/` is nothing of it.
async fn other(request: Request) -> Response {
    match request.uri().path().starts_with("/api/") {
        true => {
            let mend = "GET /api/v1/openapi.json says what there is";
            Refusal::new(StatusCode::NOT_FOUND, "the API has nothing there", mend).into_response()
        }
        false => assets::serve(request.method().clone(), request.uri().clone()).await,
    }
}

async fn other_method() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "the API has another method there",
        "GET /api/v1/openapi.json says which",
    )
}

async fn description(State(_): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}

impl Api {
    pub(crate) fn new(control: Control, premises: Premises, hub: Hub) -> Self {
        Self {
            control,
            premises: Arc::new(premises),
            hub,
        }
    }

    /// Looks at the application's files, and asks its binary.
    async fn look(&self) -> Result<Looked, Refusal> {
        (self.premises.look)().await.map_err(|why| {
            Refusal::new(
                StatusCode::BAD_GATEWAY,
                why,
                "see with `anylith check` what is wrong",
            )
        })
    }
}

/// Reads files where that may take its time; `what` is in them, for people.
async fn blocking<T: Send + 'static>(
    what: &str,
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let unreadable = |why: String| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the {what} cannot be read: {why}"),
            "do they belong to the user who runs the application?",
        )
    };
    let read = spawn_blocking(read).await;
    let read = read.map_err(|error| unreadable(error.to_string()))?;
    read.map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_description_has_every_route_and_no_other() {
        let described: Value = serde_json::from_str(DESCRIPTION).unwrap();
        let paths = described["paths"].as_object().unwrap();
        let described: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, operations)| {
                let methods = operations.as_object().unwrap().keys();
                methods.map(move |method| (path.clone(), method.to_uppercase()))
            })
            .collect();
        let served: BTreeSet<(String, String)> = routes()
            .iter()
            .map(|route| (route.path.to_owned(), route.method.to_string()))
            .collect();
        assert_eq!(described, served);
    }
}
