//! What the API tells of a pod, in the terms of attempts.

use crate::target::Fate;
use serde_json::Value;
use std::time::Duration;

/// How a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pod {
    /// Nothing is known yet.
    Unseen,
    /// It does not run yet; why.
    Waiting(String),
    /// It runs; its name.
    Running(String),
    /// It is over.
    Over {
        /// How that counts.
        fate: Fate,
        /// One sentence.
        why: String,
    },
}

/// Reasons of a waiting container that only somebody's change ends.
const STUCK: [&str; 7] = [
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "ErrImagePull",
    "ImagePullBackOff",
];

/// What a pod's status says.
pub(super) fn read(pod: &Value) -> Pod {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = text("/metadata/name").to_owned();
    let state = pod.pointer("/status/containerStatuses/0/state");
    let of_state = |pointer: &str| {
        state
            .and_then(|state| state.pointer(pointer))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    match text("/status/phase") {
        "Running" if text("/metadata/deletionTimestamp").is_empty() => Pod::Running(name),
        // Its processes may still be there: what they do is seen until they are not.
        "Running" if state.is_some_and(|state| state.get("running").is_some()) => Pod::Running(name),
        "Running" => over(Fate::Preempted, format!("its pod {name} is being deleted")),
        "Failed" | "Succeeded" => ended(pod, &name),
        _ => {
            let reason = of_state("/waiting/reason");
            let message = of_state("/waiting/message");
            if !reason.is_empty() && reason != "ContainerCreating" && reason != "PodInitializing" {
                return Pod::Waiting(format!("{reason}: {}", short(message)));
            }
            let unscheduled = pod
                .pointer("/status/conditions")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .find(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False");
            match unscheduled {
                Some(condition) => {
                    let message = condition["message"].as_str().unwrap_or_default();
                    Pod::Waiting(format!("no node for it: {}", short(message)))
                }
                None => Pod::Waiting("its container is being made".into()),
            }
        }
    }
}

/// Whether waiting any longer is of use, given how long it has waited without any change.
pub(super) fn is_stuck(why: &str, waited: Duration, patience: Duration) -> bool {
    // A registry may answer the second time.
    let hopeless =
        STUCK.iter().any(|reason| why.starts_with(reason)) && waited > patience.min(Duration::from_secs(60));
    let never = why.starts_with("ErrImageNeverPull") || why.starts_with("InvalidImageName");
    never || hopeless || waited > patience
}

fn over(fate: Fate, why: String) -> Pod {
    Pod::Over { fate, why }
}

fn ended(pod: &Value, name: &str) -> Pod {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let terminated = pod.pointer("/status/containerStatuses/0/state/terminated");
    let reason = terminated
        .and_then(|state| state["reason"].as_str())
        .unwrap_or_default();
    let code = terminated.and_then(|state| state["exitCode"].as_i64());
    let disrupted = pod
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "DisruptionTarget" && condition["status"] == "True");
    if reason == "OOMKilled" {
        return over(
            Fate::OutOfMemory,
            format!("its pod {name} was killed for lack of memory"),
        );
    }
    if let Some(condition) = disrupted {
        let why = condition["message"].as_str().unwrap_or_default();
        return over(
            Fate::Preempted,
            format!("its pod {name} was taken away: {}", short(why)),
        );
    }
    match text("/status/reason") {
        "Evicted" => over(
            Fate::Preempted,
            format!("its pod {name} was evicted: {}", short(text("/status/message"))),
        ),
        reason
        @ ("Preempting" | "Shutdown" | "NodeShutdown" | "Terminated" | "NodeLost" | "NodeAffinity") => over(
            Fate::Preempted,
            format!("its pod {name} ended with its node ({reason})"),
        ),
        "DeadlineExceeded" => over(
            Fate::TimeLimit,
            format!("its pod {name} reached a deadline of the cluster"),
        ),
        _ => match (reason, code) {
            ("ContainerCannotRun" | "StartError", _) => {
                let message = terminated
                    .and_then(|state| state["message"].as_str())
                    .unwrap_or_default();
                over(
                    Fate::Setup,
                    format!("its image cannot be started: {}", short(message)),
                )
            }
            (_, Some(code)) => over(Fate::Preempted, format!("its pod {name} was ended (code {code})")),
            _ => over(
                Fate::Preempted,
                format!("its pod {name} ended: {}", short(text("/status/message"))),
            ),
        },
    }
}

/// As much of a message as a line holds.
fn short(message: &str) -> String {
    let line: String = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.as_str() {
        "" => "no reason was given".into(),
        line => line.chars().take(300).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn states_are_told_apart() {
        let unscheduled = json!({"metadata": {"name": "p"}, "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}]}});
        let Pod::Waiting(why) = read(&unscheduled) else {
            panic!()
        };
        assert!(why.contains("Insufficient cpu"), "{why}");
        let no_image = json!({"metadata": {"name": "p"}, "status": {"phase": "Pending", "containerStatuses": [
            {"state": {"waiting": {"reason": "ErrImageNeverPull", "message": "Container image \"x\" is not present"}}}]}});
        let Pod::Waiting(why) = read(&no_image) else {
            panic!()
        };
        assert!(is_stuck(&why, Duration::ZERO, Duration::from_secs(900)), "{why}");
        let backoff = "ImagePullBackOff: Back-off";
        assert!(!is_stuck(
            backoff,
            Duration::from_secs(5),
            Duration::from_secs(900)
        ));
        assert!(is_stuck(
            backoff,
            Duration::from_secs(90),
            Duration::from_secs(900)
        ));
        assert!(!is_stuck(
            "no node for it: x",
            Duration::from_secs(90),
            Duration::from_secs(900)
        ));
        let killed = json!({"metadata": {"name": "p"}, "status": {"phase": "Failed", "containerStatuses": [
            {"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}});
        assert!(matches!(
            read(&killed),
            Pod::Over {
                fate: Fate::OutOfMemory,
                ..
            }
        ));
        let evicted = json!({"metadata": {"name": "p"}, "status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}});
        let Pod::Over {
            fate: Fate::Preempted,
            why,
        } = read(&evicted)
        else {
            panic!()
        };
        assert!(why.contains("low on memory"), "{why}");
    }
}
