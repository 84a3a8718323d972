//! `anylith render static`.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anylith_control::{IDENTITY_FILES, Spec, StaticHost, StaticPlan, StaticSettings};
use anylith_core::{Name, SecretReference, with_causes};
use anylith_pki::{Authority, Lifetimes, Subject};
use anylith_topology::{Hosts, Plan, ReplicaChange, Settings};

use super::{
    output::{Output, Sort},
    runtime,
};
use crate::{app::App, args::StaticArgs, failure::Failure, inspection::Inspection, paint::Paint};

/// The list of what was written into the folder.
const LIST: &str = ".anylith-static";

/// How long a replica may take to drain.
pub(super) const GRACE: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Writes, for each host, the orders of its replicas, their certificates, and the units that start them.
pub(crate) fn render(mut args: StaticArgs) -> Result<(), Failure> {
    args.overriding.for_elsewhere = true;
    let app = App::find(&args.app)?;
    let (hosts_file, text) = hosts_file(&args, &app)?;
    let label = hosts_file.display().to_string();
    let hosts = Hosts::read(&label, &text);
    let wrong = hosts.problems().to_vec();
    let inspection = Inspection::of(&app, &args.overriding, &args.building, wrong);
    let inspection = runtime()?.block_on(inspection)?;
    let place = |plan: &Plan| hosts.place(plan, &inspection.settings);
    let (mut plan, placement) = inspection.placed(&args.topology, &ReplicaChange::NONE, place)?;
    let secrets = take_out_secrets(&mut plan, &inspection.settings);
    let settings = StaticSettings {
        secrets,
        env: plan.env.clone(),
        grace: GRACE,
    };
    let spec = Spec::new(&plan, &inspection.manifest);
    let rendered = StaticPlan::new(&spec, &placement, &settings);
    let mut output = Output::open(&args.output, LIST)?;
    let beside_hosts = || hosts_file.with_file_name(".anylith-ca");
    let ca = args.ca.clone().unwrap_or_else(beside_hosts);
    let certified = certify(&rendered, &plan.app, &ca, args.days, &mut output)?;
    for host in &rendered.hosts {
        for (path, text) in &host.files {
            output.add(
                &format!("{}/{path}", host.name),
                sort_of(path),
                text.clone(),
            );
        }
    }
    let removed = output.write()?;
    report(
        &args,
        &rendered,
        &inspection.binary,
        certified.then_some(&*ca),
        &removed,
    )
}

/// Who may read the file at `path` of a host's folder.
fn sort_of(path: &str) -> Sort {
    match path.starts_with("units/") {
        true => Sort::Public,
        false => Sort::Private,
    }
}

/// The file with the hosts, and what it says.
fn hosts_file(args: &StaticArgs, app: &App) -> Result<(PathBuf, String), Failure> {
    let path = match &args.hosts {
        Some(path) => path.clone(),
        None => app.beside("hosts.toml"),
    };
    let text = fs::read_to_string(&path).map_err(|error| {
        let what = format!("the hosts in {} cannot be read: {error}", path.display());
        if error.kind() == io::ErrorKind::InvalidData {
            return Failure::input(what, "save the file as text in UTF-8");
        }
        Failure::input(
            what,
            "name their file with --hosts, or write it:\n    [hosts.one]\n    address = \"10.0.0.1\"\n    \
             groups = { monolith = 1 }",
        )
    })?;
    Ok((path, text))
}

/// Leaves no secret in the config of `plan`. Returns where each is to be found.
pub(super) fn take_out_secrets(
    plan: &mut Plan,
    settings: &Settings,
) -> BTreeMap<Name, Vec<SecretReference>> {
    let mut found = BTreeMap::new();
    for (component, config) in &mut plan.config {
        if let Some((without, secrets)) = settings.config_without_secrets(component.as_str()) {
            *config = without;
            if !secrets.is_empty() {
                found.insert(component.clone(), secrets);
            }
        }
    }
    found
}

/// Issues a certificate to each replica that needs one. Returns whether there are any.
fn certify(
    rendered: &StaticPlan,
    app: &Name,
    ca: &Path,
    days: u32,
    output: &mut Output,
) -> Result<bool, Failure> {
    if rendered.hosts.iter().all(|host| host.certified.is_empty()) {
        return Ok(false);
    }
    let failed = |error: anylith_pki::AuthorityError| {
        let mend = "name another folder for it with --ca, if this one cannot be mended";
        Failure::new(with_causes(&error), mend)
    };
    let now = SystemTime::now();
    let mut authority = Authority::open(ca, app.clone(), lifetimes(days), now).map_err(failed)?;
    authority.tend(now).map_err(failed)?;
    for host in &rendered.hosts {
        for replica in &host.certified {
            let subject = Subject {
                app: app.clone(),
                replica: replica.name.clone(),
                group: replica.group.clone(),
                components: replica.components.clone(),
            };
            let identity = authority.issue(&subject, now).map_err(failed)?;
            let texts = [identity.certificates, identity.key, identity.roots];
            for (file, text) in IDENTITY_FILES.iter().zip(texts) {
                let path = format!("{}/{}/{file}", host.name, replica.folder());
                output.add(&path, Sort::Private, text);
            }
        }
    }
    Ok(true)
}

/// Those of an authority whose certificates are valid for so many days.
pub(super) fn lifetimes(days: u32) -> Lifetimes {
    Lifetimes {
        certificate: DAY * days,
        // A root lives on while what it has signed does.
        root: Lifetimes::default().root.max(DAY * days * 4),
    }
}

/// Says what was written, on standard output, and what to do with it, on standard error.
fn report(
    args: &StaticArgs,
    rendered: &StaticPlan,
    binary: &Path,
    ca: Option<&Path>,
    removed: &[String],
) -> Result<(), Failure> {
    let out = args.output.display();
    let mut said = io::stdout().lock();
    for host in &rendered.hosts {
        writeln!(said, "{out}/{}: {}", host.name, residents(host))?;
    }
    drop(said);
    let paint = Paint::for_stderr();
    let mut told = io::stderr().lock();
    if !removed.is_empty() {
        writeln!(
            told,
            "{} files of before were removed: they are no longer needed",
            removed.len()
        )?;
    }
    if let Some(ca) = ca {
        writeln!(
            told,
            "certificates are valid for {} days from now; the authority that issued them is in {}, and belongs on no host",
            args.days,
            ca.display()
        )?;
    }
    writeln!(told, "{}", paint.bold("next, for each host:"))?;
    for host in &rendered.hosts {
        let StaticHost { name, plan, .. } = host;
        let (address, folder, user) = (plan.address, &plan.folder, &plan.user);
        writeln!(told, "  rsync -rp {out}/{name}/ root@{address}:{folder}/")?;
        writeln!(
            told,
            "  rsync -p {} root@{address}:{}",
            binary.display(),
            plan.binary
        )?;
        let account = match user.as_str() {
            // It is there everywhere.
            "root" => String::new(),
            user => format!("useradd -r {user}; "),
        };
        let run = match host.folder_to_make() {
            Some(run) => format!("install -d -m 700 -o {user} {run}; "),
            None => String::new(),
        };
        writeln!(
            told,
            "  ssh root@{address} '{account}{run}chown -R {user}: {folder} && cp {folder}/units/* /etc/systemd/system/ \
             && systemctl daemon-reload && systemctl enable --now --no-block {}.target'",
            app_of(rendered)
        )?;
        if let Some(cleaning) = cleaning(host, removed) {
            writeln!(told, "  ssh root@{address} '{cleaning}'")?;
        }
    }
    Ok(())
}

/// What takes away on `host` what was rendered before and is not any more: copying takes nothing away.
fn cleaning(host: &StaticHost, removed: &[String]) -> Option<String> {
    let here = |path: &String| {
        Some(
            path.strip_prefix(host.name.as_str())?
                .strip_prefix('/')?
                .to_owned(),
        )
    };
    let gone: Vec<String> = removed.iter().filter_map(here).collect();
    let units: Vec<&str> = gone
        .iter()
        .filter_map(|path| path.strip_prefix("units/"))
        .collect();
    let folder = &host.plan.folder;
    let files: String = gone
        .iter()
        .map(|path| format!(" {folder}/{path}"))
        .collect();
    let files = format!("rm -f{files}");
    match units[..] {
        [] if gone.is_empty() => None,
        [] => Some(files),
        _ => {
            let units = units.join(" ");
            Some(format!(
                "systemctl disable --now {units}; cd /etc/systemd/system && rm -f {units}; {files}"
            ))
        }
    }
}

/// The application's name, as its units have it.
fn app_of(rendered: &StaticPlan) -> &str {
    let files = rendered.hosts.iter().flat_map(|host| host.files.keys());
    let mut targets = files.filter_map(|file| file.strip_prefix("units/")?.strip_suffix(".target"));
    targets.next().unwrap_or_default()
}

/// What runs on `host`, in a line.
fn residents(host: &StaticHost) -> String {
    let replicas = host.plan.replicas.iter();
    let replicas: Vec<&str> = replicas.map(|replica| replica.name.as_str()).collect();
    let listeners = host.plan.listeners.iter();
    let listeners: String = listeners
        .map(|(name, address)| format!(", {name} at {address}"))
        .collect();
    format!("{}{listeners}", replicas.join(", "))
}
