//! `target`, `ml computetarget`: creating, showing and removing compute targets.

use super::kinds::{Attaching, Creating, Declared, Updating};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Arguments of `target`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  overdrive target create amlcompute -n cpu-cluster -s STANDARD_D3_V2 --max-nodes 4
  overdrive target attach remote -n gpu1 -a gpu1.example.org -u me --private-key-file ~/.ssh/id_ed25519
  overdrive run hdconfig.yml --target gpu1
  overdrive target test local")]
pub struct Target {
    /// What to do.
    #[command(subcommand)]
    pub command: TargetCommand,
}

/// Verbs of `target`.
#[derive(Debug, Subcommand)]
pub enum TargetCommand {
    /// Create a target.
    #[command(subcommand)]
    Create(CreateCommand),
    /// Change the numbers of a target.
    #[command(subcommand)]
    Update(UpdateCommand),
    /// List the targets.
    List(ProjectFolder),
    /// Show a target.
    Show(TargetName),
    /// Remove a target that was created.
    Delete(RemoveTarget),
    /// Let go of a target that was attached.
    Detach(RemoveTarget),
    /// Attach a resource that exists.
    Attach(AttachTarget),
    /// Look whether a target can run trials, and how long each step takes.
    Test(TestTarget),
    /// Remove what was left behind on a target and is not needed any more.
    Prune(PruneTarget),
}

/// Kinds of targets to create.
#[derive(Debug, Subcommand)]
pub enum CreateCommand {
    /// An elastic pool; on this computer its nodes are slots.
    Amlcompute(Box<CreatePool>),
    /// A kind that declares its fields.
    #[command(flatten)]
    Declared(Box<Declared<Creating>>),
    /// Any other kind: answered with the kinds there are.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Kinds of targets to change.
#[derive(Debug, Subcommand)]
pub enum UpdateCommand {
    /// An elastic pool.
    Amlcompute(UpdatePool),
    /// A kind that declares its fields.
    #[command(flatten)]
    Declared(Box<Declared<Updating>>),
    /// Any other kind: answered with the kinds there are.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Where the project lies.
#[derive(Debug, Clone, Args)]
pub struct ProjectFolder {
    /// Project folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub path: PathBuf,
}

/// Priority of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum VmPriority {
    /// Kept until they are given back.
    #[default]
    Dedicated,
    /// May be taken away.
    #[value(name = "lowpriority", alias = "low_priority")]
    LowPriority,
}

/// Arguments of `create amlcompute`.
#[derive(Debug, Clone, Args)]
pub struct CreatePool {
    /// Name: letters, digits and hyphens, a letter first, at most 32.
    #[arg(short = 'n', long, value_name = "NAME")]
    pub name: String,
    /// Size of a node, for instance STANDARD_D3_V2.
    #[arg(short = 's', long, value_name = "SIZE")]
    pub vm_size: String,
    /// Nodes at most.
    #[arg(long, value_name = "N")]
    pub max_nodes: u64,
    /// Nodes that are kept when nothing runs.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub min_nodes: u64,
    /// Seconds after which an idle node is let go.
    #[arg(long, value_name = "SECONDS", default_value_t = crate::target::pool::IDLE_SECONDS)]
    pub idle_seconds_before_scaledown: u64,
    /// Priority of the nodes; no effect on this computer.
    #[arg(
        short = 'p',
        long,
        value_enum,
        ignore_case = true,
        value_name = "PRIORITY",
        default_value_t
    )]
    pub vm_priority: VmPriority,
    /// Cores of a node, for a size that is not known.
    #[arg(long, value_name = "N")]
    pub cpus: Option<u32>,
    /// Memory of a node, for a size that is not known.
    #[arg(long = "memory", value_name = "GIB")]
    pub memory_gib: Option<f64>,
    /// GPUs of a node, for a size that is not known.
    #[arg(long, value_name = "N")]
    pub gpus: Option<u32>,
    /// Where its nodes are: `local` (this computer), `slurm`, `kubernetes` (kubectl's context), or a cluster that was attached.
    #[arg(long, value_name = "PLACE", default_value = "local")]
    pub on: String,
    /// How jobs are submitted, on Slurm.
    #[command(flatten)]
    pub jobs: Jobs,
    /// Free text.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Tag; repeat for several.
    #[arg(long, alias = "tags", value_name = "KEY=VALUE")]
    pub tag: Vec<String>,
    /// Price of a slot for an hour, in any unit: of several targets the cheapest is filled first.
    #[arg(long, value_name = "PRICE")]
    pub cost_per_hour: Option<f64>,
    /// Keep it for all projects of this user.
    #[arg(long)]
    pub user: bool,
    /// Project folder.
    #[command(flatten)]
    pub folder: ProjectFolder,
    /// What has no effect on this computer.
    #[command(flatten)]
    pub ignored: IgnoredPool,
}

/// Options of old scripts that have no effect on this computer.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Accepted, without effect on this computer")]
pub struct IgnoredPool {
    /// Administrator of the nodes; needs a password or a key.
    #[arg(short = 'u', long, value_name = "NAME")]
    pub admin_username: Option<String>,
    /// Password of the administrator; not kept.
    #[arg(long, value_name = "PASSWORD")]
    pub admin_user_password: Option<String>,
    /// Public key of the administrator; not kept.
    #[arg(long, value_name = "KEY")]
    pub admin_user_ssh_key: Option<String>,
    /// Virtual network; with its group and subnet.
    #[arg(long, value_name = "NAME")]
    pub vnet_name: Option<String>,
    /// Resource group of the network.
    #[arg(long, value_name = "NAME")]
    pub vnet_resourcegroup_name: Option<String>,
    /// Subnet.
    #[arg(long, value_name = "NAME")]
    pub subnet_name: Option<String>,
    /// Whether the nodes can be logged in to.
    #[arg(long, value_name = "WORD")]
    pub remote_login_port_public_access: Option<String>,
    /// Identity.
    #[arg(long, value_name = "ID")]
    pub assign_identity: Option<String>,
    /// Region.
    #[arg(short = 'l', long, value_name = "NAME")]
    pub location: Option<String>,
    /// Do not wait; there is nothing to wait for.
    #[arg(long)]
    pub no_wait: bool,
}

/// Arguments of `update amlcompute`.
#[derive(Debug, Clone, Args)]
pub struct UpdatePool {
    /// Target.
    #[command(flatten)]
    pub target: TargetName,
    /// Nodes at most.
    #[arg(long, value_name = "N")]
    pub max_nodes: Option<u64>,
    /// Nodes that are kept when nothing runs.
    #[arg(long, value_name = "N")]
    pub min_nodes: Option<u64>,
    /// Seconds after which an idle node is let go.
    #[arg(long, value_name = "SECONDS")]
    pub idle_seconds_before_scaledown: Option<u64>,
    /// Do not wait; there is nothing to wait for.
    #[arg(long)]
    pub no_wait: bool,
}

/// Names a target.
#[derive(Debug, Clone, Args)]
pub struct TargetName {
    /// Name.
    #[arg(short = 'n', long, value_name = "NAME")]
    pub name: String,
    /// Project folder.
    #[command(flatten)]
    pub folder: ProjectFolder,
}

/// Arguments of `delete`, `detach`.
#[derive(Debug, Clone, Args)]
pub struct RemoveTarget {
    /// Target.
    #[command(flatten)]
    pub target: TargetName,
    /// Cancel the sweeps that run on it first.
    #[arg(long)]
    pub force: bool,
    /// Do not wait; there is nothing to wait for.
    #[arg(long)]
    pub no_wait: bool,
    /// Accepted for old scripts; nothing is asked.
    #[arg(short = 'y', long)]
    pub yes: bool,
}

/// Arguments of `attach`.
#[derive(Debug, Clone, Args)]
pub struct AttachTarget {
    /// What to attach.
    #[command(subcommand)]
    pub command: AttachCommand,
}

/// Kinds of resources to attach.
#[derive(Debug, Clone, Subcommand)]
pub enum AttachCommand {
    /// A kind that declares its fields.
    #[command(flatten)]
    Declared(Box<Declared<Attaching>>),
    /// Any other kind: answered with the kinds there are.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// How a target is filed.
#[derive(Debug, Clone, Args)]
pub struct Filing {
    /// Name: letters, digits and hyphens, a letter first, at most 32.
    #[arg(short = 'n', long, value_name = "NAME")]
    pub name: String,
    /// Free text.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Tag; repeat for several.
    #[arg(long, alias = "tags", value_name = "KEY=VALUE")]
    pub tag: Vec<String>,
    /// Price of a slot for an hour, in any unit: of several targets the cheapest is filled first.
    #[arg(long, value_name = "PRICE")]
    pub cost_per_hour: Option<f64>,
    /// Keep it for all projects of this user.
    #[arg(long)]
    pub user: bool,
    /// Project folder.
    #[command(flatten)]
    pub folder: ProjectFolder,
    /// Write the file without looking whether it works.
    #[arg(long)]
    pub no_wait: bool,
}

/// How a machine is reached by SSH.
#[derive(Debug, Clone, Args)]
pub struct Reach {
    /// Name or address, or a `Host` of your SSH configuration.
    #[arg(short = 'a', long, alias = "ssh-config-host", value_name = "HOST")]
    pub address: Option<String>,
    /// User there.
    #[arg(short = 'u', long, value_name = "NAME")]
    pub username: Option<String>,
    /// Port; 22 unless your SSH configuration says otherwise.
    #[arg(long, value_name = "PORT")]
    pub ssh_port: Option<u16>,
    /// Password; others can see it while the command runs, so better one of the next three.
    #[arg(short = 'p', long, value_name = "PASSWORD")]
    pub password: Option<String>,
    /// Ask for the password, or the passphrase of the key.
    #[arg(long)]
    pub ask_secret: bool,
    /// File with the password or passphrase, readable by its owner alone.
    #[arg(long, alias = "password-file", value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Variable that holds the password or passphrase.
    #[arg(long, alias = "password-env", alias = "passphrase-env", value_name = "NAME")]
    pub secret_env: Option<String>,
    /// Private key.
    #[arg(long, value_name = "FILE")]
    pub private_key_file: Option<PathBuf>,
    /// Passphrase of the key; as with the password.
    #[arg(long, value_name = "PASSPHRASE")]
    pub private_key_passphrase: Option<String>,
    /// SSH configuration instead of yours.
    #[arg(long, value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,
    /// Accept the key of a host that was never seen.
    #[arg(long)]
    pub accept_host_key: bool,
    /// Folder there in which everything is kept; by default ~/.cache/overdrive.
    #[arg(long = "folder", value_name = "DIR")]
    pub root: Option<String>,
    /// Build of overdrive for that machine, if this one does not run there.
    #[arg(long, value_name = "FILE")]
    pub binary: Option<PathBuf>,
}

/// How jobs are submitted to Slurm.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Slurm")]
pub struct Jobs {
    /// Partition; the site's default otherwise.
    #[arg(long, value_name = "NAME")]
    pub partition: Option<String>,
    /// Account that pays.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Quality of service.
    #[arg(long, value_name = "NAME")]
    pub qos: Option<String>,
    /// Generic resources of a trial, such as gpu:1.
    #[arg(long, value_name = "LIST")]
    pub gres: Option<String>,
    /// Features that a node must have.
    #[arg(long, value_name = "LIST")]
    pub constraint: Option<String>,
    /// Time limit of a job, such as 2:00:00.
    #[arg(long, value_name = "TIME")]
    pub time: Option<String>,
    /// Another option of sbatch, such as --exclusive; repeat for several.
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub directive: Vec<String>,
    /// Let each job take one trial after the other.
    #[arg(long)]
    pub workers: bool,
    /// Seconds between two looks at the queue; 2 by default.
    #[arg(long, value_name = "SECONDS")]
    pub poll_seconds: Option<u64>,
}

/// Arguments of `prune`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:
  overdrive target prune gpu1 --older-than 7 --dry-run

Folders of trials that are over and were not brought home, snapshots, Python environments and builds of overdrive go; what may run,
and what a trial there uses, stays.")]
pub struct PruneTarget {
    /// Target.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What was used within so many days stays.
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub older_than: u64,
    /// Only say what would be removed.
    #[arg(long)]
    pub dry_run: bool,
    /// Project folder.
    #[command(flatten)]
    pub folder: ProjectFolder,
}

/// Arguments of `test`.
#[derive(Debug, Clone, Args)]
pub struct TestTarget {
    /// Target.
    #[arg(value_name = "NAME", default_value = "local")]
    pub name: String,
    /// Project folder.
    #[command(flatten)]
    pub folder: ProjectFolder,
}
