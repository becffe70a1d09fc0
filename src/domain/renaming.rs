//! The renaming map: which source file gets which other name at the destination.
//!
//! Every entry is decided on its own and before anything is copied. It names one file by its exact
//! URI or data id, never by a prefix (`a.vcf` is not `a.vcf.gz`), and gives it a name, never a
//! path. What is resolved is keyed by data id; the URI that led there is not needed any more.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    ids::DataId,
    location::DataPath,
    outcome::{Culprit, ErrorName, Failure},
};

/// One line of the map, as the caller wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenameEntry {
    /// Which file.
    pub source: RenameSource,
    /// The name it gets.
    pub name: String,
}

/// How an entry names its file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RenameSource {
    /// By its whole URI.
    Uri(String),
    /// By its ICAv2 data id.
    DataId(String),
}

impl RenameSource {
    /// The text that the caller wrote.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Uri(text) | Self::DataId(text) => text,
        }
    }
}

/// A file that a request copies, as far as renaming cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRef {
    /// Its whole URI, written the way the entries write theirs.
    pub uri: String,
    /// Its data id; for a file outside ICAv2 its URI stands in.
    pub data_id: DataId,
    /// The destination folder it lands in.
    pub destination_folder: DataPath,
    /// Its own name.
    pub name: String,
}

/// What renaming comes to: new names by data id. Files that keep their name are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Renames(BTreeMap<DataId, String>);

impl Renames {
    /// The other name that a file gets, if it gets one.
    #[must_use]
    pub fn name_of(&self, id: &DataId) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    /// Every renamed file with its new name.
    pub fn iter(&self) -> impl Iterator<Item = (&DataId, &str)> {
        self.0.iter().map(|(id, name)| (id, name.as_str()))
    }

    /// The same for some of the files.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(&DataId) -> bool) -> Self {
        Self(
            self.0.iter().filter(|(id, _)| wanted(id)).map(|(id, name)| (id.clone(), name.clone())).collect(),
        )
    }

    /// How many files get another name.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether every file keeps its name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Why a text is not the name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing.
    #[error("a file name must not be empty")]
    Empty,
    /// A path.
    #[error("a file name must not hold `/`: files are renamed, not moved")]
    Path,
    /// `.` or `..`.
    #[error("`.` and `..` are not file names")]
    Dots,
    /// A control character.
    #[error("a file name must not hold control characters")]
    Control,
    /// Longer than file systems take.
    #[error("a file name must not be longer than {LONGEST_NAME} bytes")]
    TooLong,
}

/// What the file systems hold that our files are downloaded to.
const LONGEST_NAME: usize = 255;

/// Checks that a text can be the name of a file.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        Err(NameError::Empty)
    } else if name.contains('/') {
        Err(NameError::Path)
    } else if name == "." || name == ".." {
        Err(NameError::Dots)
    } else if name.chars().any(char::is_control) {
        Err(NameError::Control)
    } else if name.len() > LONGEST_NAME {
        Err(NameError::TooLong)
    } else {
        Ok(())
    }
}

/// Finds the file of every entry and checks that no two files of the request would have one name in
/// one folder. A map that lets files swap their names is fine.
pub fn resolve(entries: &[RenameEntry], sources: &[SourceRef]) -> Result<Renames, Failure> {
    let names = entries.iter().filter_map(|entry| {
        let error = check_name(&entry.name).err()?;
        Some(Culprit { what: entry.source.as_str().to_owned(), why: error.to_string() })
    });
    refuse("a name in the renaming map is not a file name", names)?;

    let renamed = assign(entries, sources)?;
    let landings: Vec<_> = sources.iter().map(|source| RenamedTarget::of(source, &renamed)).collect();
    refuse("two files would have one name at the destination", collisions(&landings))?;
    refuse("a file would get a name that cannot be at the destination", misfits(&landings))?;

    let changed = landings.iter().filter(|landing| landing.is_renamed());
    Ok(Renames(changed.map(|landing| (landing.source.data_id.clone(), landing.name.to_owned())).collect()))
}

/// The name that the map gives each file that it names.
fn assign<'a>(
    entries: &'a [RenameEntry],
    sources: &'a [SourceRef],
) -> Result<BTreeMap<&'a DataId, &'a str>, Failure> {
    let mut by_uri: BTreeMap<&str, Vec<&SourceRef>> = BTreeMap::new();
    let mut by_id: BTreeMap<&str, Vec<&SourceRef>> = BTreeMap::new();
    for source in sources {
        by_uri.entry(&source.uri).or_default().push(source);
        by_id.entry(source.data_id.as_str()).or_default().push(source);
    }
    let mut renamed: BTreeMap<&DataId, &str> = BTreeMap::new();
    let mut culprits = Vec::new();
    for entry in entries {
        let matches = match &entry.source {
            RenameSource::Uri(uri) => by_uri.get(uri.as_str()),
            RenameSource::DataId(id) => by_id.get(id.as_str()),
        };
        let why = match matches.map(Vec::as_slice) {
            // A file that lands twice is two files here: they could not be told apart by its id.
            Some([source]) if by_id.get(source.data_id.as_str()).is_none_or(|same| same.len() == 1) => {
                match renamed.insert(&source.data_id, &entry.name) {
                    None => continue,
                    Some(other) => format!("is to be `{}`, and another entry says `{other}`", entry.name),
                }
            }
            None | Some([]) => "is the exact name of no file that this request copies".to_owned(),
            Some(_) => "is copied to more than one place by this request".to_owned(),
        };
        culprits.push(Culprit { what: entry.source.as_str().to_owned(), why });
    }
    refuse("each entry of the renaming map must name exactly one source file, once", culprits)?;
    Ok(renamed)
}

/// A file with the name that it will have.
struct RenamedTarget<'a> {
    source: &'a SourceRef,
    name: &'a str,
}

impl<'a> RenamedTarget<'a> {
    fn of(source: &'a SourceRef, renamed: &BTreeMap<&DataId, &'a str>) -> Self {
        let name = renamed.get(&source.data_id).copied().unwrap_or(&source.name);
        Self { source, name }
    }

    fn is_renamed(&self) -> bool {
        self.name != self.source.name
    }

    fn culprit(&self, why: String) -> Culprit {
        Culprit { what: self.source.uri.clone(), why }
    }
}

fn collisions(landings: &[RenamedTarget<'_>]) -> Vec<Culprit> {
    let mut places: BTreeMap<(&DataPath, &str), Vec<&RenamedTarget<'_>>> = BTreeMap::new();
    for landing in landings {
        places.entry((&landing.source.destination_folder, landing.name)).or_default().push(landing);
    }
    let several = places.into_iter().filter(|(_, landings)| landings.len() > 1);
    several
        .flat_map(|((folder, name), landings)| {
            let why = format!("would be `{name}` in {folder}, and so would another source");
            landings.into_iter().map(move |landing| landing.culprit(why.clone()))
        })
        .collect()
}

/// Renamed files whose place is that of a folder, or too long a path. Those that keep their name
/// are as their source is.
fn misfits(landings: &[RenamedTarget<'_>]) -> Vec<Culprit> {
    let folders: BTreeSet<&str> =
        landings.iter().map(|landing| landing.source.destination_folder.as_str()).collect();
    let renamed = landings.iter().filter(|landing| landing.is_renamed());
    renamed
        .filter_map(|landing| {
            let target = &landing.source.destination_folder;
            if let Err(error) = DataPath::parse(target.file(landing.name).as_str()) {
                return Some(landing.culprit(error.to_string()));
            }
            let folder = target.folder(landing.name);
            let first = folders.range(folder.as_str()..).next()?;
            let why = || format!("would be `{}` in {target}, where a folder of that name goes", landing.name);
            first.starts_with(folder.as_str()).then(|| landing.culprit(why()))
        })
        .collect()
}

fn refuse(message: &str, culprits: impl IntoIterator<Item = Culprit>) -> Result<(), Failure> {
    let failure = Failure::new(ErrorName::InvalidRequest, message).naming(culprits);
    if failure.culprits_total == 0 { Ok(()) } else { Err(failure) }
}

#[cfg(test)]
mod tests;
