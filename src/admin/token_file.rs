//! The file that holds the token of the admin interface: written by the daemon, read by commands, and by nobody but
//! its owner.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use secrecy::SecretString;

use crate::ports::chance::Chance;

/// Most bytes of a token; what is longer is another file.
const LONGEST: u64 = 4096;

/// Numbers of 64 bits that a token is made of.
const NUMBERS: usize = 4;

/// Why there is no token in a file.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("the token file `{0}` cannot be read")]
    Unreadable(PathBuf, #[source] io::Error),
    /// Others than its owner may use it.
    #[error(
        "the token file `{0}` is open to others than its owner (mode {1:04o}): chmod 600 it, and change the token if others may have read it"
    )]
    Open(PathBuf, u32),
    /// It holds something else.
    #[error("the token file `{0}` does not hold a token: one line of visible characters")]
    NoToken(PathBuf),
    /// It is not there, and cannot be made.
    #[error("the token file `{0}` cannot be made")]
    NotMade(PathBuf, #[source] io::Error),
}

impl TokenFileError {
    /// Whether there is no such file, as far as one may look.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        let kinds = [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::PermissionDenied];
        matches!(self, Self::Unreadable(_, error) if kinds.contains(&error.kind()))
    }
}

/// The token in a file that only its owner may use.
pub fn read(path: &Path) -> Result<SecretString, TokenFileError> {
    let unreadable = |error| TokenFileError::Unreadable(path.to_owned(), error);
    let file = File::open(path).map_err(unreadable)?;
    // Of the file that is read, and not of what has that name by now.
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TokenFileError::Open(path.to_owned(), mode));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let token = str::from_utf8(&bytes).unwrap_or_default().trim();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    // It goes into a header as it is.
    if !is_token || bytes.len() as u64 > LONGEST {
        return Err(TokenFileError::NoToken(path.to_owned()));
    }
    Ok(token.into())
}

/// The token in a file, which is made with a fresh token where there is none; whether it was made.
pub fn read_or_make(path: &Path, chance: &dyn Chance) -> Result<(SecretString, bool), TokenFileError> {
    match read(path) {
        Err(TokenFileError::Unreadable(_, error)) if error.kind() == ErrorKind::NotFound => {}
        found => return Ok((found?, false)),
    }
    let made = make(path, chance).map_err(|error| TokenFileError::NotMade(path.to_owned(), error))?;
    // What another daemon has made in the meantime is the token, too.
    Ok((read(path)?, made))
}

/// Makes the file, as a whole or not at all; `false` where there is one by now.
fn make(path: &Path, chance: &dyn Chance) -> io::Result<bool> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let bytes: Vec<u8> = (0..NUMBERS).flat_map(|_| chance.number().to_ne_bytes()).collect();
    let beside = folder.join(format!(".copy-manager-token-{}", chance.uuid().simple()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(format!("{}\n", hex::encode(&bytes)).as_bytes())?;
        file.sync_all()?;
        // Unlike a rename this never takes the place of another file.
        fs::hard_link(&beside, path)
    };
    let written = write();
    fs::remove_file(&beside)
        .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::ports::chance::Dice;

    fn put(path: &Path, content: &str, mode: u32) {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_that_is_not_there_is_made_for_its_owner_alone_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/token");
        assert!(read(&path).is_err_and(|error| error.is_absent()));
        let (token, made) = read_or_make(&path, &Dice::from_os()).unwrap();
        let token = token.expose_secret();
        assert!(made);
        assert!(token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        let beside = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 1, "nothing is left beside it");

        let (again, made) = read_or_make(&path, &Dice::from_os()).unwrap();
        assert_eq!((again.expose_secret(), made), (token, false));
        assert_eq!(read(&path).unwrap().expose_secret(), token);
    }

    #[test]
    fn of_several_that_make_it_at_once_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let all: Vec<_> = std::thread::scope(|scope| {
            let all: Vec<_> =
                (0..8).map(|_| scope.spawn(|| read_or_make(&path, &Dice::from_os()).unwrap())).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(all.iter().filter(|(_, made)| *made).count(), 1);
        assert!(all.iter().all(|(token, _)| token.expose_secret() == all[0].0.expose_secret()));
    }

    #[test]
    fn a_file_that_others_may_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for mode in [0o640, 0o604, 0o644, 0o620, 0o610] {
            put(&path, "secret\n", mode);
            for told in [read(&path).map(drop), read_or_make(&path, &Dice::from_os()).map(drop)] {
                let told = told.unwrap_err().to_string();
                assert!(told.contains(&format!("(mode {mode:04o}): chmod 600 it")), "{told}");
                assert!(!told.contains("secret"), "{told}");
            }
        }
        put(&path, " secret\n", 0o400);
        assert_eq!(read(&path).unwrap().expose_secret(), "secret");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for content in ["", " \n", "two\nlines", "two words", "ä", &"x".repeat(5000)] {
            put(&path, content, 0o600);
            assert!(matches!(read(&path), Err(TokenFileError::NoToken(_))), "{content:?}");
        }
        let error = read_or_make(folder.path(), &Dice::from_os()).unwrap_err();
        assert!(!error.is_absent(), "{error}");
        assert!(matches!(
            read_or_make(&path.join("x"), &Dice::from_os()),
            Err(TokenFileError::Unreadable(..))
        ));
    }
}
