//! The units of systemd: a service for each replica, a socket for each listener, and a target for all of a host.

use std::collections::BTreeMap;

use anylith_core::Name;
use anylith_topology::HostPlan;
use anylith_wire::control::ENV_BOOTSTRAP;

use super::{ENVIRONMENT, Resident, StaticSettings, folder};
use crate::spec::Spec;

/// What every unit begins with.
const HEAD: &str =
    "# Written by `anylith render static`. What is changed here is lost when it writes again:
# write it into a drop-in (`systemctl edit`) instead.
";

/// What a service may do, and may not. A component that needs more says so in a drop-in.
const HARDENING: &str = "LimitCORE=0
LimitNOFILE=65536
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
";

/// How much longer than its grace period a replica has before it is killed, in seconds.
const LAST_SECONDS: u64 = 5;

/// The name of each unit of a host, and its text.
pub(super) fn all(
    spec: &Spec,
    host: &HostPlan,
    residents: &[&Resident<'_>],
    settings: &StaticSettings,
) -> Vec<(String, String)> {
    let mut units: Vec<_> = residents
        .iter()
        .map(|resident| {
            (
                service_name(spec, resident),
                service(spec, resident, settings),
            )
        })
        .collect();
    for listener in host.listeners.keys() {
        let serving = |resident: &&&Resident<'_>| {
            spec.listeners_of(&resident.group.components)
                .contains_key(listener)
        };
        if let Some(first) = residents.iter().find(serving) {
            let text = socket(spec, host, listener.as_str(), &service_name(spec, first));
            units.push((socket_name(spec, listener.as_str()), text));
        }
    }
    let names: Vec<String> = units.iter().map(|(name, _)| name.clone()).collect();
    units.push((format!("{}.target", spec.app), target(spec, host, &names)));
    units
}

fn service_name(spec: &Spec, resident: &Resident<'_>) -> String {
    format!("{}-{}.service", spec.app, resident.name)
}

fn socket_name(spec: &Spec, listener: &str) -> String {
    format!("{}-{listener}.socket", spec.app)
}

fn service(spec: &Spec, resident: &Resident<'_>, settings: &StaticSettings) -> String {
    let Resident {
        name, group, host, ..
    } = resident;
    let app = &spec.app;
    let HostPlan {
        user,
        folder: home,
        binary,
        run,
        ..
    } = host;
    let components: Vec<&str> = group.components.iter().map(Name::as_str).collect();
    let components = components.join(", ");
    let orders = format!("{home}/{}/bootstrap.json", folder(name));
    let kill_after = settings.grace.as_secs() + LAST_SECONDS;
    let runtime = runtime_folder(run);
    let views = views(&[home, binary, run]);
    let sockets: String = spec
        .listeners_of(&group.components)
        .keys()
        .map(|listener| format!("Sockets={}\n", socket_name(spec, listener.as_str())))
        .collect();
    let environment = match settings.env.is_empty() {
        true => String::new(),
        false => format!("EnvironmentFile={home}/{ENVIRONMENT}\n"),
    };
    format!(
        "{HEAD}[Unit]
Description={app}: the replica {name} ({components})
PartOf={app}.target
Wants=network-online.target
After=network-online.target
# Restarted for as long as it takes: what it waits for may be on a host that is down.
StartLimitIntervalSec=0

[Service]
Type=notify
User={user}
# Relative paths in the config begin here; it is the folder that may be written to.
WorkingDirectory=/var/lib/{app}
ExecStart={binary}
ExecReload=/bin/kill -HUP $MAINPID
Environment={ENV_BOOTSTRAP}={orders}
{environment}# Secrets that the config takes from the environment, a line NAME=value for each.
EnvironmentFile=-{home}/secrets.env
{sockets}{runtime}StateDirectory={app}
StateDirectoryMode=0700
# It is ready when its components are, and these wait for those that they are dependent on.
TimeoutStartSec=infinity
WatchdogSec=15s
Restart=always
RestartSec=1s
RestartSteps=5
RestartMaxDelaySec=30s
# It drains for {grace} s at most.
KillMode=mixed
TimeoutStopSec={kill_after}s
{HARDENING}{views}
[Install]
WantedBy={app}.target
",
        grace = settings.grace.as_secs()
    )
}

fn socket(spec: &Spec, host: &HostPlan, listener: &str, service: &str) -> String {
    let app = &spec.app;
    let address = &host.listeners[listener];
    format!(
        "{HEAD}[Unit]
Description={app}: the listener {listener}
PartOf={app}.target

[Socket]
ListenStream={address}
FileDescriptorName={listener}
Service={service}
Backlog=4096

[Install]
WantedBy={app}.target
"
    )
}

fn target(spec: &Spec, host: &HostPlan, units: &[String]) -> String {
    let app = &spec.app;
    let name = &host.name;
    let wants: String = units.iter().map(|unit| format!("Wants={unit}\n")).collect();
    format!(
        "{HEAD}[Unit]
Description={app}: all that runs on the host {name}
{wants}
[Install]
WantedBy=multi-user.target
"
    )
}

/// How the folder of the sockets comes to be, and how the service may write to it.
fn runtime_folder(run: &str) -> String {
    if let Some(folder) = run
        .strip_prefix("/run/")
        .filter(|_| is_made_by_systemd(run))
    {
        return format!(
            "RuntimeDirectory={folder}\nRuntimeDirectoryMode=0700\n# Its neighbours have their sockets there, too.\nRuntimeDirectoryPreserve=yes\n"
        );
    }
    match TEMPORARY.into_iter().find(|folder| is_below(run, folder)) {
        // It may be gone after a restart of the host, and the service makes it anew.
        Some(folder) => format!("ReadWritePaths={folder}\n"),
        None => format!("ReadWritePaths={run}\n"),
    }
}

/// Which parts of the host a service sees that has something at `paths`: as little as possible.
fn views(paths: &[&str]) -> String {
    let among = |folders: &[&str]| {
        let mut each = paths.iter();
        each.any(|path| folders.iter().any(|folder| is_below(path, folder)))
    };
    // With `yes` these are empty folders.
    let home = if among(&HOMES) { "read-only" } else { "yes" };
    // With `yes` every service has one of its own, and finds no neighbour there.
    let temporary = if among(&TEMPORARY) { "no" } else { "yes" };
    format!("ProtectHome={home}\nPrivateTmp={temporary}\n")
}

/// What `ProtectHome=` hides.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// What `PrivateTmp=` hides.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

fn is_below(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether the folder `run` is made by systemd when a service starts.
pub(super) fn is_made_by_systemd(run: &str) -> bool {
    is_below(run, "/run") && run != "/run" && !is_below(run, "/run/user")
}

/// A file of `variables`, as `EnvironmentFile=` and a shell read it.
pub(super) fn environment(variables: &BTreeMap<String, String>) -> String {
    let line = |(variable, value): (&String, &String)| {
        let mut line = format!("{variable}=\"");
        for c in value.chars() {
            // Everything else, a new line too, stands for itself between quotation marks.
            if matches!(c, '"' | '\\' | '$' | '`') {
                line.push('\\');
            }
            line.push(c);
        }
        line + "\"\n"
    };
    variables.iter().map(line).collect()
}
