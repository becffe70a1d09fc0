//! Files of packages that are asked for one by one, by their numbers: those of some chunks are at hand, for who asks
//! for one asks for the next.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    domain::{
        ids::RequestId,
        share::{files::PackagedFile, outcome::PackageReport},
    },
    kinds::package::Package,
    ports,
};

/// Packages whose reports are at hand, without their libraries.
const REPORTS: usize = 64;
/// Chunks whose files are at hand, each of about 64 KB.
const CHUNKS: usize = 16;

/// The last few of something, by their keys.
#[derive(Debug)]
struct Recent<K, V> {
    most: usize,
    held: Mutex<VecDeque<(K, V)>>,
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    fn new(most: usize) -> Self {
        Self { most, held: Mutex::default() }
    }

    fn get(&self, key: &K) -> Option<V> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    }

    fn put(&self, key: K, value: V) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(known, _)| *known != key);
        if held.len() >= self.most {
            held.pop_front();
        }
        held.push_back((key, value));
    }
}

/// What is at hand. Packages are frozen, so that what is here cannot be out of date.
#[derive(Debug)]
pub(super) struct Shelf {
    packages: Arc<Package>,
    reports: Recent<RequestId, Arc<PackageReport>>,
    chunks: Recent<(RequestId, u32), Arc<Vec<PackagedFile>>>,
}

impl Shelf {
    pub(super) fn new(packages: Arc<Package>) -> Self {
        Self { packages, reports: Recent::new(REPORTS), chunks: Recent::new(CHUNKS) }
    }

    /// What a package holds, but for its libraries; `None` where its files are not kept any more.
    pub(super) async fn report(&self, package: &RequestId) -> ports::Result<Option<Arc<PackageReport>>> {
        if let Some(report) = self.reports.get(package) {
            return Ok(Some(report));
        }
        let Some(mut report) = self.packages.report(package).await? else { return Ok(None) };
        report.libraries.clear();
        let report = Arc::new(report);
        self.reports.put(package.clone(), report.clone());
        Ok(Some(report))
    }

    /// The file of that number, from 1, in the order of the package.
    pub(super) async fn file(&self, package: &RequestId, number: u64) -> ports::Result<Option<PackagedFile>> {
        let Some(report) = self.report(package).await? else { return Ok(None) };
        let Some(mut left) = number.checked_sub(1) else { return Ok(None) };
        for (n, count) in (0..report.chunks).zip(&report.counts) {
            if left < u64::from(*count) {
                let files = self.chunk(package, &report, n).await?;
                return Ok(usize::try_from(left).ok().and_then(|left| files.get(left).cloned()));
            }
            left -= u64::from(*count);
        }
        Ok(None)
    }

    async fn chunk(
        &self,
        package: &RequestId,
        report: &PackageReport,
        n: u32,
    ) -> ports::Result<Arc<Vec<PackagedFile>>> {
        let key = (package.clone(), n);
        if let Some(files) = self.chunks.get(&key) {
            return Ok(files);
        }
        let files = Arc::new(self.packages.some_files(package, report, n).await?);
        self.chunks.put(key, files.clone());
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_held_than_was_said() {
        let recent = Recent::new(2);
        for n in [1, 2, 1, 3] {
            recent.put(n, n * 10);
        }
        assert_eq!([1, 2, 3].map(|n| recent.get(&n)), [Some(10), None, Some(30)]);
    }
}
