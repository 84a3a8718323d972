//! What can be typed.

use std::{path::PathBuf, time::Duration};

use anylith_supervisor::Level;
use anylith_telemetry::{EdgePattern, InvalidId, TraceId};
use anylith_topology::{Dashboard, draw::Format, suggest};
use clap::{Args as Group, Parser, Subcommand};

/// Runs applications written as components: whole, split into services, or anything between.
///
/// APP is a folder with an `anylith.toml`, or that file; it is this folder if it is left out.
///
/// Exit codes: 0 done, 1 failed, 2 the input is wrong (usage, config, topology).
#[derive(Debug, Parser)]
#[command(
    name = "anylith",
    version,
    verbatim_doc_comment,
    arg_required_else_help = true
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Builds an application and runs it in a topology, until Ctrl-C drains it
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Runs an application while it is worked on: each change of its sources is built, and put in place while it serves
    #[command(after_help = DEV_EXAMPLES)]
    Dev(DevArgs),
    /// Says everything that is wrong with an application's topologies and config
    Check(CheckArgs),
    /// Draws which component is dependent on which
    Graph(GraphArgs),
    /// Says what runs of an application
    Status(StatusArgs),
    /// Shows which calls go where now, how long they take, and what processes need
    #[command(after_help = TOP_HELP)]
    Top(TopArgs),
    /// Prints what the replicas have counted, in Prometheus' text format
    Metrics(MetricsArgs),
    /// Prints the address of the page that shows an application as it runs
    #[command(after_help = DASHBOARD_EXAMPLES)]
    Dashboard(DashboardArgs),
    /// Shows where the time of a request went: the newest traces, or one of them with all of its calls
    #[command(after_help = TRACE_EXAMPLES)]
    Trace(TraceArgs),
    /// Shows the logs of all replicas as one, in time order
    #[command(after_help = LOGS_EXAMPLES)]
    Logs(LogsArgs),
    /// Starts replicas anew, one by one, while the others serve
    #[command(after_help = RESTART_EXAMPLES)]
    Restart(RestartArgs),
    /// Gives groups more replicas, or fewer, while they serve
    #[command(after_help = SCALE_EXAMPLES)]
    Scale(ScaleArgs),
    /// Divides the components into other groups while they are being called
    #[command(after_help = RESHAPE_EXAMPLES)]
    Reshape(ReshapeArgs),
    /// Rolls another build in, replica by replica, while the old one serves
    #[command(after_help = UPGRADE_EXAMPLES)]
    Upgrade(UpgradeArgs),
    /// Drains and stops an application that runs
    Stop(StopArgs),
    /// Writes what others run an application with
    #[command(subcommand)]
    Render(Render),
    /// Shows how the manifests of an application differ from those in a folder
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(DiffArgs),
    /// Makes a container image of an application's binary alone
    #[command(after_help = IMAGE_EXAMPLES)]
    Image(ImageArgs),
    /// Issues certificates with which the pods of a Kubernetes cluster know each other
    #[command(after_help = CERTS_EXAMPLES)]
    Certs(CertsArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Render {
    /// Files for hosts without a cluster manager: orders, certificates, units of systemd
    #[command(after_help = STATIC_EXAMPLES)]
    Static(StaticArgs),
    /// Manifests for a Kubernetes cluster, which `kubectl apply -k` takes
    #[command(after_help = KUBERNETES_EXAMPLES)]
    Kubernetes(KubernetesArgs),
}

/// Which application is meant: that of this folder, if none is named.
#[derive(Debug, Group)]
pub(crate) struct Which {
    /// Folder with an anylith.toml, or that file
    #[arg(value_name = "APP")]
    pub(crate) app: Option<PathBuf>,
    /// The same as APP
    #[arg(long = "app", value_name = "APP", conflicts_with = "app")]
    pub(crate) app_flag: Option<PathBuf>,
}

/// What overrides values of `anylith.toml`.
#[derive(Debug, Clone, Default, Group)]
pub(crate) struct Overriding {
    /// Sets a value of anylith.toml, as in `--set components.Currency.rates=other.json`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// Gives a listener another address, as in `--listen web=127.0.0.1:0`
    #[arg(long = "listen", value_name = "NAME=ADDR")]
    pub(crate) listen: Vec<String>,
    /// What is planned here runs on other machines: the environment overrides nothing, and secrets may be missing
    #[arg(skip)]
    pub(crate) for_elsewhere: bool,
}

/// How the application's binary is built, where it is.
#[derive(Debug, Default, Group)]
pub(crate) struct Building {
    /// Builds with optimisations
    #[arg(long)]
    pub(crate) release: bool,
}

const RUN_EXAMPLES: &str = "\
Examples:
  anylith run                                the application of this folder, whole
  anylith run --replicas 4                   four whole copies behind one address
  anylith run --topology micro --detach      a process for each component, in the background
  ANYLITH__limits__message=1MiB anylith run  any value of anylith.toml can come from the environment

On standard output is a line `ready: NAME URL` for each listener; all else is on standard error, the address of the
dashboard among it.";

const DASHBOARD_EXAMPLES: &str = "\
Examples:
  anylith dashboard                          the address, with the token of the run that is on
  anylith dashboard --open                   opens it in a browser, too
  anylith run --dashboard 127.0.0.1:9000     always at this address
  anylith run --dashboard off                without a dashboard

Who has the token can do all that this command can: it is for the owner alone, and good as long as the run is on.";

const DEV_EXAMPLES: &str = "\
Examples:
  anylith dev                                the application of this folder, whole
  anylith dev --topology micro               a process for each component

A build that fails leaves the one before it serving. Ctrl-C drains the application and ends it.";

const RESTART_EXAMPLES: &str = "\
Examples:
  anylith restart                            every replica of the application of this folder
  anylith restart Cart examples/boutique     those of Cart, of the application in that folder

A group first gets one replica more; then its replicas are drained, stopped and started one by one. If a new one does
not get ready, nothing more is stopped. Ctrl-C leaves the command, and the restart goes on.

During a restart a second replica exists for a moment, however few are wanted: it starts before the other stops. State
that must not be lost belongs in a database, or in a file that two processes can share safely; or the component is a
singleton, which hands it over.";

const SCALE_EXAMPLES: &str = "\
Examples:
  anylith scale Catalog=3                    two more, if there is one
  anylith scale Catalog=1 Cart=2             the highest numbers are drained and leave
  anylith scale Catalog=1..6                 from one to six, by what they bear
  anylith scale Catalog=0..6                 none while nothing is called; the first call starts one
  anylith scale Catalog=3 --dry-run          says which replicas would start and stop, and does nothing

A number holds until another one is given, also in a group whose number followed what its replicas bear. In a range the
control plane chooses: so that each replica bears the target that anylith.toml has for the group, or 16 calls under way
if it has none. How many there are and why is in `anylith status`. If a new replica does not get ready, the number before
holds again. Ctrl-C leaves the command, and the change goes on; so does --no-wait, once it has begun.";

const RESHAPE_EXAMPLES: &str = "\
Examples:
  anylith reshape micro --dry-run            says what would start, move and stop, and does nothing
  anylith reshape micro                      from whatever runs to a process for each component
  anylith reshape monolith examples/boutique and back into one, in that folder
  anylith reshape night.toml                 into a topology that anylith.toml does not have: that file has one
                                             section [topologies.NAME]

What is new starts first. When all of it is ready calls go there, and what was before drains. If it does not get ready
it is taken back, and nothing has changed. Ctrl-C leaves the command, and the reshape goes on; so does --no-wait, once
it has begun.";

const UPGRADE_EXAMPLES: &str = "\
Examples:
  anylith upgrade --binary target/release/shop --dry-run   says in which order, and whether it can be done
  anylith upgrade                                          builds the application anew, and rolls that in
  anylith upgrade --canary 10%                             a tenth of each group, and then waits for
  anylith upgrade --resume                                 the rest, or
  anylith upgrade --rollback                               all of it back

A new build that does not start, keeps failing, or fails notably more of its calls than the old one is rolled back by
itself. Ctrl-C leaves the command, and the upgrade goes on.";

const TOP_HELP: &str = "\
It is drawn anew each second, with what has happened in the last five; q or Ctrl-C ends it. Where the output is no
terminal it looks for two seconds, prints that, and ends.

CORES is how many processors are kept busy. Of a component it is extrapolated from a part of what its code does. QUEUED
is how long calls from other processes wait until they are begun, 99 of 100 no longer.";

const TRACE_EXAMPLES: &str = "\
Examples:
  anylith trace                              the newest traces that are kept
  anylith trace 0af76519                     one of them, by the first digits of its name
  anylith trace --failed --since 10m         those that have failed in the last ten minutes
  anylith trace --edge 'Frontend->Cart' --min 20ms
                                             those with a call along this edge that took so long
  anylith logs --trace 0af7651916cd43dd8448eb211c80319c
                                             what was logged for one

Of all traces a share is kept, 1% unless anylith.toml says otherwise; and those in which something fails or is slow.";

const LOGS_EXAMPLES: &str = "\
Examples:
  anylith logs -n 50                         the last 50 lines
  anylith logs -f --level warn               what goes wrong, as it happens
  anylith logs --component Cart refused      what Cart says about refusals
  anylith logs --since 5m --level error      what failed in the last five minutes
  anylith logs examples/boutique -f          of the application in that folder";

/// Which application is to run, and how.
#[derive(Debug, Group)]
pub(crate) struct Running {
    /// Folder with an anylith.toml, or that file
    #[arg(value_name = "APP", default_value = ".")]
    pub(crate) app: PathBuf,
    /// The topology to run in: monolith, micro, or one of anylith.toml
    #[arg(long, value_name = "NAME", default_value = "monolith")]
    pub(crate) topology: String,
    /// Replicas of every group, or of some, as in `4` or `Catalog=3,Cart=1..6`
    #[arg(long, value_name = "N|GROUP=N,...", allow_negative_numbers = true)]
    pub(crate) replicas: Option<String>,
    #[command(flatten)]
    pub(crate) overriding: Overriding,
    #[command(flatten)]
    pub(crate) building: Building,
    /// Where the dashboard listens, or `off`; at a port of the system's choice on this host if it is left out
    #[arg(long, value_name = "ADDR|off", value_parser = dashboard)]
    pub(crate) dashboard: Option<Dashboard>,
}

#[derive(Debug, Group)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) running: Running,
    /// Comes back when all is ready, and leaves the application running
    #[arg(long)]
    pub(crate) detach: bool,
    /// Is the process that stays when the one with `--detach` comes back
    #[arg(long, hide = true)]
    pub(crate) in_background: bool,
}

#[derive(Debug, Group)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Group)]
pub(crate) struct CheckArgs {
    /// Folder with an anylith.toml, or that file
    #[arg(value_name = "APP", default_value = ".")]
    pub(crate) app: PathBuf,
    /// Only this topology, instead of all
    #[arg(long, value_name = "NAME")]
    pub(crate) topology: Option<String>,
    /// Replicas as they would be given to `run`
    #[arg(long, value_name = "N|GROUP=N,...", allow_negative_numbers = true)]
    pub(crate) replicas: Option<String>,
    #[command(flatten)]
    pub(crate) overriding: Overriding,
    #[command(flatten)]
    pub(crate) building: Building,
}

#[derive(Debug, Group)]
pub(crate) struct GraphArgs {
    /// Folder with an anylith.toml, or that file
    #[arg(value_name = "APP", default_value = ".")]
    pub(crate) app: PathBuf,
    /// text, svg, mermaid, dot or json
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = format)]
    pub(crate) format: Format,
    /// Draws the groups of this topology, too
    #[arg(long, value_name = "NAME")]
    pub(crate) topology: Option<String>,
    /// Draws the graph of what runs, with calls, failures and times of each edge, anew each second until q; once where the
    /// output is no terminal
    #[arg(long, conflicts_with_all = ["topology", "format"])]
    pub(crate) live: bool,
    /// Prints that as JSON, once
    #[arg(long, requires = "live")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) overriding: Overriding,
    #[command(flatten)]
    pub(crate) building: Building,
}

#[derive(Debug, Group)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Prints it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct MetricsArgs {
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Group)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Looks for two seconds, and prints that as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct DashboardArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Opens it in a browser, too
    #[arg(long)]
    pub(crate) open: bool,
}

#[derive(Debug, Group)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Kills everything at once instead
    #[arg(long)]
    pub(crate) kill: bool,
}

#[derive(Debug, Group)]
pub(crate) struct RestartArgs {
    /// Only this group, or the one with this component; then APP, if it is not this folder
    #[arg(value_name = "GROUP] [APP", num_args = 0..=2)]
    pub(crate) words: Vec<String>,
    /// The same as APP
    #[arg(long = "app", value_name = "APP")]
    pub(crate) app_flag: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct ScaleArgs {
    /// How many replicas groups are to have, as in `Catalog=3 Cart=0..5`; and APP, if it is not this folder
    #[arg(value_name = "GROUP=N|GROUP=N..M|APP", required = true)]
    pub(crate) words: Vec<String>,
    /// The same as APP
    #[arg(long = "app", value_name = "APP")]
    pub(crate) app_flag: Option<PathBuf>,
    /// Says what would be done, and does nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Comes back when the numbers are reached, or taken back; as it does without this
    #[arg(long, conflicts_with_all = ["no_wait", "dry_run"])]
    pub(crate) wait: bool,
    /// Comes back when it has begun
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Group)]
pub(crate) struct ReshapeArgs {
    /// The topology to run in: monolith, micro, one of anylith.toml, or a file with one
    #[arg(value_name = "TOPOLOGY|FILE")]
    pub(crate) topology: String,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Replicas of every group, or of some, as in `4` or `Catalog=3,Cart=1..6`
    #[arg(long, value_name = "N|GROUP=N,...", allow_negative_numbers = true)]
    pub(crate) replicas: Option<String>,
    /// Says what would be done, and does nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Comes back when the new topology runs alone, or it was taken back; as it does without this
    #[arg(long, conflicts_with_all = ["no_wait", "dry_run"])]
    pub(crate) wait: bool,
    /// Comes back when it has begun
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) no_wait: bool,
    /// Prints what is done, or would be, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct UpgradeArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// The binary of the new build; what anylith.toml names, built anew, if it is left out
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pause", "resume", "rollback"])]
    pub(crate) binary: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) building: Building,
    /// Waits for --resume when this share of each group's replicas runs the new build, at least one in each group, as in `10%`
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with_all = ["pause", "resume", "rollback"])]
    pub(crate) canary: Option<u8>,
    /// How long the new build is watched: the first replicas before others follow, and all of them at the end
    #[arg(long, value_name = "TIME", value_parser = age, default_value = "3s", conflicts_with_all = ["pause", "resume", "rollback"])]
    pub(crate) observe: Duration,
    /// Begins no further step of the upgrade that is under way
    #[arg(long, conflicts_with_all = ["resume", "rollback", "dry_run"])]
    pub(crate) pause: bool,
    /// Goes on with the upgrade that is paused
    #[arg(long, conflicts_with_all = ["rollback", "dry_run"])]
    pub(crate) resume: bool,
    /// Brings the old build back everywhere
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) rollback: bool,
    /// Says what would be done, and does nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Prints what is done, or would be, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct TraceArgs {
    /// The first digits of a trace's name; then APP, if it is not this folder
    #[arg(value_name = "TRACE] [APP", num_args = 0..=2)]
    pub(crate) words: Vec<String>,
    /// The same as APP
    #[arg(long = "app", value_name = "APP")]
    pub(crate) app_flag: Option<PathBuf>,
    /// Only traces with a call along this edge, as in `Frontend->Cart`, `Frontend->` or `->Cart`
    #[arg(long, value_name = "EDGE", value_parser = edge)]
    pub(crate) edge: Option<EdgePattern>,
    /// Only traces with a call that this component made or answered
    #[arg(long, value_name = "COMPONENT")]
    pub(crate) component: Option<String>,
    /// Only traces that took at least so long, or whose call along the edge did: 20ms, 1s
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub(crate) min: Option<Duration>,
    /// Only traces in which something failed, or whose call along the edge did
    #[arg(long)]
    pub(crate) failed: bool,
    /// Only traces with these words in one of their calls
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Only traces that are not older than this: 5m, 2h
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) since: Option<Duration>,
    /// At most N traces
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub(crate) lines: usize,
    /// Prints it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct LogsArgs {
    /// Text that lines must have, in capitals or not; several words must all be there. The first word may be APP
    #[arg(value_name = "QUERY")]
    pub(crate) query: Vec<String>,
    /// Folder with an anylith.toml, or that file; this folder if it is left out
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<PathBuf>,
    /// Goes on with new lines as they are written, until the application stops
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only lines about this component; may be repeated
    #[arg(long, value_name = "COMPONENT")]
    pub(crate) component: Vec<String>,
    /// Only lines of this level or a graver one: trace, debug, info, warn, error
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub(crate) level: Option<Level>,
    /// Only lines with this text; like QUERY, but one phrase
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Only lines of this replica, or of all replicas of this group; may be repeated
    #[arg(long, value_name = "REPLICA")]
    pub(crate) replica: Vec<String>,
    /// Only lines that were written for this trace
    #[arg(long, value_name = "TRACE", value_parser = trace)]
    pub(crate) trace: Option<TraceId>,
    /// Only lines that are not older than this: 5m, 2h, 1h30m
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) since: Option<Duration>,
    /// Only the last N lines that fit
    #[arg(long, short = 'n', value_name = "N", allow_negative_numbers = true)]
    pub(crate) lines: Option<usize>,
}

const STATIC_EXAMPLES: &str = "\
Examples:
  anylith render static --topology split           the hosts of hosts.toml, written to out/
  anylith render static --days 7                   certificates that are renewed every week
  anylith render static --set components.Cart.database='\"sqlite:/var/lib/shop/carts.db\"'

Written again it changes only what has changed, and all certificates: copy it to the hosts as the first
time. Replicas that run take the new ones, and drop no connection.";

#[derive(Debug, Group)]
pub(crate) struct StaticArgs {
    /// Folder with an anylith.toml, or that file
    #[arg(value_name = "APP", default_value = ".")]
    pub(crate) app: PathBuf,
    /// The topology to run in: monolith, micro, or one of anylith.toml
    #[arg(long, value_name = "NAME", default_value = "monolith")]
    pub(crate) topology: String,
    /// The hosts; `hosts.toml` beside anylith.toml if it is left out
    #[arg(long, value_name = "FILE")]
    pub(crate) hosts: Option<PathBuf>,
    /// The folder to write to, with one for each host in it
    #[arg(long, short, value_name = "FOLDER", default_value = "out")]
    pub(crate) output: PathBuf,
    /// Where the certificate authority is kept, or made; `.anylith-ca` beside the hosts if it is left out
    #[arg(long, value_name = "FOLDER")]
    pub(crate) ca: Option<PathBuf>,
    /// For how many days certificates are valid
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=825))]
    pub(crate) days: u32,
    #[command(flatten)]
    pub(crate) overriding: Overriding,
    #[command(flatten)]
    pub(crate) building: Building,
}

const KUBERNETES_EXAMPLES: &str = "\
Examples:
  anylith render kubernetes --image registry.example.com/shop:1.4 --topology micro
  anylith render kubernetes --image shop:1.4 --topology split --namespace shop -o deploy
  anylith render kubernetes --image shop:1.4 --replicas 3 --set 'kubernetes.lag=\"15s\"'

Written again it changes only what has changed, and removes what is no longer there. What a cluster must know besides
(resources, storage, an Ingress) is in [kubernetes] of anylith.toml.";

/// Which groups a cluster has.
#[derive(Debug, Group)]
pub(crate) struct OnCluster {
    /// Folder with an anylith.toml, or that file
    #[arg(value_name = "APP", default_value = ".")]
    pub(crate) app: PathBuf,
    /// The topology to run in: monolith, micro, or one of anylith.toml
    #[arg(long, value_name = "NAME", default_value = "monolith")]
    pub(crate) topology: String,
    /// Replicas of every group, or of some, as in `4` or `Catalog=3,Cart=1..6`
    #[arg(long, value_name = "N|GROUP=N,...", allow_negative_numbers = true)]
    pub(crate) replicas: Option<String>,
    /// The namespace of all objects; without it that in which they are applied
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    #[command(flatten)]
    pub(crate) overriding: Overriding,
    #[command(flatten)]
    pub(crate) building: Building,
}

#[derive(Debug, Group)]
pub(crate) struct KubernetesArgs {
    #[command(flatten)]
    pub(crate) cluster: OnCluster,
    /// The image of the application, as nodes pull it
    #[arg(long, value_name = "REF")]
    pub(crate) image: String,
    /// The folder to write to
    #[arg(long, short, value_name = "FOLDER", default_value = "kubernetes")]
    pub(crate) output: PathBuf,
}

const DIFF_EXAMPLES: &str = "\
Examples:
  anylith diff --image registry.example.com/shop:1.5 --topology micro
  anylith diff --image shop:1.4 --topology split --namespace shop --against deploy
  anylith diff --image shop:1.4 | patch -p0        makes the folder what would be rendered

What is shown is what `anylith render kubernetes` with the same arguments would change in the folder, as a unified diff.
Files in it that were not rendered are left alone. Exit codes: 0 nothing differs, 1 something does (or it failed, which
is said), 2 the input is wrong. With what runs in a cluster a folder is compared by `kubectl diff -k kubernetes`.";

#[derive(Debug, Group)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub(crate) cluster: OnCluster,
    /// The image of the application, as nodes pull it
    #[arg(long, value_name = "REF")]
    pub(crate) image: String,
    /// The folder with the manifests that there are
    #[arg(long, value_name = "FOLDER", default_value = "kubernetes")]
    pub(crate) against: PathBuf,
}

const IMAGE_EXAMPLES: &str = "\
Examples:
  anylith image -t registry.example.com/shop:1.4       builds with optimisations, and writes shop.oci.tar
  anylith image examples/boutique -t shop:1.4 -o it.tar

It is made from scratch, without a daemon: the binary, the libraries that it needs, and a user who is not root. The same
binary gives the same digest. What has to be in it besides (data files, CA certificates) is mounted, or built in.";

#[derive(Debug, Group)]
pub(crate) struct ImageArgs {
    /// Folder with an anylith.toml, or that file
    #[arg(value_name = "APP", default_value = ".")]
    pub(crate) app: PathBuf,
    /// What the image is called; the application's name and `latest` if it is left out
    #[arg(long, short, value_name = "NAME:TAG")]
    pub(crate) tag: Option<String>,
    /// The file to write; NAME.oci.tar if it is left out
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

const CERTS_EXAMPLES: &str = "\
Examples:
  anylith certs --topology micro && kubectl apply -f certs/
  anylith certs --topology micro --days 7          certificates that are renewed every week

Done again it issues new ones: apply them, and pods that run take them within a minute or two, and drop no call. The
first time makes the authority that signs them: keep it, and give it to no cluster. Where cert-manager issues
certificates (`issuer` of [kubernetes]), this is not needed.";

#[derive(Debug, Group)]
pub(crate) struct CertsArgs {
    #[command(flatten)]
    pub(crate) cluster: OnCluster,
    /// The folder to write to, which is closed to others
    #[arg(long, short, value_name = "FOLDER", default_value = "certs")]
    pub(crate) output: PathBuf,
    /// Where the certificate authority is kept, or made; `.anylith-ca` beside anylith.toml if it is left out
    #[arg(long, value_name = "FOLDER")]
    pub(crate) ca: Option<PathBuf>,
    /// For how many days certificates are valid
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=825))]
    pub(crate) days: u32,
}

fn format(text: &str) -> Result<Format, String> {
    text.parse::<Format>().map_err(|error| error.to_string())
}

fn dashboard(text: &str) -> Result<Dashboard, String> {
    text.parse()
        .map_err(|what: String| format!("{what}: write `127.0.0.1:9000`, or `off`"))
}

fn share(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let share = number
        .parse()
        .ok()
        .filter(|share| (1..=100).contains(share));
    share.ok_or_else(|| "write a share from 1% to 100%, as in `10%`".to_owned())
}

fn age(text: &str) -> Result<Duration, String> {
    text.parse::<humantime::Duration>()
        .map(Into::into)
        .map_err(|error| format!("{error}: write `5m`, `2h` or `30s`"))
}

fn edge(text: &str) -> Result<EdgePattern, String> {
    text.parse().map_err(str::to_owned)
}

fn trace(text: &str) -> Result<TraceId, String> {
    text.parse()
        .map_err(|error: InvalidId| format!("{error}: see the names with `anylith trace --json`"))
}

fn level(text: &str) -> Result<Level, String> {
    text.parse()
        .map_err(|error: String| format!("{error}: {}", suggest(text, &Level::NAMES, "levels", "")))
}
