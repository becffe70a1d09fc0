//! What callers ask for, read and checked. Keys are in `camelCase` or in `snake_case`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Invalid, fields::Fields};
use crate::{
    domain::{
        copy_out::ThawParams,
        ids::RequestId,
        request::OnConflict,
        share::{
            deliver::Deliver,
            files::{DataType, Library},
            filters::WORKFLOWS,
            ids::Shared,
            request::{Listed, PackageRequest, is_name, is_run},
        },
    },
    events::{
        intake::thaw_params,
        lists::{library_of, row_of},
    },
};

/// What is said when two lists of ids are given.
const ONE_LIST: &str = "Expected only one of library_id_list, subject_id_list, individual_id_list, or project_id_list to be set.";
const NO_DATA_TYPE: &str = "Data type list must be provided";
const EQUAL_PREFIXES: &str = "If both fastq and secondaryAnalysis are set in the data type list, \
    primaryDataPathPrefix and secondaryAnalysisPathPrefix values cannot be the same";
const NOTHING_NAMED: &str = "Expected a list of library, subject, individual, project, instrument run or portal run ids, or a manifest.";

const PRIMARY: [&str; 3] = ["fastq", "primary", "/"];
const SECONDARY: [&str; 3] = ["secondary-analysis", "analysis", "/"];
/// Labels of a package, and bytes of their names and texts.
const MOST_LABELS: usize = 50;
const LONGEST_LABEL: usize = 256;

/// A push that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushAsked {
    /// Where to, as its caller writes it.
    pub destination: String,
    /// What is done where another object stands.
    pub on_conflict: Option<OnConflict>,
    /// What is put beside its files, where that is said.
    pub deliver: Option<Vec<Deliver>>,
    /// How archived files are restored, where that is said.
    pub thaw: Option<ThawParams>,
    /// Whether it is only said what would be done.
    pub dry_run: bool,
}

/// A body whose fields can be read.
fn dictionary(body: &Value) -> Result<&Map<String, Value>, Vec<Invalid>> {
    let wrong =
        || vec![Invalid::new("model_attributes_type", &[], "Input should be a valid dictionary", body)];
    body.as_object().ok_or_else(wrong)
}

/// A package that is asked for: its name, and what it is to hold. `any_workflow`: also of workflows that are not
/// known.
///
/// # Errors
///
/// All that is wrong with it.
pub fn package(body: &Value, any_workflow: bool) -> Result<(String, PackageRequest), Vec<Invalid>> {
    let object = dictionary(body)?;
    let mut outer = Fields::of(object, &[]);
    let missing = ("missing", "Field required");
    let name = outer.text("packageName");
    match &name {
        Some(name) if !is_name(name) => {
            let msg = r"String should match pattern '^[A-Za-z][\w\.+_-]+$'";
            outer.complain("string_pattern_mismatch", "packageName", msg, &Value::from(name.as_str()));
        }
        None if outer.get("packageName").is_none() => {
            outer.complain(missing.0, "packageName", missing.1, body);
        }
        _ => {}
    }
    let Some(inner) = outer.get("packageRequest") else {
        outer.complain(missing.0, "packageRequest", missing.1, body);
        return Err(outer.wrong);
    };
    let Some(inner) = inner.as_object() else {
        let msg = "Input should be a valid dictionary";
        outer.complain("model_attributes_type", "packageRequest", msg, inner);
        return Err(outer.wrong);
    };
    let request = request(inner, any_workflow, &mut outer.wrong);
    match (name, outer.wrong.is_empty()) {
        (Some(name), true) => Ok((name, request)),
        _ => Err(outer.wrong),
    }
}

fn request(object: &Map<String, Value>, any_workflow: bool, wrong: &mut Vec<Invalid>) -> PackageRequest {
    let mut fields = Fields::of(object, &["packageRequest"]);
    // What contradicts itself is told by its names: the whole of it may be long.
    let whole = Value::from(object.keys().cloned().collect::<Vec<_>>());
    let mut request = PackageRequest {
        library_id_list: fields.texts("libraryIdList"),
        subject_id_list: fields.texts("subjectIdList"),
        individual_id_list: fields.texts("individualIdList"),
        project_id_list: fields.texts("projectIdList"),
        instrument_run_id_list: fields.texts("instrumentRunIdList"),
        portal_run_id_list: fields.texts("portalRunIdList"),
        portal_run_id_exclusion_list: fields.texts("portalRunIdExclusionList"),
        secondary_analysis_type_list: fields.texts("secondaryAnalysisTypeList"),
        defrost_archived_fastqs: fields.flag("defrostArchivedFastqs").unwrap_or(false),
        use_workflow_filters: fields.flag("useWorkflowFilters").unwrap_or(true),
        allow_missing: fields.flag("allowMissing").unwrap_or(false),
        compute_sums: fields.flag("computeSums").unwrap_or(false),
        since_package_id: fields.text("sincePackageId"),
        primary_data_path_prefix: prefix(&mut fields, "primaryDataPathPrefix", PRIMARY),
        secondary_analysis_path_prefix: prefix(&mut fields, "secondaryAnalysisPathPrefix", SECONDARY),
        manifest: listed(&mut fields, "manifest", row_of),
        lims_manifest: listed(&mut fields, "limsManifest", |row| Ok::<Library, String>(library_of(row))),
        labels: labels(&mut fields),
        ..PackageRequest::default()
    };
    for name in fields.texts("dataTypeList").unwrap_or_default() {
        match name.as_str() {
            "fastq" => request.data_type_list.push(DataType::Fastq),
            "secondaryAnalysis" => request.data_type_list.push(DataType::SecondaryAnalysis),
            _ => {
                let msg = "Input should be 'fastq' or 'secondaryAnalysis'";
                fields.complain("literal_error", "dataTypeList", msg, &Value::from(name.as_str()));
            }
        }
    }
    if !any_workflow {
        for name in request.secondary_analysis_type_list.clone().unwrap_or_default() {
            if !WORKFLOWS.contains(&name.as_str()) {
                let known = WORKFLOWS.map(|name| format!("'{name}'")).join(", ");
                let msg = format!("Input should be one of {known}");
                fields.complain(
                    "literal_error",
                    "secondaryAnalysisTypeList",
                    msg,
                    &Value::from(name.as_str()),
                );
            }
        }
    }
    check(&mut fields, &request, &whole);
    wrong.append(&mut fields.wrong);
    request
}

/// What one field demands of another.
fn check(fields: &mut Fields<'_>, request: &PackageRequest, whole: &Value) {
    let mut contradicts = |msg: &str| {
        fields.wrong.push(Invalid::new(
            "value_error",
            &["packageRequest"],
            format!("Value error, {msg}"),
            whole,
        ));
    };
    let lists = [
        &request.library_id_list,
        &request.subject_id_list,
        &request.individual_id_list,
        &request.project_id_list,
    ];
    if lists.iter().filter(|list| list.is_some()).count() > 1 {
        contradicts(ONE_LIST);
    }
    if request.data_type_list.is_empty() {
        contradicts(NO_DATA_TYPE);
    }
    let both = [DataType::Fastq, DataType::SecondaryAnalysis]
        .iter()
        .all(|kind| request.data_type_list.contains(kind));
    if both && request.primary_data_path_prefix == request.secondary_analysis_path_prefix {
        contradicts(EQUAL_PREFIXES);
    }
    let runs = [&request.instrument_run_id_list, &request.portal_run_id_list];
    if request.manifest.is_none() && lists.into_iter().chain(runs).all(Option::is_none) {
        contradicts(NOTHING_NAMED);
    }
}

/// A prefix as it is used: `/` is none.
fn prefix(fields: &mut Fields<'_>, name: &str, allowed: [&'static str; 3]) -> String {
    let Some(text) = fields.text(name) else {
        return allowed.first().copied().unwrap_or_default().to_owned();
    };
    if !allowed.contains(&text.as_str()) {
        let [first, second, third] = allowed;
        let msg = format!("Input should be '{first}', '{second}' or '{third}'");
        fields.complain("literal_error", name, msg, &Value::from(text.as_str()));
    }
    if text == "/" { String::new() } else { text }
}

fn listed<T>(
    fields: &mut Fields<'_>,
    name: &str,
    read: impl Fn(&Map<String, Value>) -> Result<T, String>,
) -> Option<Listed<T>> {
    let value = fields.get(name)?;
    if let Some(uri) = value.get("uri").and_then(Value::as_str).filter(|uri| uri.starts_with("s3://")) {
        return Some(Listed::Uri(uri.to_owned()));
    }
    let Some(all) = value.as_array() else {
        fields.complain(
            "list_type",
            name,
            "Input should be a list of rows, or {\"uri\": \"s3://bucket/key\"}",
            value,
        );
        return None;
    };
    let mut rows = Vec::with_capacity(all.len());
    for (n, given) in all.iter().enumerate() {
        let row =
            given.as_object().ok_or_else(|| "Input should be a valid dictionary".to_owned()).and_then(&read);
        match row {
            Ok(row) => rows.push(row),
            Err(why) => {
                fields.complain("value_error", name, format!("Value error, row {}: {why}", n + 1), given);
                return None;
            }
        }
    }
    Some(Listed::Rows(rows))
}

fn labels(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let Some(value) = fields.get("labels") else { return BTreeMap::new() };
    let read = value.as_object().and_then(|labels| {
        let text = |(name, text): (&String, &Value)| Some((name.clone(), text.as_str()?.to_owned()));
        labels.iter().map(text).collect::<Option<BTreeMap<_, _>>>()
    });
    let fits = |labels: &BTreeMap<String, String>| {
        labels.len() <= MOST_LABELS
            && labels.iter().all(|(name, text)| name.len() <= LONGEST_LABEL && text.len() <= LONGEST_LABEL)
    };
    read.filter(fits).unwrap_or_else(|| {
        let msg =
            format!("Input should be at most {MOST_LABELS} texts by name, of {LONGEST_LABEL} bytes each");
        fields.complain("dict_type", "labels", msg, value);
        BTreeMap::new()
    })
}

/// What is to be put beside the files of a push.
fn deliver(fields: &mut Fields<'_>) -> Option<Vec<Deliver>> {
    let mut papers = Vec::new();
    for name in fields.texts("deliver")? {
        if let Some(paper) = Deliver::read(&name) {
            papers.push(paper);
        } else {
            let known = Deliver::ALL.map(|paper| format!("'{}'", paper.as_str())).join(", ");
            let msg = format!("Input should be some of {known}");
            fields.complain("literal_error", "deliver", msg, &Value::from(name.as_str()));
        }
    }
    Some(papers)
}

/// How archived files are to be restored.
fn thaw(fields: &mut Fields<'_>) -> Option<ThawParams> {
    let value = fields.get("thawParams")?;
    let read = value.as_object().ok_or_else(|| "Input should be a valid dictionary".to_owned());
    match read.and_then(|params| thaw_params(params).map_err(|failure| failure.message)) {
        Ok(thaw) => Some(thaw),
        Err(why) => {
            fields.complain("value_error", "thawParams", why, value);
            None
        }
    }
}

/// A push that is asked for.
///
/// # Errors
///
/// All that is wrong with it, but for what is wrong with the text of the destination.
pub fn push(body: &Value) -> Result<PushAsked, Vec<Invalid>> {
    let object = dictionary(body)?;
    let mut fields = Fields::of(object, &[]);
    let destination = fields.text("shareDestination");
    if destination.is_none() && fields.get("shareDestination").is_none() {
        fields.complain("missing", "shareDestination", "Field required", body);
    }
    let on_conflict = fields.read(
        "onConflict",
        ("literal_error", "Input should be 'fail', 'overwrite' or 'skip'"),
        |value| serde_json::from_value(value.clone()).ok(),
    );
    let deliver = deliver(&mut fields);
    let thaw = thaw(&mut fields);
    let dry_run = fields.flag("dryRun").unwrap_or(false);
    match (destination, fields.wrong.is_empty()) {
        (Some(destination), true) => Ok(PushAsked { destination, on_conflict, deliver, thaw, dry_run }),
        _ => Err(fields.wrong),
    }
}

/// Where a package is to go that is asked for, where that is said with it.
#[must_use]
pub fn destination_of(body: &Value) -> Option<Result<&str, String>> {
    let said = body.get("shareDestination").or_else(|| body.get("share_destination"))?;
    let text = said.as_str().ok_or_else(|| "`detail.payload.shareDestination` must be a string".to_owned());
    (!said.is_null()).then_some(text)
}

/// A run that is to be shared by itself, and the only job that is meant, where one is named.
///
/// # Errors
///
/// All that is wrong with it.
pub fn run(body: &Value) -> Result<(String, Option<String>), Vec<Invalid>> {
    let object = dictionary(body)?;
    let mut fields = Fields::of(object, &[]);
    let (run, job) = (fields.text("instrumentRunId"), fields.text("jobName"));
    let fits = |run: &String| is_run(run);
    match run.filter(fits) {
        Some(run) if fields.wrong.is_empty() => Ok((run, job)),
        _ => {
            let msg = "Input should be the name of a sequencing run";
            fields.complain("value_error", "instrumentRunId", msg, body);
            Err(fields.wrong)
        }
    }
}

/// A push that an event asks for, with the package that it names.
///
/// # Errors
///
/// As those of [`push`].
pub fn push_of(body: &Value) -> Result<(RequestId, PushAsked), Vec<Invalid>> {
    let asked = push(body)?;
    let given = body.get("packageId").or_else(|| body.get("package_id")).and_then(Value::as_str);
    let id = given.and_then(|text| Shared::Package.read(text)).ok_or_else(|| {
        vec![Invalid::new("value_error", &["packageId"], "Input should be the id of a package", body)]
    })?;
    Ok((id, asked))
}

#[cfg(test)]
mod tests;
