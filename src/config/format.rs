//! Which kind of file this is, by its keys; so that a file in the wrong place is called by its name.

use crate::diagnostic::Node;

/// Kinds of files that people have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `hdconfig.yml`.
    Hyperdrive,
    /// v2 `type: sweep`.
    SweepJob,
    /// v2 `type: command` (also without `type`).
    CommandJob,
    /// v2 `type: pipeline`.
    PipelineJob,
    /// v1 run configuration.
    Runconfig,
    /// Job file of Amulet, a sibling dialect whose `search` section may say `type: hyperdrive`.
    Amulet,
    /// `overdrive.yml`.
    Overdrive,
    /// Conda environment.
    Conda,
}

impl Format {
    /// What to call it in messages.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Hyperdrive => "an hdconfig file",
            Self::SweepJob => "a v2 sweep job",
            Self::CommandJob => "a v2 command job",
            Self::PipelineJob => "a v2 pipeline job",
            Self::Runconfig => "a run configuration",
            Self::Amulet => "an Amulet job file",
            Self::Overdrive => "an `overdrive.yml`",
            Self::Conda => "a conda environment file",
        }
    }

    /// Recognises a document; `None` if nothing in it is telling.
    pub fn detect(root: &Node) -> Option<Self> {
        let has = |key: &str| root.entry(key).is_some();
        let kind = root.get("type").and_then(Node::as_str).unwrap_or_default();
        let schema = root.get("$schema").and_then(Node::as_str).unwrap_or_default();
        let schema = schema.rsplit('/').next().unwrap_or_default();
        if has("sampling")
            || has("primary_metric_goal")
            || has("primary_metric_name")
            || has("max_total_runs")
        {
            return Some(Self::Hyperdrive);
        }
        match kind {
            "sweep" | "sweep_job" => return Some(Self::SweepJob),
            "pipeline" | "pipeline_job" => return Some(Self::PipelineJob),
            "command" => return Some(Self::CommandJob),
            _ => {}
        }
        match schema {
            "sweepJob.schema.json" => return Some(Self::SweepJob),
            "pipelineJob.schema.json" => return Some(Self::PipelineJob),
            "commandJob.schema.json" => return Some(Self::CommandJob),
            _ => {}
        }
        if has("search_space") || has("trial") && has("objective") {
            return Some(Self::SweepJob);
        }
        if has("search") && (has("environment") || has("code")) || has("jobs") && has("target") && has("code")
        {
            return Some(Self::Amulet);
        }
        if has("script") || has("framework") || has("communicator") || has("runDefinition") {
            return Some(Self::Runconfig);
        }
        if has("dependencies") && !has("command") {
            return Some(Self::Conda);
        }
        if has("command") {
            return Some(Self::CommandJob);
        }
        let ours = [
            "seed",
            "targets",
            "stop_when",
            "constraints",
            "enqueue",
            "resume_from",
        ];
        (has("overdrive") || ours.into_iter().any(has)).then_some(Self::Overdrive)
    }
}
