//! Worlds that are wide, deep or crowded besides; few are, as they take long to live through.

use serde_json::{Value, json};

use crate::{
    errands::Way,
    world::{Dice, File, LAB, Request, TO, folder_wants},
};

/// What is there besides, and who wants it.
#[derive(Debug, Default)]
pub(crate) struct Throng {
    pub files: Vec<File>,
    pub requests: Vec<(Request, Value)>,
}

impl Throng {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        match dice.below(80) {
            0 => wide(dice),
            1 => deep(dice),
            2 => crowded(dice),
            _ => Self::default(),
        }
    }

    /// Whether it is of hundreds of records that stand in line.
    pub(crate) fn is_long(&self) -> bool {
        self.is_wide() || self.requests.len() > 20
    }

    /// Whether it is of many folders.
    pub(crate) fn is_wide(&self) -> bool {
        self.files.iter().any(|file| file.path.starts_with("/wide/"))
    }
}

fn file(dice: &mut Dice, path: String) -> File {
    let parts = if dice.chance(0.2) { 2 } else { 1 };
    File { path, size: 2 + dice.below(90), parts }
}

/// Hundreds of folders with a file or two each.
fn wide(dice: &mut Dice) -> Throng {
    let mut files = Vec::new();
    for folder in 0..100 + dice.below(150) {
        for n in 0..=dice.below(2) {
            files.push(file(dice, format!("/wide/d{folder:03}/s{n}.txt")));
        }
    }
    Throng { requests: vec![whole(&files, "/wide/")], files }
}

/// Tens of levels, with a file here and there.
fn deep(dice: &mut Dice) -> Throng {
    let mut files = Vec::new();
    let mut folder = "/deep/".to_owned();
    for level in 0..15 + dice.below(30) {
        folder = format!("{folder}l{level}/");
        if dice.chance(0.3) {
            files.push(file(dice, format!("{folder}s.txt")));
        }
    }
    files.push(file(dice, format!("{folder}bottom.txt")));
    Throng { requests: vec![whole(&files, "/deep/")], files }
}

/// A request for all of a folder.
fn whole(files: &[File], folder: &str) -> (Request, Value) {
    let wants = folder_wants(files, folder, &format!("/in{folder}"));
    let folders = wants.iter().map(|want| format!("{}/", want.to.rsplit_once('/').unwrap().0)).collect();
    let payload = json!({
        "sourceUriList": [format!("icav2://{LAB}{folder}")], "destinationUri": format!("icav2://{TO}/in/"),
    });
    (Request { folders, ..Request::plain(wants, Way::Copy) }, payload)
}

/// Hundreds that want a file each in one folder.
fn crowded(dice: &mut Dice) -> Throng {
    let mut files = Vec::new();
    for n in 0..100 + dice.below(150) {
        files.push(file(dice, format!("/crowd/s{n:03}.txt")));
    }
    let ask = |file: &File| {
        let wants = folder_wants(std::slice::from_ref(file), "/crowd/", "/crowded/");
        let payload = json!({
            "sourceUriList": [format!("icav2://{LAB}{}", file.path)],
            "destinationUri": format!("icav2://{TO}/crowded/"),
        });
        (Request::plain(wants, Way::Copy), payload)
    };
    Throng { requests: files.iter().map(ask).collect(), files }
}
