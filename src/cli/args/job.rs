//! The verbs of the Azure ML command line (v2): `job ...`, `compute ...`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Verbs of `job`.
#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// Run a job file: a sweep or a command.
    Create(CreateJob),
    /// Check a job file without running it.
    Validate {
        /// Job file.
        #[arg(short = 'f', long, value_name = "FILE")]
        file: PathBuf,
        /// Change a setting of the file; repeat for several.
        #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
        set: Vec<String>,
    },
    /// List jobs, newest first; children only with --parent-job-name.
    List {
        /// Children of this job.
        #[arg(short = 'p', long, value_name = "NAME")]
        parent_job_name: Option<String>,
        /// At most this many.
        #[arg(short = 'r', long, value_name = "N", default_value_t = 50)]
        max_results: usize,
        /// All of them.
        #[arg(long)]
        all_results: bool,
        /// Only jobs with this tag.
        #[arg(long, value_name = "KEY[=VALUE]")]
        tag: Option<String>,
        /// Archived ones too.
        #[arg(long)]
        include_archived: bool,
        /// Archived ones only.
        #[arg(long)]
        archived_only: bool,
    },
    /// Show a job.
    Show(JobName),
    /// Cancel a job.
    Cancel(JobName),
    /// Print the output of a job until it ends.
    Stream(JobName),
    /// Copy outputs and logs of a job.
    Download {
        /// Job.
        #[command(flatten)]
        job: JobName,
        /// Named outputs too; there are none here, outputs are files of the job.
        #[arg(long)]
        all: bool,
        /// Named output; accepted, everything is copied.
        #[arg(long, value_name = "NAME")]
        output_name: Option<String>,
        /// Folder; made if it is missing.
        #[arg(short = 'p', long, value_name = "DIR", default_value = ".")]
        download_path: PathBuf,
    },
    /// Hide a job from lists.
    Archive(JobName),
    /// Show a hidden job in lists again.
    Restore(JobName),
    /// Change the tags of a job.
    Update {
        /// Job.
        #[command(flatten)]
        job: JobName,
        /// `tags.KEY=VALUE`; repeat for several.
        #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
        set: Vec<String>,
    },
}

/// Arguments of `job create`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example:\n  overdrive ml job create -f sweep.yml --stream --set limits.max_total_trials=20"
)]
pub struct CreateJob {
    /// Job file.
    #[arg(short = 'f', long, value_name = "FILE")]
    pub file: PathBuf,
    /// Name; default: what the file says, else a new one.
    #[arg(short = 'n', long, value_name = "NAME")]
    pub name: Option<String>,
    /// Follow the job to its end; without it the verb returns at once.
    #[arg(short = 's', long)]
    pub stream: bool,
    /// Change a setting of the file; repeat for several.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    pub set: Vec<String>,
    /// Experiment name.
    #[arg(short = 'e', long, value_name = "NAME")]
    pub experiment_name: Option<String>,
    /// Accepted; `overdrive studio` serves the page.
    #[arg(long)]
    pub web: bool,
    /// Accepted; files are always checked.
    #[arg(long)]
    pub skip_validation: bool,
}

/// Names a job.
#[derive(Debug, Clone, Args)]
pub struct JobName {
    /// Name of the job.
    #[arg(short = 'n', long, value_name = "NAME")]
    pub name: String,
    /// Accepted; `overdrive studio` serves the page.
    #[arg(long)]
    pub web: bool,
}

/// Verbs of `compute`.
#[derive(Debug, Subcommand)]
pub enum V2Command {
    /// Create a target from options or a file.
    Create(CreateV2),
    /// List the targets.
    List {
        /// Only this type.
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        /// At most this many.
        #[arg(long, value_name = "N")]
        max_results: Option<usize>,
    },
    /// Show a target.
    Show(V2Name),
    /// List the nodes of a target that are in use.
    ListNodes(V2Name),
    /// Change the numbers of a target.
    Update {
        /// Target.
        #[command(flatten)]
        target: V2Name,
        /// Nodes at most.
        #[arg(long, value_name = "N")]
        max_instances: Option<u64>,
        /// Nodes that are kept when nothing runs.
        #[arg(long, value_name = "N")]
        min_instances: Option<u64>,
        /// Seconds after which an idle node is let go.
        #[arg(long, value_name = "SECONDS")]
        idle_time_before_scale_down: Option<u64>,
        /// Accepted, nothing is waited for.
        #[arg(long)]
        no_wait: bool,
    },
    /// Remove a target that was created.
    Delete(RemoveV2),
    /// Let go of a target that was attached.
    Detach(RemoveV2),
    /// Attach a resource that exists.
    Attach {
        /// Kind and options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
        rest: Vec<String>,
    },
}

/// Names a target.
#[derive(Debug, Clone, Args)]
pub struct V2Name {
    /// Name of the target.
    #[arg(short = 'n', long, value_name = "NAME")]
    pub name: String,
}

/// Arguments of `compute delete`, `compute detach`.
#[derive(Debug, Clone, Args)]
pub struct RemoveV2 {
    /// Target.
    #[command(flatten)]
    pub target: V2Name,
    /// Accepted, nothing is asked.
    #[arg(short = 'y', long)]
    pub yes: bool,
    /// Accepted, nothing is waited for.
    #[arg(long)]
    pub no_wait: bool,
}

/// Arguments of `compute create`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example:\n  overdrive ml compute create -n cpu-cluster --type AmlCompute --size STANDARD_D3_V2 --max-instances 4"
)]
pub struct CreateV2 {
    /// Compute file, instead of or below the options.
    #[arg(short = 'f', long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Name.
    #[arg(short = 'n', long, value_name = "NAME")]
    pub name: Option<String>,
    /// Type: amlcompute.
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Size of a node.
    #[arg(long, value_name = "SIZE")]
    pub size: Option<String>,
    /// Nodes at most.
    #[arg(long, value_name = "N")]
    pub max_instances: Option<u64>,
    /// Nodes that are kept when nothing runs.
    #[arg(long, value_name = "N")]
    pub min_instances: Option<u64>,
    /// Seconds after which an idle node is let go.
    #[arg(long, value_name = "SECONDS")]
    pub idle_time_before_scale_down: Option<u64>,
    /// Tier of the nodes: dedicated or low_priority.
    #[arg(long, value_name = "TIER")]
    pub tier: Option<String>,
    /// Free text.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Tag; repeat for several.
    #[arg(long, alias = "tags", value_name = "KEY=VALUE", num_args = 1..)]
    pub tag: Vec<String>,
    /// Region; no effect on this computer.
    #[arg(short = 'l', long, value_name = "NAME")]
    pub location: Option<String>,
    /// Accepted, nothing is waited for.
    #[arg(long)]
    pub no_wait: bool,
}
