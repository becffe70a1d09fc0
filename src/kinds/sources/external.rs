//! Sources in buckets that belong to no project: an object, or everything below a prefix. They are
//! read with our own role.

use std::collections::BTreeMap;

use super::pieces::cut;
use crate::{
    domain::{
        bucket,
        instruction::{doubt_of, is_directory_bucket},
        location::{DataPath, LocationError},
        outcome::{Culprit, ErrorName, Failure, culprit},
        policy::{Place, Rules},
        request::{FolderRequest, NamedObject, Want},
    },
    engine::{concurrent::join_unordered, kind::PlanError, settings::CopySettings},
    ports::{
        Class, Error,
        objects::{Access, ObjectInfo, ObjectLocation, ObjectStore},
        platform::{DataPlatform, Project},
    },
};

/// Sources looked at at a time.
const WIDTH: usize = 16;

/// Why objects below a prefix are refused.
pub(crate) const NAMELESS: &str = "objects have keys that no file in a project can have; nothing is copied";

/// A source that was found outside the projects.
#[derive(Debug, Clone)]
pub(crate) struct ExternalSource {
    pub(crate) uri: String,
    pub(crate) bucket: String,
    /// The key, or the prefix.
    pub(crate) key: String,
    /// Whether it is a prefix and everything below it.
    pub(crate) is_folder: bool,
    /// The name that it has at the destination.
    pub(crate) name: String,
    /// Its objects by the folder that they lie in, seen from the prefix: `""`, or `a/b/`. Every folder
    /// on the way is there, with no objects if need be.
    pub(crate) objects: BTreeMap<String, Vec<NamedObject>>,
}

impl ExternalSource {
    /// How many objects it is.
    pub(crate) fn len(&self) -> u64 {
        self.objects.values().map(|objects| objects.len() as u64).sum()
    }
}

/// A source that is not there, with why, or that was found.
type Looked = Result<Result<ExternalSource, String>, PlanError>;

/// Refuses sources that must not be copied from, and whole buckets.
pub(crate) fn check(rules: &Rules, at: &ObjectLocation, uri: &str) -> Result<(), Failure> {
    rules.check_source(Place::Bucket(&at.bucket), uri)?;
    if is_directory_bucket(&at.bucket) {
        let message = "directory buckets (S3 Express One Zone) are not supported";
        return Err(culprit(ErrorName::InvalidRequest, message, uri, "is one by its name"));
    }
    if at.key.is_empty() {
        let message = "a whole bucket cannot be copied";
        return Err(culprit(ErrorName::InvalidRequest, message, uri, "name the prefixes in it instead"));
    }
    Ok(())
}

/// Looks for each source; they come back in no order.
pub(crate) async fn look(
    objects: &dyn ObjectStore,
    settings: &CopySettings,
    places: Vec<(usize, &String, ObjectLocation)>,
) -> Vec<(usize, String, Looked)> {
    let looks = places.into_iter().map(|(n, uri, at)| async move {
        let looked = if at.key.ends_with('/') {
            prefix(objects, settings, uri, at).await
        } else {
            object(objects, uri, at).await
        };
        (n, uri.clone(), looked)
    });
    join_unordered(WIDTH, looks).await
}

async fn object(objects: &dyn ObjectStore, uri: &str, at: ObjectLocation) -> Looked {
    let info = match objects.head(&at, &Access::Own).await {
        Ok(Some(info)) => info,
        Ok(None) => return Ok(Err(format!("there is no such object{}", doubt_of(&at.key)))),
        Err(error) if matches!(error.class, Class::Forbidden | Class::NotFound) => {
            let doubt = doubt_of(&at.key);
            return Ok(Err(format!("it is not there, or not for this service to read: {error}{doubt}")));
        }
        Err(error) => return Err(refused(&at.bucket, uri, error)),
    };
    let opaque = info.opaque;
    let object = named(info, opaque);
    let name = object.name().to_owned();
    let objects = BTreeMap::from([(String::new(), vec![object])]);
    let ObjectLocation { bucket, key } = at;
    Ok(Ok(ExternalSource { uri: uri.to_owned(), bucket, key, is_folder: false, name, objects }))
}

/// The meaning of an error that says nothing of whether the source is there. Names that S3 gives out no more
/// are names of buckets as long as S3 does not say otherwise.
pub(crate) fn refused(bucket: &str, uri: &str, error: Error) -> PlanError {
    if error.class == Class::Invalid && bucket::is_old(bucket) {
        let message = "S3 does not take the name of a bucket";
        return culprit(ErrorName::InvalidRequest, message, uri, &error.to_string()).into();
    }
    error.into()
}

async fn prefix(store: &dyn ObjectStore, settings: &CopySettings, uri: &str, at: ObjectLocation) -> Looked {
    let name = at.key.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let mut objects: BTreeMap<String, Vec<NamedObject>> = BTreeMap::from([(String::new(), Vec::new())]);
    let mut odd = Failure::new(ErrorName::InvalidRequest, NAMELESS);
    let (mut count, mut seen) = (0_u64, false);
    let mut from = None;
    loop {
        let page = match store.list(&at.bucket, &at.key, from.as_deref(), &Access::Own).await {
            Ok(page) => page,
            Err(error) if matches!(error.class, Class::Forbidden | Class::NotFound) => {
                return Ok(Err(format!("it is not there, or not for this service to list: {error}")));
            }
            Err(error) => return Err(refused(&at.bucket, uri, error)),
        };
        for info in page.items {
            seen = true;
            let Some(inside) = info.key.strip_prefix(&at.key).map(str::to_owned) else { continue };
            let what = ObjectLocation::new(at.bucket.as_str(), info.key.as_str()).to_string();
            let folder = match check_key(settings, uri, &inside)? {
                Ok(folder) => folder,
                Err(why) => {
                    odd = odd.naming([Culprit { what, why: why.to_string() }]);
                    continue;
                }
            };
            add_folders(&mut objects, folder);
            if inside.is_empty() || inside.ends_with('/') {
                if info.size > 0 {
                    let why = format!(
                        "its key ends with `/`, as a folder's does, and it holds {} bytes",
                        info.size
                    );
                    odd = odd.naming([Culprit { what, why }]);
                }
                continue;
            }
            count += 1;
            if settings.max_files > 0 && count > settings.max_files {
                let most = settings.max_files;
                let message = format!("the request has more files than copy.max_files = {most}");
                return Err(culprit(ErrorName::InvalidRequest, message, uri, "has more files").into());
            }
            // How an object is encrypted, S3 tells only of one at a time: it is asked for where the tag is in
            // doubt.
            objects.entry(folder.to_owned()).or_default().push(named(info, false));
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    if !seen {
        return Ok(Err("there is nothing below this prefix".to_owned()));
    }
    if odd.culprits_total > 0 {
        return Err(odd.into());
    }
    let ObjectLocation { bucket, key } = at;
    Ok(Ok(ExternalSource { uri: uri.to_owned(), bucket, key, is_folder: true, name, objects }))
}

/// The folder that a key lies in, or why it cannot be one in a project.
fn check_key<'a>(
    settings: &CopySettings,
    uri: &str,
    inside: &'a str,
) -> Result<Result<&'a str, LocationError>, Failure> {
    if let Err(error) = DataPath::parse(&format!("/{inside}")) {
        return Ok(Err(error));
    }
    let folder = inside.rsplit_once('/').map_or("", |(folder, _)| folder);
    let folder = inside.get(..folder.len() + usize::from(!folder.is_empty())).unwrap_or_default();
    if folder.matches('/').count() > settings.max_depth as usize {
        let message = format!("a source folder is deeper than copy.max_depth = {}", settings.max_depth);
        return Err(culprit(ErrorName::RecursionLimit, message, uri, folder));
    }
    Ok(Ok(folder))
}

/// Notes a folder with every folder above it.
fn add_folders(objects: &mut BTreeMap<String, Vec<NamedObject>>, folder: &str) {
    if objects.contains_key(folder) {
        return;
    }
    for (end, _) in folder.match_indices('/') {
        let above = folder.get(..=end).unwrap_or_default();
        objects.entry(above.to_owned()).or_default();
    }
}

fn named(info: ObjectInfo, opaque: bool) -> NamedObject {
    let ObjectInfo { key, size, etag, archived, .. } = info;
    NamedObject { key, size, etag, opaque, archived }
}

/// Refuses prefixes that hold the data of a project: these are read as that project's, under its rules.
pub(crate) async fn check_roots(
    platform: &dyn DataPlatform,
    outside: &[ExternalSource],
) -> Result<(), PlanError> {
    for source in outside.iter().filter(|source| source.is_folder) {
        for folder in source.objects.keys() {
            let key = format!("{}{folder}", source.key);
            check_root(platform, &source.bucket, &key, &source.uri).await?;
        }
    }
    Ok(())
}

/// The same of one folder of a source.
pub(crate) async fn check_root(
    platform: &dyn DataPlatform,
    bucket: &str,
    key: &str,
    uri: &str,
) -> Result<(), PlanError> {
    let Some((project, _)) = platform.locate(bucket, key).await? else { return Ok(()) };
    let message = format!("a prefix outside ICAv2 holds the data of the project `{}`", project.name);
    let why = format!("s3://{bucket}/{key} is in it; name what lies beside it instead");
    Err(culprit(ErrorName::InvalidRequest, message, uri, &why).into())
}

/// The children that bring sources from outside.
pub(crate) fn children(
    outside: Vec<ExternalSource>,
    target: &Project,
    path: &DataPath,
) -> Result<Vec<FolderRequest>, Failure> {
    let mut children = Vec::new();
    let mut single: BTreeMap<String, Vec<NamedObject>> = BTreeMap::new();
    for source in outside {
        if !source.is_folder {
            single.entry(source.bucket).or_default().extend(source.objects.into_values().flatten());
            continue;
        }
        let base = path.folder(&source.name);
        for (folder, objects) in source.objects {
            let path = DataPath::parse(&format!("{base}{folder}")).map_err(|error| {
                let message = "a folder would get a name that cannot be";
                let what = format!("s3://{}/{}{folder}", source.bucket, source.key);
                culprit(ErrorName::InvalidRequest, message, &what, &error.to_string())
            })?;
            if objects.is_empty() {
                children.push(FolderRequest::at(target.id.clone(), path.clone()));
            }
            children.extend(of_bucket(&source.bucket, objects, target, &path));
        }
    }
    for (bucket, objects) in single {
        children.extend(of_bucket(&bucket, objects, target, path));
    }
    Ok(children)
}

fn of_bucket(
    bucket: &str,
    objects: Vec<NamedObject>,
    target: &Project,
    path: &DataPath,
) -> impl Iterator<Item = FolderRequest> {
    let pieces = cut(objects);
    pieces.into_iter().map(move |objects| {
        let want = Want::Objects { bucket: bucket.to_owned(), objects };
        FolderRequest::at(target.id.clone(), path.clone()).wanting(vec![want])
    })
}
