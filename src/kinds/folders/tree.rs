//! The children of such a root, for the machine that puts and watches them.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::{FolderKind, Folders, plan::Needed, staging};
use crate::{
    domain::{
        ids::{FolderId, RequestId},
        outcome::Outcome,
        request::{FolderRequest, Kind},
    },
    engine::{
        core::Core,
        lease::{Leased, RoundResult, id_of},
        records::{self, RootState, attr},
        round::trouble_of,
        tree::{Child, End, Observed, Roster, Tree, Window, why},
    },
    planes::folder::waiter,
    ports::{
        Error,
        store::{Item, Key},
    },
};

/// The folders of a root.
#[derive(Debug)]
pub(super) struct FolderTree<'a, K> {
    pub(super) folders: &'a Folders,
    pub(super) kind: &'a K,
    generation: u32,
    chunks: u32,
    /// The plan, once it was read.
    plan: OnceCell<Vec<(RequestId, FolderRequest)>>,
}

impl Folders {
    /// The children of a root, as they are planned.
    pub(crate) fn tree<'a, K: FolderKind>(&'a self, kind: &'a K, state: &RootState) -> impl Tree + 'a {
        let (generation, chunks) = (state.generation, state.chunks);
        FolderTree { folders: self, kind, generation, chunks, plan: OnceCell::new() }
    }

    /// The children of a root in so many chunks of its plan.
    pub(crate) async fn planned(
        &self,
        held: &Leased,
        generation: u32,
        chunks: u32,
    ) -> Result<Vec<(RequestId, FolderRequest)>, Error> {
        let id = id_of(held);
        let mut children = Vec::new();
        for n in 0..chunks {
            let (specs, _): (Vec<FolderRequest>, _) = self.core.chunk(&id, generation, n).await?;
            for spec in specs {
                let number = u32::try_from(children.len()).unwrap_or(u32::MAX);
                let place = format!("{}{}", spec.project, spec.path);
                let child = RequestId::child(&id, generation, Kind::Folder.as_str(), &place, number);
                children.push((child, spec));
            }
        }
        Ok(children)
    }
}

impl<K: FolderKind> FolderTree<'_, K> {
    /// The children that are planned, of all steps.
    pub(super) async fn plan(&self, held: &Leased) -> Result<&[(RequestId, FolderRequest)], Error> {
        self.plan.get_or_try_init(|| self.read_plan(held)).await.map(Vec::as_slice)
    }

    async fn read_plan(&self, held: &Leased) -> Result<Vec<(RequestId, FolderRequest)>, Error> {
        self.folders.planned(held, self.generation, self.chunks).await
    }
}

#[async_trait]
impl<K: FolderKind> Tree for FolderTree<'_, K> {
    fn plane(&self) -> &'static str {
        Kind::Folder.as_str()
    }

    fn noun(&self) -> &'static str {
        "folders"
    }

    fn unlooked(&self) -> Option<&'static str> {
        Some("nobody has looked at its folders")
    }

    fn window(&self) -> Window {
        Window::All
    }

    async fn next(&self, held: &Leased, state: &mut RootState, _room: u64) -> RoundResult<Vec<Child>> {
        let plan = self.plan(held).await?;
        let later = plan.iter().filter(|(_, spec)| spec.step > state.step).count() as u64;
        let Needed { mut children, tree_jobs, .. } = self.folders.needed(plan, state.step).await?;
        state.spread = children.len() as u64;
        state.children = state.spread + later;
        children.retain(|(_, spec)| spec.step == state.step);
        let child = |(id, spec): &(RequestId, FolderRequest)| {
            let mut spec = spec.clone();
            if spec.of_tree.is_some() {
                spec.tree_jobs.clone_from(&tree_jobs);
            }
            Ok(Child {
                id: id.clone(),
                destination: format!("icav2://{}{}", spec.project, spec.path),
                spec: records::text(&spec)?,
            })
        };
        children.into_iter().map(child).collect()
    }

    async fn roster(&self, held: &Leased, _state: &RootState) -> RoundResult<Roster<'_>> {
        let needed = self.folders.needed(self.plan(held).await?, u32::MAX).await?.children;
        let count = needed.len() as u64;
        let child = move |n: u64| needed.get(usize::try_from(n).ok()?).map(|(id, _)| id.clone());
        Ok(Roster::new(count, child))
    }

    /// The verdict of its folder is a record of its own.
    fn records_of(&self, child: &RequestId) -> Vec<Key> {
        vec![records::request_key(child), Key::new(child.as_str(), records::OUTCOME)]
    }

    /// It is folders that look, for all children that wait for them.
    async fn observe(&self, core: &Core, held: &Leased, open: &[Item]) -> RoundResult<Vec<Observed>> {
        let folder = |(id, spec): &(RequestId, FolderRequest)| {
            (id.to_string(), waiter::folder_key(&FolderId::of(&spec.project, spec.path.as_str())))
        };
        let ids: BTreeSet<_> = open.iter().map(|child| child.key.id.as_str()).collect();
        let plan = self.plan(held).await?.iter().filter(|(id, _)| ids.contains(id.as_str()));
        let keys: HashMap<String, Key> = plan.map(folder).collect();
        let wanted: BTreeSet<_> = keys.values().cloned().collect();
        let folders = core.ports.store.get_many(&wanted.into_iter().collect::<Vec<_>>()).await?;
        let seen = |child: &Item| {
            let key = keys.get(&child.key.id);
            let folder = folders.iter().find(|folder| Some(&folder.key) == key);
            let trouble = folder.and_then(trouble_of).or_else(|| trouble_of(child));
            Observed {
                looked_at: folder.and_then(|folder| folder.number(attr::LOOKED_AT)).unwrap_or(0),
                waits_for_a_place: [Some(child), folder]
                    .into_iter()
                    .flatten()
                    .any(|item| core.waits_for_a_place(item)),
                what: child.text(attr::DESTINATION).unwrap_or_default().to_owned(),
                why: folder.and_then(why).unwrap_or("nothing moves there").to_owned(),
                trouble: trouble.map(str::to_owned),
            }
        };
        Ok(open.iter().map(seen).collect())
    }

    async fn end(&self, held: &mut Leased) -> RoundResult<End> {
        self.end_step(held).await
    }

    /// It may have ended in the middle of a step, and then its staging folders are still there.
    async fn clear_up(&self, held: &Leased, outcome: &Outcome) -> RoundResult<()> {
        if outcome.failure.is_some() {
            let specs = self.plan(held).await?.iter().map(|(_, spec)| spec);
            staging::clear(self.folders.core.ports.platform.as_ref(), &id_of(held), specs).await?;
        }
        Ok(())
    }
}
