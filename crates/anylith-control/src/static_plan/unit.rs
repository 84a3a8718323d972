//! The units of systemd: a service for each replica, a socket for each listener, and a target for all of a host.

use std::fmt::Write as _;

use anylith_core::Name;
use anylith_topology::HostPlan;
use anylith_wire::control::ENV_BOOTSTRAP;

use super::{Resident, StaticSettings, folder};
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
ProtectHome=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateDevices=yes
PrivateTmp=yes
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
        let serving =
            |resident: &&&Resident<'_>| spec.listeners_of(resident.group).contains_key(listener);
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
    let runtime = match run.strip_prefix("/run/") {
        Some(folder) => format!(
            "RuntimeDirectory={folder}\nRuntimeDirectoryMode=0700\n# Its neighbours have their sockets there, too.\nRuntimeDirectoryPreserve=yes\n"
        ),
        None => format!("ReadWritePaths={run}\n"),
    };
    let sockets: String = spec
        .listeners_of(group)
        .keys()
        .map(|listener| format!("Sockets={}\n", socket_name(spec, listener.as_str())))
        .collect();
    let mut environment = String::new();
    for (variable, value) in &settings.env {
        let _ = writeln!(
            environment,
            "Environment={}",
            quoted(&format!("{variable}={value}"))
        );
    }
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
{HARDENING}
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

/// One word of an assignment, whatever is in it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' => quoted.push_str("%%"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
