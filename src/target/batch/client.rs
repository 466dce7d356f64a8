//! The Batch service's data plane (api-version 2025-06-01): pools, jobs, tasks, and the files of tasks.

use super::http::{Body, Call, Failure, Http, encoded};
use super::model::{Job, NodeCounts, Page, PageOf, Pool, Task, TaskResult};
use super::options::{BatchOptions, Login};
use super::sign;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Version of the interface that is spoken.
const API_VERSION: &str = "2025-06-01";
/// Most tasks that are added by one request.
pub(super) const TASKS_AT_ONCE: usize = 100;
/// Kind of the bodies; the space is signed.
const JSON: &str = "application/json; odata=minimalmetadata";

/// One account.
pub(super) struct Client {
    options: BatchOptions,
    http: Http,
}

/// Id of a task, and why it was not taken.
pub(super) type Added = (String, Result<(), Failure>);

impl Client {
    pub(super) fn new(options: BatchOptions, http: Http) -> Self {
        Self { options, http }
    }

    /// Makes a request. `query` are names and values beyond the version; `headers` those that begin with `ocp-`.
    fn ask(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, String)],
        body: Option<&[u8]>,
    ) -> Result<Vec<u8>, Failure> {
        let make = || self.call(method, path, query, headers, body);
        self.http.ask(&make)
    }

    fn call<'a>(
        &self,
        method: &'a str,
        path: &str,
        query: &[(&str, &str)],
        own: &[(&str, String)],
        body: Option<&'a [u8]>,
    ) -> Result<Call<'a>, Failure> {
        let mut query: Vec<(String, String)> = query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        query.push(("api-version".into(), API_VERSION.into()));
        let mut headers: BTreeMap<String, String> = own
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let date = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&jiff::Timestamp::now())
            .unwrap_or_default();
        headers.insert("ocp-date".into(), date);
        match body {
            Some(bytes) => {
                headers.insert("content-type".into(), JSON.into());
                headers.insert("content-length".into(), bytes.len().to_string());
            }
            None if !["GET", "HEAD"].contains(&method) => {
                headers.insert("content-length".into(), "0".into());
            }
            None => {}
        }
        let secret = self.options.secret().map_err(unauthorised)?;
        let authorization = match self.options.login {
            Login::Token => format!("Bearer {}", secret.trim()),
            Login::SharedKey => {
                let account = self.options.account();
                let text = sign::canonical(method, account, path, &query, &headers);
                let signature = sign::signature(&secret, &text).map_err(unauthorised)?;
                format!("SharedKey {account}:{signature}")
            }
        };
        headers.insert("authorization".into(), authorization);
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        Ok(Call {
            method,
            address: format!(
                "{}{path}?{}",
                self.options.account_url.trim_end_matches('/'),
                query.join("&")
            ),
            headers,
            body: body.map(Body::Bytes),
        })
    }

    fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Failure> {
        let body = self.ask("GET", path, query, &[], None)?;
        understood(&body)
    }

    fn post(&self, path: &str, body: Option<&impl Serialize>) -> Result<Vec<u8>, Failure> {
        let bytes = match body {
            Some(body) => Some(serde_json::to_vec(body).map_err(|error| Failure::Later(error.to_string()))?),
            None => None,
        };
        self.ask("POST", path, &[], &[], bytes.as_deref())
    }

    /// Every item of a list, page after page.
    fn all<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<T>, Failure> {
        let mut page: Page<T> = self.get(path, query)?;
        let mut items = std::mem::take(&mut page.value);
        while let Some(next) = page.next {
            let (path, query) = self.relative(&next)?;
            let query: Vec<(&str, &str)> = query
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            page = self.get(&path, &query)?;
            items.append(&mut page.value);
        }
        Ok(items)
    }

    /// Path and query of the address of a next page, which must be the account's own: the request is signed with its key.
    fn relative(&self, address: &str) -> Result<(String, PageOf), Failure> {
        let base = self.options.account_url.trim_end_matches('/');
        let elsewhere = || Failure::Refused {
            status: 0,
            code: String::new(),
            message: "the next page of a list is said to lie at another address".into(),
        };
        let rest = address.strip_prefix(base).ok_or_else(elsewhere)?;
        if !rest.starts_with('/') {
            return Err(elsewhere());
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let query = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .filter(|(name, _)| name != "api-version")
            .collect();
        Ok((path.to_owned(), query))
    }

    /// The pool.
    pub(super) fn pool(&self) -> Result<Pool, Failure> {
        self.get(&format!("/pools/{}", self.options.pool), &[])
    }

    /// Nodes of the pool by state.
    pub(super) fn node_counts(&self) -> Result<Option<NodeCounts>, Failure> {
        let filter = format!("poolId eq '{}'", self.options.pool);
        let counts: Vec<NodeCounts> = self.all("/nodecounts", &[("$filter", &filter)])?;
        Ok(counts
            .into_iter()
            .find(|counts| counts.pool.eq_ignore_ascii_case(&self.options.pool)))
    }

    /// Makes the pool; done already is done.
    pub(super) fn create_pool(&self, body: &Value) -> Result<(), Failure> {
        done_if(self.post("/pools", Some(body)), "PoolExists")
    }

    /// Makes a job in the pool; done already is done.
    pub(super) fn create_job(&self, id: &str) -> Result<(), Failure> {
        let body = json!({
            "id": id,
            "poolInfo": {"poolId": self.options.pool},
            "onAllTasksComplete": "noaction",
            "onTaskFailure": "noaction",
            "metadata": [{"name": "made-by", "value": "overdrive"}],
        });
        done_if(self.post("/jobs", Some(&body)), "JobExists")
    }

    /// The job.
    pub(super) fn job(&self, id: &str) -> Result<Job, Failure> {
        self.get(&format!("/jobs/{id}"), &[])
    }

    /// Removes a job and its tasks.
    pub(super) fn delete_job(&self, id: &str) -> Result<(), Failure> {
        done_if(
            self.ask("DELETE", &format!("/jobs/{id}"), &[], &[], None),
            "JobNotFound",
        )
    }

    /// Adds tasks, at most [`TASKS_AT_ONCE`]; for each its id and why it was not taken. One that is there already was taken.
    pub(super) fn add_tasks(&self, job: &str, tasks: &[Value]) -> Result<Vec<Added>, Failure> {
        let body = self.post(
            &format!("/jobs/{job}/addtaskcollection"),
            Some(&json!({"value": tasks})),
        );
        let body = match body {
            // Too much at once: half of it, twice.
            Err(failure) if failure.is(413) && tasks.len() > 1 => {
                let (first, second) = tasks.split_at(tasks.len() / 2);
                let mut results = self.add_tasks(job, first)?;
                results.extend(self.add_tasks(job, second)?);
                return Ok(results);
            }
            body => body?,
        };
        let page: Page<TaskResult> = understood(&body)?;
        Ok(page.value.into_iter().map(TaskResult::outcome).collect())
    }

    /// All tasks of a job, with what is needed of each.
    pub(super) fn tasks(&self, job: &str) -> Result<Vec<Task>, Failure> {
        let select = "id,state,executionInfo,nodeInfo";
        self.all(
            &format!("/jobs/{job}/tasks"),
            &[("$select", select), ("maxresults", "1000")],
        )
    }

    /// Ends a task; one that is over or gone has ended.
    pub(super) fn terminate_task(&self, job: &str, task: &str) -> Result<(), Failure> {
        let path = format!("/jobs/{job}/tasks/{task}/terminate");
        let ended = done_if(self.post(&path, None::<&Value>), "TaskCompleted");
        match ended {
            Err(failure) if failure.is(404) => Ok(()),
            ended => ended,
        }
    }

    /// Removes a task and its folder on the node.
    pub(super) fn delete_task(&self, job: &str, task: &str) -> Result<(), Failure> {
        let path = format!("/jobs/{job}/tasks/{task}");
        match self.ask("DELETE", &path, &[], &[], None) {
            Err(failure) if !failure.is(404) => Err(failure),
            _ => Ok(()),
        }
    }

    /// Bytes of a file of a task from `offset` on; none where it ends there, or is not there (yet).
    pub(super) fn file(&self, job: &str, task: &str, path: &str, offset: u64) -> Result<Vec<u8>, Failure> {
        let path: Vec<String> = path.split('/').map(encoded).collect();
        let path = format!("/jobs/{job}/tasks/{task}/files/{}", path.join("/"));
        let range = [("ocp-range", format!("bytes={offset}-"))];
        match self.ask("GET", &path, &[], &range, None) {
            Ok(bytes) => Ok(bytes),
            // Past its end; no such file; its node is not there or not reachable: the task's state tells what that means.
            Err(failure) if failure.is(416) || failure.is(404) || failure.is(409) => Ok(Vec::new()),
            Err(failure) => Err(failure),
        }
    }
}

fn unauthorised(reason: String) -> Failure {
    Failure::Refused {
        status: 401,
        code: String::new(),
        message: reason,
    }
}

/// Takes a refusal that says `code` for success: what was to be done is.
fn done_if(outcome: Result<Vec<u8>, Failure>, code: &str) -> Result<(), Failure> {
    match outcome {
        Err(failure) if !failure.says(code) => Err(failure),
        _ => Ok(()),
    }
}

fn understood<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::Refused {
        status: 0,
        code: String::new(),
        message: format!("the service's answer cannot be understood: {error}"),
    })
}

/// A value of a query as it was meant.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match byte {
            b'%' => {
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let value = high.zip(low).map(|(high, low)| high * 16 + low);
                bytes.push(value.and_then(|value| u8::try_from(value).ok()).unwrap_or(b'?'));
            }
            b'+' => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        let options = BatchOptions {
            account_url: "https://acct.west.batch.azure.com/".into(),
            ..BatchOptions::default()
        };
        Client::new(options, Http::new())
    }

    #[test]
    fn the_next_page_is_asked_for_as_given_and_nowhere_else() {
        let next = "https://acct.west.batch.azure.com/jobs/j/tasks?$skipToken=a%2Bb%3D&maxresults=2&api-version=2025-06-01";
        let (path, query) = client().relative(next).unwrap();
        assert_eq!(path, "/jobs/j/tasks");
        assert_eq!(
            query,
            [
                ("$skipToken".to_owned(), "a+b=".to_owned()),
                ("maxresults".into(), "2".into())
            ]
        );
        for bad in [
            "https://evil.example/jobs/j/tasks",
            "https://acct.west.batch.azure.com.evil.example/x",
            "https://acct.west.batch.azure.com@evil.example/x",
        ] {
            assert!(client().relative(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_of_a_query_come_back_as_they_were() {
        for text in ["a b", "state eq 'completed'", "100%", "\u{e4}+&=?"] {
            assert_eq!(decoded(&encoded(text)), text);
        }
        assert_eq!(decoded("%zz%4"), "??");
    }
}
