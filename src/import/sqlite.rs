//! SQLite files of other tools, opened for reading only.

use super::ImportError;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// Opens the file; it is never written to.
pub(super) fn open(path: &Path) -> Result<Connection, ImportError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(ImportError::database(path))?;
    connection
        .busy_timeout(std::time::Duration::from_secs(5))
        .map_err(ImportError::database(path))?;
    Ok(connection)
}

/// Names of its tables.
pub(super) fn tables(path: &Path) -> Result<Vec<String>, ImportError> {
    let connection = open(path)?;
    let mut statement = connection
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
        .map_err(ImportError::database(path))?;
    let names = statement.query_map([], |row| row.get(0));
    names
        .and_then(Iterator::collect)
        .map_err(ImportError::database(path))
}

/// Whether a table has a column.
pub(super) fn has_column(
    connection: &Connection,
    table: &str,
    column: &str,
) -> Result<bool, rusqlite::Error> {
    connection
        .prepare("SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2)")?
        .query_row([table, column], |row| row.get(0))
}
