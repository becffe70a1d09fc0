//! Names that are taken by staging folders: no request copies what is on another's way.

use crate::domain::location::DataPath;

/// What the names of staging folders begin with.
pub(crate) const PREFIX: &str = ".copy-manager-";

/// Whether something lies in a staging folder: no request copies what is on another's way.
pub(crate) fn holds(path: &DataPath) -> bool {
    path.as_str().split('/').any(|name| name.strip_prefix(PREFIX).is_some_and(|rest| rest.len() == 32))
}
