//! The papers that go with a push: sums, the report, a description. What they say depends on the package alone, so
//! that they can be written again at any time.

use futures_util::StreamExt as _;

use super::{Push, packaged::Packaged};
use crate::{
    domain::{
        copy_out::CopyOutRequest,
        outcome::{ErrorName, Failure, culprit},
        share::{
            deliver::Deliver, files::PackagedFile, outcome::Delivered, places::artifact, request::PushOrder,
        },
    },
    engine::{
        lease::{Leased, RoundError, RoundResult},
        liveness::RootRef,
    },
    kinds::lists::Paper,
    papers::delivery::{ro_crate, sums},
    ports::{self, Class, Error, reports::ReportWriter},
};

/// Terms that nobody has told this service of.
const LICENSE: &str = "As agreed between those who have sent it and those who have received it.";

/// Where papers go.
pub(super) enum Place<'a> {
    /// Beside the objects of a list.
    Beside(&'a CopyOutRequest, &'a mut Leased),
    /// Beside the other papers of the package, to be brought from there.
    Kept,
}

/// A paper that is being written.
enum Sheet<'a> {
    Beside(Box<Paper<'a>>, &'a mut Leased),
    Kept(Box<dyn ReportWriter>),
}

impl Sheet<'_> {
    async fn write(&mut self, bytes: &[u8]) -> RoundResult<()> {
        match self {
            Self::Beside(paper, held) => paper.write(held, bytes).await,
            // Papers are texts.
            Self::Kept(writer) => Ok(writer.write(&String::from_utf8_lossy(bytes)).await?),
        }
    }

    /// Ends it; where it is, if it is kept.
    async fn finish(self) -> RoundResult<String> {
        match self {
            Self::Beside(paper, held) => {
                held.lease.check()?;
                paper.finish().await?;
                Ok(String::new())
            }
            Self::Kept(writer) => Ok(writer.finish().await?),
        }
    }

    async fn give_up(self) {
        match self {
            Self::Beside(paper, _) => paper.give_up().await,
            Self::Kept(writer) => writer.abandon().await,
        }
    }
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(Class::Invalid, "write paper", "a paper cannot be written").caused_by(error)
}

/// The papers that are asked for, each once.
pub(super) fn asked_for(order: &PushOrder) -> Vec<Deliver> {
    Deliver::ALL.into_iter().filter(|paper| order.deliver.contains(paper)).collect()
}

/// The sum that a list of sums gives for a file, if it is known.
fn sum(paper: Deliver, file: &PackagedFile) -> Option<&str> {
    match paper {
        Deliver::Md5 => sums::md5(file.md5.as_deref()),
        Deliver::Sha256 => sums::sha256(file.sha256.as_deref()),
        Deliver::Report | Deliver::RoCrate => None,
    }
}

/// Counts a file in what is told of papers.
pub(super) fn count(told: &mut [(Deliver, Delivered)], file: &PackagedFile) {
    for (paper, told) in told {
        let is_list = matches!(paper, Deliver::Md5 | Deliver::Sha256);
        if is_list && sum(*paper, file).is_none() {
            told.without_sum += 1;
        } else {
            told.files += 1;
        }
    }
}

/// What is told of these papers, before any file is counted.
pub(super) fn untold(order: &PushOrder) -> Vec<(Deliver, Delivered)> {
    let told = |paper: Deliver| {
        (paper, Delivered { name: paper.file_name(&order.package_name), files: 0, without_sum: 0 })
    };
    asked_for(order).into_iter().map(told).collect()
}

impl Push {
    /// Puts papers beside the objects of a push; what they tell, or why they are not all there.
    pub(super) async fn deliver(
        &self,
        held: &mut Leased,
        order: &PushOrder,
        request: &CopyOutRequest,
    ) -> RoundResult<Result<Vec<Delivered>, Failure>> {
        if order.deliver.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        match self.write_papers(held, order, request).await {
            Ok(told) => Ok(Ok(told)),
            Err(RoundError::Port(error)) if error.is_passing() && !self.core.lasts_too_long(held).await? => {
                Err(error.into())
            }
            Err(RoundError::Port(error)) => {
                let at = request.destination();
                let why = format!("what goes with the files (deliver) could not be put there: {error}");
                Ok(Err(culprit(ErrorName::CopyError, why.clone(), &at, &why)))
            }
            Err(halt) => Err(halt),
        }
    }

    async fn write_papers(
        &self,
        held: &mut Leased,
        order: &PushOrder,
        request: &CopyOutRequest,
    ) -> RoundResult<Vec<Delivered>> {
        let packaged = self.files_of(order).await?;
        let mut told = untold(order);
        for n in 0..packaged.chunks() {
            for file in &packaged.files(n).await? {
                count(&mut told, file);
            }
        }
        for (paper, _) in &told {
            self.write_paper(order, &packaged, *paper, Place::Beside(request, held)).await?;
            self.core.record_progress(&[RootRef::of(&held.item)]);
        }
        Ok(told.into_iter().map(|(_, told)| told).collect())
    }

    /// Writes a paper; where it is, if it is kept.
    pub(super) async fn write_paper(
        &self,
        order: &PushOrder,
        packaged: &Packaged<'_>,
        paper: Deliver,
        place: Place<'_>,
    ) -> RoundResult<String> {
        let gone = |what: &str| Error::new(Class::Invalid, "write paper", what.to_owned());
        let sharing =
            self.core.ports.sharing.as_ref().ok_or_else(|| gone("there is no place for artifacts"))?;
        let card =
            self.cards().of(packaged.package()).await?.ok_or_else(|| gone("the package was deleted"))?;
        let name = paper.file_name(&order.package_name);
        let kept = artifact(packaged.package(), card.asked_at, &name);
        let mut sheet = match place {
            Place::Beside(request, held) => {
                Sheet::Beside(Box::new(self.lists.paper(request, &name).await?), held)
            }
            Place::Kept => Sheet::Kept(sharing.artifacts.begin(&kept).await?),
        };
        let head = ro_crate::Head {
            name: &order.package_name,
            id: packaged.package().as_str(),
            date: card.asked_at,
            description: "Genomics data, as they were packaged for those who receive them.",
            license: LICENSE,
        };
        let filled = match paper {
            Deliver::Md5 | Deliver::Sha256 => list_sums(&mut sheet, packaged, paper).await,
            Deliver::Report => match sharing.artifacts.open(&kept).await {
                Ok(Some(opened)) => copy(&mut sheet, opened.bytes).await,
                Ok(None) => Err(gone("the report of the package is gone").into()),
                Err(error) => Err(error.into()),
            },
            Deliver::RoCrate => describe(&mut sheet, packaged, &head).await,
        };
        match filled {
            Ok(()) => sheet.finish().await,
            Err(error) => {
                sheet.give_up().await;
                Err(error)
            }
        }
    }
}

async fn list_sums(sheet: &mut Sheet<'_>, packaged: &Packaged<'_>, paper: Deliver) -> RoundResult<()> {
    for n in 0..packaged.chunks() {
        let mut lines = String::new();
        for file in packaged.files(n).await? {
            if let Some(sum) = sum(paper, &file) {
                sums::push_line(&mut lines, sum, &file.path);
            }
        }
        sheet.write(lines.as_bytes()).await?;
    }
    Ok(())
}

async fn copy(sheet: &mut Sheet<'_>, mut bytes: ports::objects::ByteStream) -> RoundResult<()> {
    let mut held_back = Vec::new();
    while let Some(some) = bytes.next().await {
        let cut = |error| Error::new(Class::Transient, "read report", "it was cut off").caused_by(error);
        held_back.extend_from_slice(&some.map_err(cut)?);
        // A letter may begin in one piece and end in the next.
        let whole = match std::str::from_utf8(&held_back) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Ok(_) | Err(_) => held_back.len(),
        };
        let rest = held_back.split_off(whole);
        sheet.write(&std::mem::replace(&mut held_back, rest)).await?;
    }
    sheet.write(&held_back).await
}

async fn describe(
    sheet: &mut Sheet<'_>,
    packaged: &Packaged<'_>,
    head: &ro_crate::Head<'_>,
) -> RoundResult<()> {
    let mut parts = ro_crate::Parts::new(head);
    for n in 0..packaged.chunks() {
        for file in packaged.files(n).await? {
            parts.take(&file.path);
        }
        sheet.write(parts.drain().as_bytes()).await?;
    }
    let mut files = parts.files();
    for n in 0..packaged.chunks() {
        for file in packaged.files(n).await? {
            let (md5, sha256) = (sums::md5(file.md5.as_deref()), sums::sha256(file.sha256.as_deref()));
            let file = ro_crate::File { path: &file.path, size: file.size, md5, sha256 };
            files.take(&file).map_err(unwritable)?;
        }
        sheet.write(files.drain().as_bytes()).await?;
    }
    sheet.write(files.finish().as_bytes()).await
}
