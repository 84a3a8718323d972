//! `anylith stop`.

use std::io::{self, Write};

use anylith_supervisor::{AskError, Request, Timing, ask, stop_orphans};

use super::{last_run, not_running, runtime};
use crate::{
    args::StopArgs,
    failure::{Failure, with_causes},
};

/// Drains and stops an application, and comes back when nothing of it runs any more.
pub(crate) fn stop(args: &StopArgs) -> Result<(), Failure> {
    let app = super::app(args.app.as_ref(), args.app_flag.as_ref())?;
    let folder = last_run(&app)?;
    let request = if args.kill {
        Request::Kill
    } else {
        Request::Stop
    };
    runtime()?.block_on(async {
        match ask(&folder.control_socket(), request).await {
            Ok(_) => Ok(()),
            // Its supervisor is gone, but its replicas may not be.
            Err(AskError::NotRunning(_)) => match stop_orphans(&folder, Timing::default()).await {
                Ok(0) => Err(not_running(&app)),
                Ok(_) => Ok(()),
                Err(error) => Err(Failure::new(with_causes(&error), "try it again")),
            },
            Err(error) => Err(Failure::new(
                with_causes(&error),
                format!("see with `{}` whether it still runs", app.hint("status")),
            )),
        }
    })?;
    writeln!(io::stdout(), "stopped")?;
    Ok(())
}
