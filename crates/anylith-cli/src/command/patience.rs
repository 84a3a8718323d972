//! A question to a supervisor that takes long to answer.

use std::{path::Path, pin::pin, time::Duration};

use anylith_supervisor::{Answer, AskError, Overview, Request, ask};
use tokio::time::sleep;

/// Asks for something, and has `show` say how things are every so often, as long as there is no answer.
///
/// # Errors
///
/// Why there is none.
///
/// # Cancellation
///
/// What was asked for goes on.
pub(super) async fn ask_patiently(
    socket: &Path,
    request: Request,
    every: Duration,
    mut show: impl FnMut(Overview),
) -> Result<Answer, AskError> {
    let mut asked = pin!(ask(socket, request));
    loop {
        tokio::select! {
            answer = &mut asked => return answer,
            () = sleep(every) => {}
        }
        tokio::select! {
            answer = &mut asked => return answer,
            status = ask(socket, Request::Status) => match status {
                Ok(Answer::Status(now)) => show(now),
                Err(error @ AskError::Lost(_)) => return Err(error),
                // It is about to end, and says so itself.
                Ok(_) | Err(AskError::NotRunning(_) | AskError::Malformed(_)) => {}
            }
        }
    }
}
