//! Which kinds of work and which planes this program has: the one place that names them all.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{
    domain::share::settings::ShareSettings,
    engine::{Engine, Registry, core::Core, settings::Settings},
    kinds::{
        auto::Auto, batch::Batch, copy::Copy, copy_out::CopyOut, folders::Folders, lists::Lists,
        package::Package, push::Push, replica::Replicas,
    },
    planes::{
        folder::FolderPlane,
        objects::ObjectsPlane,
        table::{Replicated, TablePlane},
    },
    ports::Ports,
};

/// The work of one instance.
#[derive(Debug, Clone)]
pub struct Work {
    /// Runs records.
    pub engine: Arc<Engine>,
    /// Hears of jobs.
    pub folders: Arc<FolderPlane>,
    /// Says what copies would do.
    pub copies: Arc<Copy>,
    /// Knows the files of packages.
    pub packages: Arc<Package>,
    /// Knows the tables of replicas.
    pub replicas: Arc<Replicas>,
}

/// All kinds and planes over these ports. `stop` ends intake and lets work under way come to an end; `cut`
/// ends streams too.
#[must_use]
pub fn work(
    ports: Ports,
    settings: Settings,
    share: ShareSettings,
    replicated: Vec<Replicated>,
    stop: CancellationToken,
    cut: CancellationToken,
) -> Work {
    let (core, incoming) = Core::new(ports, settings, stop, cut);
    let folder = FolderPlane::new(core.clone());
    let objects = ObjectsPlane::new(core.clone());
    let folders = Arc::new(Folders::new(core.clone(), folder.clone()));
    let copies = Arc::new(Copy::new(core.clone(), folders.clone(), objects.clone()));
    let share = Arc::new(share);
    let packages = Arc::new(Package::new(core.clone(), share.clone()));
    let lists = Arc::new(Lists::new(core.clone(), objects.clone()));
    let tables = TablePlane::new(core.clone(), &replicated);
    let replicas = Arc::new(Replicas::new(core.clone(), replicated.into()));
    let registry = Registry::default()
        .with_plane(folder.clone())
        .with_plane(objects)
        .with_plane(tables)
        .with_kind(copies.clone())
        .with_kind(Arc::new(Batch::new(core.clone(), folders.clone())))
        .with_kind(Arc::new(CopyOut::new(lists.clone())))
        .with_kind(Arc::new(Auto::new(core.clone(), share.clone())))
        .with_kind(packages.clone())
        .with_kind(replicas.clone())
        .with_kind(Arc::new(Push::new(core.clone(), folders, lists, share)));
    Work { engine: Engine::new(core, incoming, registry), folders: folder, copies, packages, replicas }
}
