//! `anylith dashboard`.

use std::{
    env,
    io::{self, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use anylith_dashboard::Invitation;
use anylith_supervisor::{Answer, Request, ask};

use super::{last_run, not_running, runtime, status};
use crate::{app::App, args::DashboardArgs, failure::Failure};

/// Prints where the dashboard of an application is that runs, and opens it if that is wanted.
pub(crate) fn dashboard(args: &DashboardArgs) -> Result<(), Failure> {
    let app = super::app(&args.which)?;
    let folder = last_run(&app)?;
    // What an earlier run has left there is of no use.
    match runtime()?.block_on(ask(&folder.control_socket(), Request::Status)) {
        Ok(Answer::Status(_)) => {}
        Ok(_) => return Err(not_running(&app)),
        Err(error) => return Err(status::no_answer(&app, &folder, &error)),
    }
    let unreadable = |error: io::Error| {
        let path = folder.dashboard();
        let what = format!("{} cannot be used: {error}", path.display());
        Failure::new(what, "does it belong to this user?")
    };
    let Some(invitation) = Invitation::read(&folder).map_err(unreadable)? else {
        return Err(none(&app));
    };
    writeln!(io::stdout(), "{}", invitation.link())?;
    if args.open {
        let page = invitation.write_page(&folder).map_err(unreadable)?;
        open(&page)?;
    }
    Ok(())
}

fn none(app: &App) -> Failure {
    Failure::new(
        format!("{} runs without a dashboard", app.title()),
        format!(
            "`{}`, and run it again without `--dashboard off`, and without `dashboard = \"off\"` in anylith.toml",
            app.hint("stop")
        ),
    )
}

/// Has the desktop open a page with whatever opens pages there.
fn open(page: &Path) -> Result<(), Failure> {
    let browser = env::var_os("BROWSER").filter(|name| !name.is_empty());
    let opener = browser.unwrap_or_else(|| "xdg-open".into());
    let opened = Command::new(&opener)
        .arg(page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match opened {
        // It may stay as long as the browser does, which is not ours to wait for.
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::new(
            format!("`{}` cannot be run: {error}", opener.display()),
            "open the address in a browser by hand, or set BROWSER to one",
        )),
    }
}
