//! Tables, versions and migrations. The format is described in `docs/design/store.md`.

use super::error::StoreError;
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

/// `application_id` of a store: "ovdr".
pub const APPLICATION_ID: i64 = 0x6f76_6472;

/// Step *n* brings a store from format *n* to *n + 1*; never edited once released.
pub(crate) const MIGRATIONS: &[&str] = &[FORMAT_1, FORMAT_2];

const FORMAT_1: &str = "
CREATE TABLE sweep (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    experiment TEXT NOT NULL,
    display_name TEXT,
    definition TEXT NOT NULL,
    file TEXT,
    folder TEXT NOT NULL,
    targets TEXT NOT NULL,
    metric TEXT,
    goal TEXT,
    state TEXT NOT NULL,
    reason TEXT,
    progress TEXT,
    max_total INTEGER NOT NULL,
    max_concurrent INTEGER NOT NULL,
    max_duration_ms INTEGER,
    boot_id TEXT NOT NULL,
    created_boot_ms INTEGER NOT NULL,
    created_wall_ms INTEGER NOT NULL,
    now_ms INTEGER NOT NULL DEFAULT 0,
    ended_ms INTEGER,
    stopped_by_policy INTEGER NOT NULL DEFAULT 0,
    best_trial INTEGER,
    best_value REAL,
    best_interval INTEGER,
    best_step INTEGER,
    best_parameters TEXT,
    tags TEXT NOT NULL,
    notes TEXT,
    archived INTEGER NOT NULL DEFAULT 0,
    preparation TEXT
) STRICT;
CREATE INDEX sweep_created ON sweep (created_wall_ms);

CREATE TABLE trial_count (
    sweep INTEGER NOT NULL,
    state TEXT NOT NULL,
    trials INTEGER NOT NULL,
    PRIMARY KEY (sweep, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE trial (
    sweep INTEGER NOT NULL,
    number INTEGER NOT NULL,
    assignment TEXT NOT NULL,
    origin TEXT NOT NULL,
    state TEXT NOT NULL,
    cause TEXT,
    reason TEXT,
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    ended_ms INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    phase TEXT NOT NULL DEFAULT 'Queued',
    reports INTEGER NOT NULL DEFAULT 0,
    best REAL,
    best_interval INTEGER,
    best_step INTEGER,
    last_seq INTEGER,
    last_value REAL,
    last_step INTEGER,
    last_elapsed_ms INTEGER,
    stop TEXT,
    PRIMARY KEY (sweep, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX trial_state ON trial (sweep, state);
CREATE INDEX trial_best ON trial (sweep, best);

CREATE TABLE attempt (
    sweep INTEGER NOT NULL,
    trial INTEGER NOT NULL,
    number INTEGER NOT NULL,
    nonce TEXT NOT NULL DEFAULT '',
    folder TEXT NOT NULL DEFAULT '',
    target TEXT NOT NULL DEFAULT '',
    boot_id TEXT NOT NULL DEFAULT '',
    device TEXT,
    outcome TEXT,
    superseded INTEGER NOT NULL DEFAULT 0,
    argv TEXT,
    runner TEXT,
    created_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    journal_seq INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (sweep, trial, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_open ON attempt (sweep, trial) WHERE outcome IS NULL;

CREATE TABLE metric (
    key INTEGER PRIMARY KEY,
    sweep INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (sweep, name)
) STRICT;

CREATE TABLE series (
    sweep INTEGER NOT NULL,
    trial INTEGER NOT NULL,
    metric INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    points INTEGER NOT NULL,
    PRIMARY KEY (sweep, trial, metric, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE point (
    sweep INTEGER NOT NULL,
    metric INTEGER NOT NULL,
    trial INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    step INTEGER,
    elapsed_ms INTEGER NOT NULL,
    value REAL,
    interval INTEGER,
    PRIMARY KEY (sweep, metric, trial, attempt, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE fact (
    sweep INTEGER NOT NULL,
    trial INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (sweep, trial, kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact (
    sweep INTEGER NOT NULL,
    trial INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    path TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (sweep, trial, attempt, path, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE enqueued (
    key INTEGER PRIMARY KEY,
    sweep INTEGER NOT NULL,
    assignment TEXT NOT NULL
) STRICT;

CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sweep INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    trial INTEGER,
    attempt INTEGER,
    point INTEGER,
    data TEXT
) STRICT;
CREATE INDEX event_sweep ON event (sweep, seq);

CREATE TABLE lease (
    sweep INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    pid INTEGER NOT NULL,
    start_ticks INTEGER NOT NULL,
    nonce TEXT NOT NULL,
    doorbell TEXT,
    renewed_wall_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE request (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sweep INTEGER NOT NULL,
    body TEXT NOT NULL,
    created_wall_ms INTEGER NOT NULL,
    handled_ms INTEGER,
    error TEXT
) STRICT;
CREATE INDEX request_open ON request (sweep, id) WHERE handled_ms IS NULL;
";

/// A command waits for the end of the sweep and has not told it yet.
const FORMAT_2: &str = "ALTER TABLE sweep ADD COLUMN awaited INTEGER NOT NULL DEFAULT 0;";

/// What a file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Nothing in it yet.
    Empty,
    /// A store of this format.
    Version(i64),
}

/// Reads the format without changing anything.
///
/// # Errors
/// [`StoreError::Foreign`] for other people's databases, [`StoreError::Newer`] for a format above `known`.
pub(crate) fn inspect(connection: &Connection, path: &Path, known: i64) -> Result<Format, StoreError> {
    let read = |pragma: &str| -> Result<i64, StoreError> {
        connection
            .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
            .map_err(|error| StoreError::sqlite(path, error))
    };
    let application = read("application_id")?;
    let version = read("user_version")?;
    let objects: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| StoreError::sqlite(path, error))?;
    match (application, version) {
        (0, 0) if objects == 0 => Ok(Format::Empty),
        (APPLICATION_ID, found) if found > known => Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known,
        }),
        (APPLICATION_ID, found) if found > 0 => Ok(Format::Version(found)),
        _ => Err(StoreError::Foreign(path.to_owned())),
    }
}

/// Brings the store at `path` to the last of `migrations`, in one transaction; an older store with content is first copied to
/// `<path>.format-<n>`.
///
/// # Errors
/// Those of [`inspect`], and whatever SQLite says; the store is unchanged then.
pub(crate) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), StoreError> {
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    let sorted = |error| StoreError::sqlite(path, error);
    if inspect(connection, path, known)? == Format::Version(known) {
        return Ok(());
    }
    if let Format::Version(found) = inspect(connection, path, known)? {
        let mut copy = path.as_os_str().to_owned();
        copy.push(format!(".format-{found}"));
        connection
            .backup("main", copy, None::<fn(rusqlite::backup::Progress)>)
            .map_err(sorted)?;
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Exclusive)
        .map_err(sorted)?;
    // Somebody else may have migrated between the look and the lock.
    let begun = match inspect(&transaction, path, known)? {
        Format::Empty => 0,
        Format::Version(found) => found,
    };
    for step in migrations.iter().skip(usize::try_from(begun).unwrap_or(0)) {
        transaction.execute_batch(step).map_err(sorted)?;
    }
    transaction
        .execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {known};"
        ))
        .map_err(sorted)?;
    transaction.commit().map_err(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_store_is_copied_and_brought_forward_in_one_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("overdrive.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate(
            &mut connection,
            &path,
            &["CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (7);"],
        )
        .unwrap();
        let both = [
            "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (7);",
            "ALTER TABLE a ADD COLUMN y INTEGER DEFAULT 8;",
        ];
        migrate(&mut connection, &path, &both).unwrap();
        let row: (i64, i64) = connection
            .query_row("SELECT x, y FROM a", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(row, (7, 8));
        let copy = Connection::open(folder.path().join("overdrive.db.format-1")).unwrap();
        assert_eq!(
            copy.query_row("SELECT x FROM a", [], |row| row.get::<_, i64>(0))
                .unwrap(),
            7
        );
        assert!(
            copy.query_row("SELECT y FROM a", [], |row| row.get::<_, i64>(0))
                .is_err()
        );
    }

    #[test]
    fn a_failing_step_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("overdrive.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection, &path, &["CREATE TABLE a (x INTEGER);"]).unwrap();
        let broken = [
            "CREATE TABLE a (x INTEGER);",
            "ALTER TABLE a ADD COLUMN y INTEGER; nonsense;",
        ];
        assert!(migrate(&mut connection, &path, &broken).is_err());
        assert_eq!(inspect(&connection, &path, 1).unwrap(), Format::Version(1));
        assert!(connection.query_row("SELECT y FROM a", [], |_| Ok(())).is_err());
    }

    #[test]
    fn strangers_and_newer_formats_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("overdrive.db");
        let mut connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("CREATE TABLE theirs (x INTEGER);")
            .unwrap();
        assert!(matches!(
            migrate(&mut connection, &path, MIGRATIONS),
            Err(StoreError::Foreign(_))
        ));
        connection
            .execute_batch(&format!(
                "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 99;"
            ))
            .unwrap();
        assert!(matches!(
            migrate(&mut connection, &path, MIGRATIONS),
            Err(StoreError::Newer { found: 99, .. })
        ));
    }
}
