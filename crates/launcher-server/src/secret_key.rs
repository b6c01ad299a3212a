//! The key in the data directory, from which everything is derived that callers must not be able to make themselves.

use std::{
    fs::{self, OpenOptions},
    io::{Error, ErrorKind, Result, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

const LENGTH: usize = 32;

/// The key of this data directory; made if there is none.
///
/// # Errors
///
/// When the file can neither be read nor made, or is no key.
pub(crate) fn read_or_make(data_dir: &Path) -> Result<[u8; LENGTH]> {
    let path = data_dir.join("secret.key");
    let key = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return make(&path),
        read => read?,
    };
    let length = key.len();
    <[u8; LENGTH]>::try_from(key).map_err(|_| {
        let what =
            format!("it has {length} bytes and not {LENGTH}, so it is no key of a launcher's");
        Error::new(ErrorKind::InvalidData, what)
    })
}

/// Under another name first, so that a crash leaves no half a key.
fn make(path: &Path) -> Result<[u8; LENGTH]> {
    let key: [u8; LENGTH] = rand::random();
    let new = path.with_extension("new");
    if let Err(error) = fs::remove_file(&new)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(new, path)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_nobody_else_to_read() {
        let directory = tempfile::tempdir().unwrap();
        // What a crash has left.
        fs::write(directory.path().join("secret.new"), "half").unwrap();
        let key = read_or_make(directory.path()).unwrap();
        assert_eq!(read_or_make(directory.path()).unwrap(), key);
        let path = directory.path().join("secret.key");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_ne!(
            read_or_make(tempfile::tempdir().unwrap().path()).unwrap(),
            key
        );
    }

    #[test]
    fn what_is_no_key_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret.key");
        fs::write(&path, "something else").unwrap();
        let refused = read_or_make(directory.path()).unwrap_err();
        assert!(refused.to_string().contains("14 bytes"), "{refused}");
        assert_eq!(fs::read(path).unwrap(), b"something else");
    }
}
