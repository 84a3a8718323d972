//! The dashboard of a run: where it listens, and what it is told besides how the application runs.

use std::{
    io::{self, IsTerminal as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anylith_dashboard::{Dashboard, Door, Invitation, Premises};
use anylith_supervisor::{RunFolder, what_runs};
use anylith_topology::{Dashboard as Wanted, Settings};

use crate::{
    app::App,
    args::{Overriding, Running},
    failure::Failure,
    inspection::Inspection,
    paint::Paint,
};

/// Where it listens if nobody says: at a port of the system's choice, for this host alone.
const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A place for the dashboard of a run, before there is anything to show.
#[derive(Debug)]
pub(crate) struct Doorway {
    door: Option<Door>,
    overriding: Overriding,
}

impl Doorway {
    /// Listens where the flags or the settings say, before anything is started. What nobody asked for may be missing.
    pub(crate) fn prepare(args: &Running, settings: &Settings) -> Result<Self, Failure> {
        let asked = args.dashboard.or(settings.app().dashboard);
        let door = match asked {
            Some(Wanted::Off) => None,
            Some(Wanted::At(address)) => {
                let door = Door::bind(address).map_err(|error| {
                    let what = format!("the dashboard cannot listen at {address}: {error}");
                    Failure::new(what, "give it another address with `--dashboard ADDR`")
                })?;
                warn_of_network(&door);
                Some(door)
            }
            None => match Door::bind(ANYWHERE) {
                Ok(door) => Some(door),
                Err(error) => {
                    warn(&format!("there is no dashboard: {ANYWHERE}: {error}"));
                    None
                }
            },
        };
        Ok(Self {
            door,
            overriding: args.overriding.clone(),
        })
    }

    /// Serves the application that now runs in `folder`; `None` if there is no dashboard.
    pub(crate) fn open(
        self,
        app: &App,
        settings: &Settings,
        folder: &RunFolder,
    ) -> Option<Dashboard> {
        // That of an earlier run may be there still, if it was killed.
        Invitation::remove(folder);
        let door = self.door?;
        let subject = Arc::new((app.clone(), self.overriding, folder.clone()));
        let premises = Premises {
            settings: settings.clone(),
            look: Box::new(move || {
                let subject = Arc::clone(&subject);
                Box::pin(async move {
                    let (app, overriding, folder) = &*subject;
                    let inspected = inspect(app, overriding, folder).await;
                    let told = |failure: Failure| failure.text(&Paint::NONE).trim().to_owned();
                    inspected.map(Inspection::looked).map_err(told)
                })
            }),
        };
        let opened = door.open(folder, premises);
        opened
            .inspect_err(|error| warn(&format!("there is no dashboard: {error}")))
            .ok()
    }
}

/// Looks at the application as it is now, with what it was started with on top.
async fn inspect(
    app: &App,
    overriding: &Overriding,
    folder: &RunFolder,
) -> Result<Inspection, Failure> {
    let app = app.again()?;
    let build = what_runs(folder)
        .ok_or_else(|| Failure::new("nothing of it runs any more", "start it again"))?;
    Inspection::of_running(&app, overriding, build, Vec::new()).await
}

/// How people are told where the dashboard is. The token is shown on a terminal, and not to what may keep it.
pub(crate) fn announcement(dashboard: &Dashboard, app: &App) -> String {
    let word = Paint::for_stderr().bold("dashboard:");
    let invitation = dashboard.invitation();
    match io::stderr().is_terminal() {
        true => format!("{word} {}", invitation.link()),
        false => format!(
            "{word} {}; `{}` prints the address with its token",
            invitation.url,
            app.hint("dashboard")
        ),
    }
}

fn warn_of_network(door: &Door) {
    let address = door.address();
    if !address.ip().is_loopback() {
        warn(&format!(
            "the dashboard at {address} can be reached over the network, where others may read what is sent, the token too"
        ));
    }
}

fn warn(text: &str) {
    let warning = Paint::for_stderr().bold_yellow("warning");
    // Where nobody reads any more, the application goes on all the same.
    let _ = writeln!(io::stderr(), "{warning}: {text}");
}
