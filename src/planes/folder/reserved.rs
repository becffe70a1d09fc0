//! Names that are taken by staging folders: no request copies what is on another's way.

use crate::domain::location::DataPath;

/// What the names of staging folders begin with.
pub(crate) const PREFIX: &str = ".copy-manager-";

/// Whether something lies in a staging folder: no request copies what is on another's way. A folder is one
/// only if it is named as ours are, and a file never is.
pub(crate) fn holds(path: &DataPath) -> bool {
    let (folders, _) = path.as_str().rsplit_once('/').unwrap_or_default();
    let is_ours = |rest: &str| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    folders.split('/').any(|name| name.strip_prefix(PREFIX).is_some_and(is_ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_that_are_named_as_ours_are_left_out() {
        let name = format!("{PREFIX}59e26cf4117418941bc40ced24c3bae7");
        let path = |text: &str| DataPath::parse(text).unwrap();
        assert!(holds(&path(&format!("/a/{name}/"))) && holds(&path(&format!("/a/{name}/0/b.txt"))));
        for others in
            [format!("/a/{name}"), format!("/{PREFIX}notes/b.txt"), format!("/{PREFIX}{}/b", "z".repeat(32))]
        {
            assert!(!holds(&path(&others)), "{others}");
        }
    }
}
