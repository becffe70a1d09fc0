//! The tables of a package on the command line, and what is asked for with them.
//!
//! Everything in them is text: ids may be all digits, or look like a number. Empty cells say nothing, and each id
//! is asked for once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::{
    cli::exit::Ended,
    domain::share::{
        files::DataType,
        lims::{LIMS_COLUMNS, library_id, missing},
        rows::Row,
    },
    events::lists::{Meaning, Reader, Table},
};

/// A row of a table: its cells by the names of their columns.
type Cells = BTreeMap<String, String>;

/// Libraries of one table are not in the other; no package is asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "The following library ids are missing from the LIMS manifest: {0}\n\
     Some library ids in the workflow manifest are not present in the LIMS manifest"
)]
pub(super) struct MissingLibraries(String);

/// What is asked for.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(super) struct Wish {
    /// What is known of libraries.
    pub(super) lims: Option<Vec<Cells>>,
    /// Runs of workflows.
    pub(super) workflows: Option<Vec<Cells>>,
    /// The files themselves.
    pub(super) files: Option<Vec<Row>>,
    pub(super) exclude_primary_data: bool,
    pub(super) defrost_archived_fastqs: bool,
    pub(super) use_workflow_filters: bool,
    pub(super) primary_data_path_prefix: String,
    pub(super) secondary_analysis_path_prefix: String,
    pub(super) since_package: Option<String>,
    pub(super) compute_sums: bool,
}

/// Reads a table, which is CSV, plain or gzipped.
pub(super) fn table(path: &Path, what: &str) -> anyhow::Result<Vec<Cells>> {
    if !path.exists() {
        return Err(Ended::Refused(format!("{what} manifest file {} does not exist", path.display())).into());
    }
    rows::<Table>(path, "manifest.csv")
}

/// Reads a list, which is CSV or JSON lines as its name `of` says, plain or gzipped.
pub(super) fn rows<M: Meaning + Default>(path: &Path, of: &str) -> anyhow::Result<Vec<M::Row>> {
    let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut rows = Vec::new();
    let mut reader = Reader::<M>::of(of);
    let read = reader.push(&content, &mut rows).and_then(|()| reader.finish(&mut rows));
    read.map_err(|failure| Ended::Refused(format!("{}: {}", path.display(), failure.message)))?;
    Ok(rows)
}

impl Wish {
    /// The request, as the API reads it.
    pub(super) fn request(&self) -> anyhow::Result<Value> {
        let libraries = self.lims.as_deref().map(|lims| {
            let ids = column(lims, "library_id", "LIMS")?;
            let ids = unique(ids.iter().map(|id| library_id(id)));
            if ids.is_empty() { Err(refused("the LIMS manifest names no library")) } else { Ok(ids) }
        });
        let libraries = libraries.transpose()?;
        let portal_runs = self.workflows.as_deref().map(|workflows| {
            let runs = column(workflows, "portal_run_id", "workflow")?;
            if let Some(libraries) = &libraries {
                // Named as in that table, where it is the same library.
                let ids = unique(cells(workflows, "library_id").into_iter().map(library_id));
                let missing = missing(libraries, &ids);
                if !missing.is_empty() {
                    return Err(MissingLibraries(missing.join(", ")).into());
                }
            }
            Ok::<_, anyhow::Error>(runs)
        });
        let portal_runs = portal_runs.transpose()?;
        // None at all is not "of no run".
        let runs = self.lims.as_deref().map(|lims| unique(cells(lims, "sequencing_run_id")));
        let mut request = json!({
            "libraryIdList": libraries,
            "dataTypeList": self.data_types()?,
            "instrumentRunIdList": runs.filter(|runs| !runs.is_empty()),
            "portalRunIdList": portal_runs,
            "defrostArchivedFastqs": self.defrost_archived_fastqs,
            "useWorkflowFilters": self.use_workflow_filters,
            "primaryDataPathPrefix": self.primary_data_path_prefix,
            "secondaryAnalysisPathPrefix": self.secondary_analysis_path_prefix,
        });
        if let Some(fields) = request.as_object_mut() {
            if let Some(files) = &self.files {
                let files = files.iter().map(told).collect::<Result<Value, _>>()?;
                fields.insert("manifest".to_owned(), files);
                // The files are the caller's own, so what is known of their libraries may be, too.
                if let Some(lims) = &self.lims {
                    fields.insert("limsManifest".to_owned(), lims.iter().filter_map(library).collect());
                }
            }
            if let Some(since) = &self.since_package {
                fields.insert("sincePackageId".to_owned(), since.as_str().into());
            }
            if self.compute_sums {
                fields.insert("computeSums".to_owned(), true.into());
            }
        }
        Ok(request)
    }

    /// Reads, unless they are left out, and analyses where runs of them are named; of files that are named
    /// themselves, what they are.
    fn data_types(&self) -> anyhow::Result<Vec<&'static str>> {
        let is_named = |data_type| self.files.iter().flatten().any(|row| row.data_type() == data_type);
        if self.files.as_ref().is_some_and(Vec::is_empty) {
            return Err(refused("the manifest names no file"));
        }
        let reads = self.files.is_none() || is_named(DataType::Fastq);
        let analyses = self.workflows.is_some() || is_named(DataType::SecondaryAnalysis);
        let mut types = Vec::new();
        if reads && !self.exclude_primary_data {
            types.push(DataType::Fastq.as_str());
        }
        if analyses {
            types.push(DataType::SecondaryAnalysis.as_str());
        }
        Ok(types)
    }
}

fn refused(why: impl Into<String>) -> anyhow::Error {
    Ended::Refused(why.into()).into()
}

/// The texts of a column that are not empty.
fn cells<'a>(rows: &'a [Cells], name: &str) -> Vec<&'a str> {
    let cells = rows.iter().filter_map(|row| row.get(name));
    cells.map(|text| text.trim()).filter(|text| !text.is_empty()).collect()
}

/// The same, each once, of a column without which the table says nothing.
fn column(rows: &[Cells], name: &str, what: &str) -> anyhow::Result<Vec<String>> {
    if !rows.is_empty() && !rows.iter().any(|row| row.contains_key(name)) {
        return Err(refused(format!("the {what} manifest has no column `{name}`")));
    }
    Ok(unique(cells(rows, name)))
}

/// Each once, in the order in which they come.
fn unique<'a>(ids: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    ids.into_iter().filter(|id| seen.insert(*id)).map(str::to_owned).collect()
}

/// What a row tells of its file.
fn told(row: &Row) -> anyhow::Result<Value> {
    let mut told = serde_json::to_value(row)?;
    if let Some(fields) = told.as_object_mut() {
        fields.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
    }
    Ok(told)
}

/// What a row tells of its library.
fn library(row: &Cells) -> Option<Value> {
    let told = |name: &&str| row.get(*name).map(|text| text.trim()).filter(|text| !text.is_empty());
    told(&"library_id")?;
    let fields = LIMS_COLUMNS.iter().filter_map(|name| Some(((*name).to_owned(), told(name)?.into())));
    Some(Value::Object(fields.collect::<Map<_, _>>()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::events::{lists::Rows, share::asked};

    fn read<M: Meaning + Default>(name: &str, text: &[u8]) -> Vec<M::Row> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        rows::<M>(&path, name).unwrap()
    }

    fn wish(lims: Option<&str>, workflows: Option<&str>) -> Wish {
        let table = |text: &str| read::<Table>("x.csv", text.as_bytes());
        Wish {
            lims: lims.map(table),
            workflows: workflows.map(table),
            files: None,
            exclude_primary_data: false,
            defrost_archived_fastqs: false,
            use_workflow_filters: true,
            primary_data_path_prefix: "fastq".into(),
            secondary_analysis_path_prefix: "secondary-analysis".into(),
            since_package: None,
            compute_sums: false,
        }
    }

    /// The request, which the API reads.
    fn asks(wish: &Wish) -> Value {
        let request = wish.request().unwrap();
        asked::package(&json!({ "packageName": "ab", "packageRequest": request }), false).unwrap();
        request
    }

    #[test]
    fn it_asks_for_what_the_original_asks_for() {
        let lims = "sequencing_run_id,library_id,other\r\n240229_A00130_0288_BH5HM2DSXC,L2400001,x\r\n\
                    240229_A00130_0288_BH5HM2DSXC,L2400002,x\r\n";
        let expected = r#"{"libraryIdList":["L2400001","L2400002"],"dataTypeList":["fastq"],"instrumentRunIdList":["240229_A00130_0288_BH5HM2DSXC"],"portalRunIdList":null,"defrostArchivedFastqs":false,"useWorkflowFilters":true,"primaryDataPathPrefix":"fastq","secondaryAnalysisPathPrefix":"secondary-analysis"}"#;
        assert_eq!(asks(&wish(Some(lims), None)).to_string(), expected);
        let workflows = "portal_run_id,library_id\n20240512e1234567,L2400001\n20240513,L2400002\n";
        let both = asks(&wish(Some(lims), Some(workflows)));
        assert_eq!(both["dataTypeList"], json!(["fastq", "secondaryAnalysis"]));
        assert_eq!(both["portalRunIdList"], json!(["20240512e1234567", "20240513"]));
        let analyses = Wish {
            exclude_primary_data: true,
            use_workflow_filters: false,
            primary_data_path_prefix: "/".into(),
            secondary_analysis_path_prefix: "/".into(),
            ..wish(Some(lims), Some(workflows))
        };
        let analyses = asks(&analyses);
        assert_eq!(analyses["dataTypeList"], json!(["secondaryAnalysis"]));
        assert_eq!(
            (&analyses["useWorkflowFilters"], &analyses["primaryDataPathPrefix"]),
            (&json!(false), &json!("/"))
        );
    }

    #[test]
    fn everything_is_text_and_each_id_is_asked_for_once() {
        let lims = "library_id,sequencing_run_id\n1234,0017\n1234_topup2,0017\n20240512e1234567_rerun,\n,\n 1234 ,1e5\n,\n";
        let asked = asks(&wish(Some(lims), Some("portal_run_id\n007\n007\n\"\"\n")));
        assert_eq!(asked["libraryIdList"], json!(["1234", "20240512e1234567"]));
        assert_eq!(asked["instrumentRunIdList"], json!(["0017", "1e5"]));
        assert_eq!(asked["portalRunIdList"], json!(["007"]));
    }

    #[test]
    fn a_table_may_be_packed_and_may_lack_columns() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(b"\xef\xbb\xbflibrary_id,workflow\r\nL1,wgs\r\n").unwrap();
        let lims = read::<Table>("manifest.csv", &packed.finish().unwrap());
        let asked = asks(&Wish { lims: Some(lims), ..wish(None, None) });
        assert_eq!((&asked["libraryIdList"], &asked["instrumentRunIdList"]), (&json!(["L1"]), &Value::Null));

        let says = |lims, workflows| wish(Some(lims), workflows).request().unwrap_err().to_string();
        assert_eq!(says("x,y\n1,2\n", None), "refused: the LIMS manifest has no column `library_id`");
        assert_eq!(says("library_id,y\n,2\n", None), "refused: the LIMS manifest names no library");
        let why = says("library_id\nL1\n", Some("library_id\nL1\n"));
        assert_eq!(why, "refused: the workflow manifest has no column `portal_run_id`");
        // A table of no run is one: no analysis is meant.
        let none = wish(Some("library_id\nL1\n"), Some("portal_run_id,library_id\n"));
        assert_eq!(asks(&none)["portalRunIdList"], json!([]));
    }

    #[test]
    fn libraries_that_only_the_workflows_know_are_named() {
        let workflows = "portal_run_id,library_id\nr1,L1_topup\nr2,L3\nr3,L2\nr4,L3\nr5,\n";
        let error = wish(Some("library_id\nL1_topup\n"), Some(workflows)).request().unwrap_err();
        assert_eq!(
            error.to_string(),
            "The following library ids are missing from the LIMS manifest: L3, L2\n\
             Some library ids in the workflow manifest are not present in the LIMS manifest"
        );
        assert!(error.is::<MissingLibraries>());
    }

    #[test]
    fn files_may_be_named_themselves() {
        let csv = b"uri,library_id,lane,instrument_run_id\ns3://b/L1_R1.fastq.gz,1234,1,0017\n";
        let files = Some(read::<Rows>("files.csv", csv));
        let asked = asks(&Wish { files, ..wish(None, None) });
        let row = json!({ "uri": "s3://b/L1_R1.fastq.gz", "library_id": "1234", "instrument_run_id": "0017", "lane": 1 });
        assert_eq!(asked["manifest"], json!([row]));
        assert_eq!((&asked["dataTypeList"], &asked["libraryIdList"]), (&json!(["fastq"]), &Value::Null));

        let lines = b"{\"uri\":\"s3://b/x/r1/y.bam\",\"portalRunId\":\"r1\",\"workflowName\":\"wts\"}\n";
        let analyses = Wish {
            files: Some(read::<Rows>("files.jsonl", lines)),
            since_package: Some("pkg.1".into()),
            compute_sums: true,
            ..wish(Some("library_id,project_id,assay,other\nL1_topup,P,,x\n,P,,\n"), None)
        };
        let asked = asks(&analyses);
        assert_eq!(asked["dataTypeList"], json!(["secondaryAnalysis"]));
        assert_eq!(asked["limsManifest"], json!([{ "library_id": "L1_topup", "project_id": "P" }]));
        assert_eq!(asked["sincePackageId"], "pkg.1");
        assert_eq!(asked["computeSums"], true);
        let none = Wish { files: Some(Vec::new()), ..wish(None, None) };
        assert_eq!(none.request().unwrap_err().to_string(), "refused: the manifest names no file");
    }
}
