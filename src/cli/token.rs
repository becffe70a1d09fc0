//! The token that is shown to a daemon: from an option, the environment, or a file that only its owner may read.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{admin::token_file, app::Misconfigured};

const TOKEN: &str = "COPY_MANAGER__ADMIN__TOKEN";
const TOKEN_FILE: &str = "COPY_MANAGER__ADMIN__TOKEN_FILE";

/// Where the token is. What is typed goes before the environment, and that before the usual file.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct TokenArgs {
    /// What the daemon wants to be shown (`admin.token`); also from `COPY_MANAGER__ADMIN__TOKEN`
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<Hidden>,
    /// The file that holds it (`admin.token_file`), readable by its owner alone; also from
    /// `COPY_MANAGER__ADMIN__TOKEN_FILE`, or else `$XDG_CONFIG_HOME/copy-manager/token` or
    /// `~/.config/copy-manager/token`, where that is
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
}

/// A token that is not printed.
#[derive(Debug, Clone)]
pub(super) struct Hidden(pub(super) SecretString);

impl std::str::FromStr for Hidden {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.into()))
    }
}

impl TokenArgs {
    /// Nothing is shown.
    pub(super) fn none() -> Self {
        Self { token: Some(Hidden(String::new().into())), token_file: None }
    }

    /// The token, if there is any. `variable` reads the environment.
    pub(super) fn token(
        self,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> anyhow::Result<Option<SecretString>> {
        // An empty variable is as good as none.
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(Hidden(token)) = self.token {
            return Ok(Some(token).filter(|token| !token.expose_secret().is_empty()));
        }
        if let Some(file) = self.token_file {
            return read(&file).map(Some);
        }
        if let Some(token) = variable(TOKEN) {
            let token = token.into_string().ok().with_context(|| format!("{TOKEN} is not a text"))?;
            return Ok(Some(token.into()));
        }
        if let Some(file) = variable(TOKEN_FILE) {
            return read(Path::new(&file)).map(Some);
        }
        let Some(file) = usual(variable) else { return Ok(None) };
        match token_file::read(&file) {
            Err(error) if error.is_absent() => Ok(None),
            found => Ok(Some(found.map_err(misconfigured)?)),
        }
    }
}

fn read(file: &Path) -> anyhow::Result<SecretString> {
    Ok(token_file::read(file).map_err(misconfigured)?)
}

fn misconfigured(error: token_file::TokenFileError) -> Misconfigured {
    Misconfigured(Box::new(error))
}

/// Where the file is that nobody has to name.
fn usual(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // As the XDG Base Directory Specification has it: what is not absolute does not count.
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))?;
    Some(config.join("copy-manager/token"))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt as _,
    };

    use super::*;

    /// A home with token files, and what is found in it.
    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn put(&self, name: &str, token: &str, mode: u32) -> PathBuf {
            let path = self.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, token).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        }

        fn found(&self, typed: TokenArgs, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
            let home = ("HOME", self.0.path().to_str().unwrap());
            let variable = |name: &str| {
                variables.iter().chain([&home]).find(|(is, _)| *is == name).map(|(_, value)| value.into())
            };
            let found = typed.token(variable).map_err(|error| format!("{error:#}"))?;
            Ok(found.map(|token| token.expose_secret().to_owned()))
        }
    }

    #[test]
    fn what_is_typed_goes_before_the_environment_and_that_before_the_usual_file() {
        let home = Home::new();
        let nothing = TokenArgs::default;
        assert_eq!(home.found(nothing(), &[]), Ok(None));
        home.put(".config/copy-manager/token", "of-home\n", 0o600);
        assert_eq!(home.found(nothing(), &[]), Ok(Some("of-home".into())));
        home.put("xdg/copy-manager/token", "of-xdg\n", 0o600);
        let xdg = home.0.path().join("xdg");
        let xdg = ("XDG_CONFIG_HOME", xdg.to_str().unwrap());
        assert_eq!(home.found(nothing(), &[xdg]), Ok(Some("of-xdg".into())));
        assert_eq!(home.found(nothing(), &[("XDG_CONFIG_HOME", "relative")]), Ok(Some("of-home".into())));
        let named = home.put("named", "of-file", 0o600);
        let file = (TOKEN_FILE, named.to_str().unwrap());
        assert_eq!(home.found(nothing(), &[xdg, file]), Ok(Some("of-file".into())));
        assert_eq!(home.found(nothing(), &[xdg, file, (TOKEN, "")]), Ok(Some("of-file".into())));
        let variable = (TOKEN, "of-variable");
        assert_eq!(home.found(nothing(), &[file, variable]), Ok(Some("of-variable".into())));
        let typed = TokenArgs { token_file: Some(named.clone()), ..nothing() };
        assert_eq!(home.found(typed, &[variable]), Ok(Some("of-file".into())));
        let typed = TokenArgs { token: Some(Hidden("typed".into())), ..nothing() };
        assert_eq!(home.found(typed, &[variable]), Ok(Some("typed".into())));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_wherever_it_is_named() {
        let home = Home::new();
        let path = home.put(".config/copy-manager/token", "secret", 0o644);
        let typed = TokenArgs { token_file: Some(path.clone()), ..TokenArgs::default() };
        let variable = [(TOKEN_FILE, path.to_str().unwrap())];
        for told in [
            home.found(typed, &[]),
            home.found(TokenArgs::default(), &variable),
            home.found(TokenArgs::default(), &[]),
        ] {
            let told = told.unwrap_err();
            assert!(told.contains("is open to others than its owner (mode 0644): chmod 600 it"), "{told}");
        }
        let missing = TokenArgs { token_file: Some(home.0.path().join("none")), ..TokenArgs::default() };
        assert!(home.found(missing, &[]).unwrap_err().contains("cannot be read: No such file"));
    }
}
