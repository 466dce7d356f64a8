//! What the Batch service says of pools, jobs and tasks, and what that means for a trial. Fields that nobody needs are passed over.

use super::http::Failure;
use crate::target::{Fate, Liveness};
use serde::Deserialize;

/// Exit code of a task that found its attempt claimed: it was started a second time.
pub(super) const CLAIMED: i32 = 75;
/// Exit code of a task that could not be made ready; the file `trouble` says why.
pub(super) const TROUBLE: i32 = 71;

/// Names and values of a query.
pub(super) type PageOf = Vec<(String, String)>;

/// Part of a list.
#[derive(Deserialize)]
pub(super) struct Page<T> {
    #[serde(default = "Vec::new")]
    pub(super) value: Vec<T>,
    #[serde(rename = "odata.nextLink", default)]
    pub(super) next: Option<String>,
}

/// A pool.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Pool {
    pub(super) state: String,
    pub(super) vm_size: String,
    pub(super) allocation_state: String,
    pub(super) current_dedicated_nodes: u32,
    pub(super) current_low_priority_nodes: u32,
    pub(super) task_slots_per_node: Option<u32>,
    pub(super) resize_errors: Option<Vec<NamedError>>,
}

/// An error that is part of a description.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NamedError {
    pub(super) code: String,
    pub(super) message: Option<String>,
    /// `usererror` or `servererror`.
    pub(super) category: String,
}

/// Nodes of a pool by state.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct NodeCounts {
    #[serde(rename = "poolId")]
    pub(super) pool: String,
    #[serde(default)]
    pub(super) dedicated: States,
    #[serde(rename = "lowPriority", default)]
    pub(super) low_priority: States,
}

/// Nodes by state.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct States {
    pub(super) idle: u32,
    pub(super) running: u32,
    pub(super) total: u32,
    pub(super) unusable: u32,
    pub(super) start_task_failed: u32,
}

/// A job.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Job {
    pub(super) state: String,
}

/// A task.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) execution_info: Option<Execution>,
    pub(super) node_info: Option<Node>,
}

/// Where a task runs or ran.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Node {
    pub(super) node_id: String,
}

/// How a task went.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Execution {
    pub(super) exit_code: Option<i32>,
    pub(super) result: Option<String>,
    pub(super) failure_info: Option<FailureInfo>,
    pub(super) requeue_count: u32,
}

/// Why a task failed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct FailureInfo {
    pub(super) category: String,
    pub(super) code: String,
    pub(super) message: Option<String>,
}

/// What became of one task of several that were added at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskResult {
    task_id: String,
    status: String,
    #[serde(default)]
    error: Option<ResultError>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ResultError {
    code: String,
    message: Option<ResultMessage>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ResultMessage {
    value: String,
}

impl TaskResult {
    /// Its id, and whether it is there now.
    pub(super) fn outcome(self) -> (String, Result<(), Failure>) {
        let error = self.error.unwrap_or_default();
        let outcome = match self.status.to_ascii_lowercase().as_str() {
            "success" => Ok(()),
            _ if error.code == "TaskExists" => Ok(()),
            "servererror" => Err(Failure::Later(error.code)),
            _ => Err(Failure::Refused {
                status: 400,
                code: error.code,
                message: error.message.unwrap_or_default().value,
            }),
        };
        (self.task_id, outcome)
    }
}

impl Task {
    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        self.state == "completed"
    }

    /// Whether it waits for a node.
    pub(super) fn waits(&self) -> bool {
        self.state == "active"
    }

    fn execution(&self) -> Execution {
        self.execution_info.clone().unwrap_or_default()
    }

    /// What the end of the task means for an attempt whose journal does not tell one. `claimed` tells whether its claim was taken, and
    /// if by a controller that gave it up; `trouble` is what its node could not do.
    pub(super) fn end(&self, claimed: Claimed, trouble: Option<&str>) -> Liveness {
        let execution = self.execution();
        let failure = execution.failure_info.clone().unwrap_or_default();
        let words = |text: &FailureInfo| match &text.message {
            Some(message) if !message.is_empty() => {
                format!(
                    "{}: {}",
                    text.code,
                    message.lines().next().unwrap_or_default().trim()
                )
            }
            _ => text.code.clone(),
        };
        match (execution.exit_code, failure.code.as_str()) {
            (Some(CLAIMED), _) if claimed == Claimed::GivenUp => Liveness::Over(
                Fate::Canceled,
                "the attempt was given up before its task began".into(),
            ),
            (Some(CLAIMED), _) => Liveness::Dead(
                "its node was lost or taken away; Batch started its task again, which did not execute it"
                    .into(),
            ),
            (Some(TROUBLE), _) => Liveness::Over(
                Fate::Setup,
                trouble.unwrap_or("its node could not be made ready").to_owned(),
            ),
            (_, "TaskEnded") => Liveness::Over(Fate::Canceled, "its task was ended".into()),
            // It never came to run: what Batch was to fetch, or the node itself.
            (None, code) if !code.is_empty() && claimed == Claimed::Nobody => Liveness::Over(
                Fate::NotStarted,
                format!("Batch could not start its task: {}", words(&failure)),
            ),
            (code, _) => {
                let code = code.map_or("no exit code".to_owned(), |code| format!("code {code}"));
                let more = match words(&failure).as_str() {
                    "" => String::new(),
                    words => format!(", {words}"),
                };
                Liveness::Dead(format!(
                    "its task ended with {code}{more}, and its journal tells no end"
                ))
            }
        }
    }
}

/// Who has taken an attempt's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claimed {
    Nobody,
    Node,
    GivenUp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(json: &str) -> Task {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn every_end_without_a_journal_has_a_meaning() {
        let ended = task(
            r#"{"id":"t","state":"completed","executionInfo":{"result":"failure","failureInfo":{"category":"usererror","code":"TaskEnded","message":"by request","details":[]},"retryCount":0,"requeueCount":0}}"#,
        );
        assert!(ended.is_over() && !ended.waits());
        assert!(matches!(
            ended.end(Claimed::Nobody, None),
            Liveness::Over(Fate::Canceled, _)
        ));
        let twice = task(
            r#"{"state":"completed","executionInfo":{"exitCode":75,"result":"failure","failureInfo":{"category":"usererror","code":"FailureExitCode"},"requeueCount":1}}"#,
        );
        assert!(matches!(twice.end(Claimed::Node, None), Liveness::Dead(_)));
        assert!(matches!(
            twice.end(Claimed::GivenUp, None),
            Liveness::Over(Fate::Canceled, _)
        ));
        let setup = task(r#"{"state":"completed","executionInfo":{"exitCode":71}}"#);
        assert_eq!(
            setup.end(Claimed::Node, Some("no python3")),
            Liveness::Over(Fate::Setup, "no python3".into())
        );
        let fetch = task(
            r#"{"state":"completed","executionInfo":{"failureInfo":{"category":"usererror","code":"BlobAccessDenied","message":"no\nmore"}}}"#,
        );
        assert_eq!(
            fetch.end(Claimed::Nobody, None),
            Liveness::Over(
                Fate::NotStarted,
                "Batch could not start its task: BlobAccessDenied: no".into()
            )
        );
        let killed = task(
            r#"{"state":"completed","executionInfo":{"exitCode":137,"failureInfo":{"code":"FailureExitCode"}}}"#,
        );
        assert_eq!(
            killed.end(Claimed::Node, None),
            Liveness::Dead(
                "its task ended with code 137, FailureExitCode, and its journal tells no end".into()
            )
        );
    }

    #[test]
    fn a_task_that_is_there_already_was_taken() {
        let results: Page<TaskResult> = serde_json::from_str(
            r#"{"value":[{"status":"Success","taskId":"a","eTag":"0x1"},
                {"status":"clienterror","taskId":"b","error":{"code":"TaskExists","message":{"value":"there"}}},
                {"status":"clienterror","taskId":"c","error":{"code":"InvalidPropertyValue","message":{"value":"no"}}},
                {"status":"servererror","taskId":"d","error":{"code":"ServerBusy"}}],"odata.nextLink":null}"#,
        )
        .unwrap();
        let outcomes: Vec<_> = results.value.into_iter().map(TaskResult::outcome).collect();
        assert_eq!(outcomes[0], ("a".into(), Ok(())));
        assert_eq!(outcomes[1], ("b".into(), Ok(())));
        assert!(outcomes[2].1.as_ref().is_err_and(|failure| failure.is(400)));
        assert_eq!(outcomes[3].1, Err(Failure::Later("ServerBusy".into())));
    }
}
