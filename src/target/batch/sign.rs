//! Shared-key signatures of the Batch service.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use std::collections::BTreeMap;

/// Headers that are signed by their position, in order.
const BY_POSITION: [&str; 11] = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
];

/// What is signed: the method, the headers by position, those that begin with `ocp-`, the account's resource and its query.
pub(super) fn canonical(
    method: &str,
    account: &str,
    path: &str,
    query: &[(String, String)],
    headers: &BTreeMap<String, String>,
) -> String {
    let mut text = format!("{method}\n");
    for name in BY_POSITION {
        text.push_str(headers.get(name).map_or("", String::as_str));
        text.push('\n');
    }
    for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("ocp-")) {
        text.push_str(&format!("{name}:{value}\n"));
    }
    text.push_str(&format!("/{account}{path}"));
    let mut query: Vec<_> = query.iter().filter(|(_, value)| !value.is_empty()).collect();
    query.sort();
    for (name, value) in query {
        text.push_str(&format!("\n{}:{value}", name.to_lowercase()));
    }
    text
}

/// The signature of `text` with the account's key as it is shown in the portal.
///
/// # Errors
/// If the key is not base64.
pub(super) fn signature(key: &str, text: &str) -> Result<String, String> {
    let key = STANDARD
        .decode(key.trim())
        .map_err(|_| "the account's key is not base64".to_owned())?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    Ok(STANDARD.encode(hmac::sign(&key, text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_official_client() {
        let headers: BTreeMap<String, String> = [
            ("content-length", "48"),
            ("content-type", "application/json; odata=minimalmetadata"),
            ("ocp-date", "Tue, 24 Nov 2026 06:29:34 GMT"),
            ("authorization", "not signed"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let query = [("api-version".to_owned(), "2025-06-01".to_owned())];
        let text = canonical("POST", "acct", "/jobs/j/tasks", &query, &headers);
        let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        assert_eq!(
            signature(key, &text).unwrap(),
            "ZiEYHSTBfgjQMEcD9SwFPsSorblT+nPimn3F4UKdxII="
        );
        assert!(signature("not base64!", &text).is_err());
    }
}
