//! The browser that pages are looked at with: Debian's Chromium, and the Python whose Playwright drives it.

use std::path::{Path, PathBuf};

/// Where Debian and its relatives have it.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The Python of `.venv-page`, and the browser. `None`, loudly with what comes of it, where there is one of them
/// only, or none.
pub(crate) fn of_the_page(comes_of_it: &str) -> Option<(PathBuf, PathBuf)> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-page/bin/python");
    let found = chromium().filter(|_| python.is_file());
    if found.is_none() {
        eprintln!("NO BROWSER: {comes_of_it}. `make install` fetches it: Chromium, and .venv-page");
    }
    Some((python, found?))
}

fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).flat_map(|folder| NAMES.map(|name| folder.join(name)));
    places.find(|place| place.is_file())
}
