//! The receipt of a request while it is written.

use sha2::{Digest as _, Sha256};

use crate::{
    domain::{
        ids::RequestId,
        receipt::{Line, Receipt},
    },
    ports::{
        Result,
        reports::{ReportWriter, Reports},
    },
};

/// A receipt that is being written.
pub(crate) struct ReceiptDraft {
    writer: Box<dyn ReportWriter>,
    sum: Sha256,
    files: u64,
}

impl ReceiptDraft {
    /// Begins the receipt of a request.
    pub(crate) async fn begin(reports: &dyn Reports, root: &RequestId) -> Result<Self> {
        let writer = reports.begin(&format!("{root}/receipt.jsonl")).await?;
        Ok(Self { writer, sum: Sha256::new(), files: 0 })
    }

    /// Adds a file.
    pub(crate) async fn add(&mut self, line: &Line) -> Result<()> {
        let text = line.to_text();
        self.sum.update(text.as_bytes());
        self.files += 1;
        self.writer.write(&text).await
    }

    /// Drops it, and what of it was written.
    pub(crate) async fn abandon(self) {
        self.writer.abandon().await;
    }

    /// Ends it.
    pub(crate) async fn finish(self) -> Result<Receipt> {
        let Self { writer, sum, files } = self;
        let uri = writer.finish().await?;
        Ok(Receipt { uri, sha256: hex::encode(sum.finalize()), files })
    }
}
