//! The papers of a package: its report, for people and for programs, and its files and libraries as tables.

use std::collections::BTreeSet;

use super::{Frozen, Package, since::Before};
use crate::{
    domain::share::{places::artifact, request::PackageOrder},
    engine::{
        kind::PlanError,
        lease::{Leased, RoundResult},
        liveness::RootRef,
        records::started_at,
    },
    kinds::frozen::{read_chunk, read_libraries},
    papers::report::{
        Head, JsonReport, Mark, Report, Summary, file_row, files_head, libraries_head, library_row,
    },
    ports::{
        Class, Error, Result,
        reports::{ReportWriter, Reports},
    },
};

/// A paper that is being written.
struct Paper(Box<dyn ReportWriter>);

impl Paper {
    async fn begin(place: &dyn Reports, name: &str) -> Result<Self> {
        place.begin(name).await.map(Self)
    }

    async fn add(&mut self, bytes: &[u8]) -> Result<()> {
        // Papers are texts.
        if bytes.is_empty() { Ok(()) } else { self.0.write(&String::from_utf8_lossy(bytes)).await }
    }
}

/// All papers of a package.
struct Papers {
    report: Report,
    json: JsonReport,
    /// Where the report goes, the same for programs, the files, the libraries.
    sheets: [Paper; 4],
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(Class::Invalid, "write report", "a report cannot be written").caused_by(error)
}

impl Papers {
    async fn begin(place: &dyn Reports, folder: &str, of: &Head) -> Result<Self> {
        let name = |name: &str| format!("{folder}{name}");
        let report = Paper::begin(place, &name(&format!("SummaryReport.{}.html", of.name))).await?;
        let json = Paper::begin(place, &name("report.json")).await?;
        let mut files = Paper::begin(place, &name("files.csv")).await?;
        let mut libraries = Paper::begin(place, &name("libraries.csv")).await?;
        files.add(files_head().as_bytes()).await?;
        libraries.add(libraries_head().as_bytes()).await?;
        Ok(Self {
            report: Report::new(of.clone()),
            json: JsonReport::new(of).map_err(unwritable)?,
            sheets: [report, json, files, libraries],
        })
    }

    async fn drain(&mut self) -> Result<()> {
        let [report, json, ..] = &mut self.sheets;
        report.add(&self.report.drain()).await?;
        json.add(&self.json.drain()).await
    }

    async fn abandon(self) {
        for Paper(writer) in self.sheets {
            writer.abandon().await;
        }
    }

    /// Ends all of them; where one cannot be ended, the others leave nothing behind.
    async fn finish(self, summary: &Summary) -> Result<()> {
        let [mut report, mut json, files, libraries] = self.sheets;
        let mut done = report.add(&self.report.finish(summary)).await;
        if done.is_ok() {
            done = match self.json.finish(summary).map_err(unwritable) {
                Ok(text) => json.add(&text).await,
                Err(error) => Err(error),
            };
        }
        for Paper(writer) in [report, json, files, libraries] {
            match &done {
                Ok(()) => done = writer.finish().await.map(drop),
                Err(_) => writer.abandon().await,
            }
        }
        done
    }
}

impl Package {
    /// Writes the papers of a package all of whose files were looked at.
    pub(super) async fn write_papers(
        &self,
        held: &Leased,
        order: &PackageOrder,
        frozen: &Frozen,
        before: Option<&Before>,
        libraries: &BTreeSet<String>,
    ) -> RoundResult<std::result::Result<(), PlanError>> {
        let Some(sharing) = &self.core.ports.sharing else { return Ok(Ok(())) };
        let date = order.asked_at.unwrap_or_else(|| started_at(&held.item));
        let of = Head { name: order.name.clone(), id: frozen.id.to_string(), date };
        let folder = artifact(&frozen.id, date, "");
        let mut summary = Summary::default();
        if let Some(before) = before {
            let known = match read_libraries(&self.core, &frozen.id, frozen.generation).await {
                Ok(known) => known,
                Err(error) => return Ok(Err(PlanError::from(error))),
            };
            let known = known.into_iter().map(|library| library.library_id);
            let libraries = &libraries.iter().cloned().chain(known).collect();
            summary.previous = match self.difference(held, before, libraries).await {
                Ok(previous) => Some(previous),
                Err(error) => return Ok(Err(PlanError::from(error))),
            };
        }
        let mut papers = match Papers::begin(sharing.artifacts.as_ref(), &folder, &of).await {
            Ok(papers) => papers,
            Err(error) => return Ok(Err(PlanError::from(error))),
        };
        let written = self.fill(held, &mut papers, frozen, before).await;
        let done = match written {
            Ok(()) if held.lease.check().is_ok() => papers.finish(&summary).await,
            Ok(()) => {
                papers.abandon().await;
                held.lease.check()?;
                return Ok(Ok(()));
            }
            Err(error) => {
                papers.abandon().await;
                Err(error)
            }
        };
        Ok(done.map_err(PlanError::from))
    }

    async fn fill(
        &self,
        held: &Leased,
        papers: &mut Papers,
        frozen: &Frozen,
        before: Option<&Before>,
    ) -> Result<()> {
        for library in read_libraries(&self.core, &frozen.id, frozen.generation).await? {
            papers.report.library(&library);
            papers.json.library(&library).map_err(unwritable)?;
            let [.., libraries] = &mut papers.sheets;
            libraries.add(library_row(&library).as_bytes()).await?;
        }
        for n in 0..frozen.chunks {
            let chunk = read_chunk(&self.core, &frozen.id, frozen.generation, n).await?;
            let mut rows = String::new();
            for file in chunk.kept() {
                let mark = before.map_or(Mark::Same, |before| before.mark(file));
                papers.report.take(file, mark);
                papers.json.take(file, mark).map_err(unwritable)?;
                rows.push_str(&file_row(file, mark));
            }
            let [_, _, files, _] = &mut papers.sheets;
            files.add(rows.as_bytes()).await?;
            papers.drain().await?;
            self.core.record_progress(&[RootRef::of(&held.item)]);
        }
        Ok(())
    }
}
