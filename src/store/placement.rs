//! Where the store lies: local disks take a write-ahead log, network file systems do not.

use std::path::Path;

/// Kind of file system under a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Locks and shared memory work: WAL, many readers beside the writer.
    Local,
    /// NFS, SMB, Lustre, GPFS, 9p, FUSE and their like: no WAL; one process keeps the file to itself.
    Network,
}

/// Magic numbers of `statfs(2)` that rule out a write-ahead log.
const NETWORK: &[i64] = &[
    0x6969,      // NFS
    0x517b,      // SMB
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB2
    0x0bd0_0bd0, // Lustre
    0x4750_4653, // GPFS
    0x0102_1997, // 9p
    0x6573_5546, // FUSE
    0x00c3_6400, // Ceph
    0x1983_0326, // BeeGFS
    0x5346_414f, // AFS
    0x7375_7245, // Coda
    0x564c,      // NCP
    0x2030_528d, // PanFS
];

impl Placement {
    /// Looks at the file system of an existing folder.
    ///
    /// # Errors
    /// Whatever `statfs` says.
    pub fn of(folder: &Path) -> std::io::Result<Self> {
        let magic = i64::from_ne_bytes(rustix::fs::statfs(folder)?.f_type.to_ne_bytes()) & 0xffff_ffff;
        Ok(if NETWORK.contains(&magic) {
            Self::Network
        } else {
            Self::Local
        })
    }
}

/// Bytes that an unprivileged process may still write below `folder`.
///
/// # Errors
/// Whatever `statvfs` says.
pub(crate) fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let status = rustix::fs::statvfs(folder)?;
    Ok(status.f_bavail.saturating_mul(status.f_frsize))
}
