//! The blob container by which nodes get what they need and send home what trials left, by a shared access signature.

use super::http::{Body, Call, Failure, Http, encoded};
use std::collections::BTreeMap;
use std::path::Path;

/// Version of the storage interface that is spoken.
const VERSION: &str = "2021-12-02";

/// One container.
#[derive(Clone)]
pub(super) struct Container {
    address: String,
    signature: String,
    http: Http,
}

impl Container {
    /// The container at `address`; `signature` is the query that grants access to it.
    pub(super) fn new(address: &str, signature: &str, http: Http) -> Self {
        Self {
            address: address.trim_end_matches('/').to_owned(),
            signature: signature.trim_start_matches('?').to_owned(),
            http,
        }
    }

    /// Address of a blob with the right to read it, for those who cannot ask.
    pub(super) fn address_of(&self, name: &str) -> String {
        let path: Vec<String> = name.split('/').map(encoded).collect();
        let query = match self.signature.as_str() {
            "" => String::new(),
            signature => format!("?{signature}"),
        };
        format!("{}/{}{query}", self.address, path.join("/"))
    }

    /// Address of the container with the right to use it.
    pub(super) fn access(&self) -> String {
        match self.signature.as_str() {
            "" => self.address.clone(),
            signature => format!("{}?{signature}", self.address),
        }
    }

    fn ask(
        &self,
        method: &str,
        name: &str,
        own: &[(&str, &str)],
        body: Option<Body<'_>>,
    ) -> Result<Vec<u8>, Failure> {
        let make = || {
            let mut headers: BTreeMap<String, String> = own
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            headers.insert("x-ms-version".into(), VERSION.into());
            Ok(Call {
                method,
                address: self.address_of(name),
                headers,
                body,
            })
        };
        self.http.ask(&make)
    }

    /// Writes a blob, whatever was there.
    pub(super) fn put(&self, name: &str, body: Body<'_>) -> Result<(), Failure> {
        self.ask("PUT", name, &[("x-ms-blob-type", "BlockBlob")], Some(body))
            .map(drop)
    }

    /// Writes a blob that nobody has written before; `false` if somebody was first. A first try whose answer was lost counts as
    /// somebody: whoever may have been first must look at what is there.
    pub(super) fn put_new(&self, name: &str, bytes: &[u8]) -> Result<bool, Failure> {
        let headers = [("x-ms-blob-type", "BlockBlob"), ("if-none-match", "*")];
        match self.ask("PUT", name, &headers, Some(Body::Bytes(bytes))) {
            Ok(_) => Ok(true),
            Err(failure) if failure.is(409) || failure.is(412) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// The content of a blob; `None` if there is none.
    pub(super) fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        match self.ask("GET", name, &[], None) {
            Ok(body) => Ok(Some(body)),
            Err(failure) if failure.is(404) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Writes a blob's content into a file, whatever its size; `false` if there is no blob.
    pub(super) fn fetch(&self, name: &str, path: &Path) -> Result<bool, Failure> {
        self.http
            .download(&self.address_of(name), ("x-ms-version", VERSION), path)
    }

    /// Whether there is a blob of that name.
    pub(super) fn has(&self, name: &str) -> Result<bool, Failure> {
        match self.ask("HEAD", name, &[], None) {
            Ok(_) => Ok(true),
            Err(failure) if failure.is(404) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Removes a blob; one that is gone is removed.
    pub(super) fn delete(&self, name: &str) -> Result<(), Failure> {
        match self.ask("DELETE", name, &[], None) {
            Err(failure) if !failure.is(404) => Err(failure),
            _ => Ok(()),
        }
    }
}

/// A program's blob.
pub(super) fn program(hash: &str) -> String {
    format!("overdrive/bin/{hash}")
}

/// A content's blob.
pub(super) fn content(name: &str) -> String {
    format!("overdrive/blobs/{name}")
}

/// A snapshot's list of files.
pub(super) fn manifest(id: &str) -> String {
    format!("overdrive/snapshots/{id}.json")
}

/// What belongs to one task: `order`, `claim`, `cancel`, `left`.
pub(super) fn of_task(job: &str, task: &str, what: &str) -> String {
    format!("overdrive/tasks/{job}/{task}/{what}")
}
