//! Loading what a job gives.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    TableRun,
    ask::Hand,
    judge::{Halt, Step},
    parts::UNKNOWN_COLUMN,
    shape::Shaped,
    state::{Behind, Staged},
};
use crate::{
    domain::replica::{counts::Counts, order::Mode, settings::Reinit},
    engine::lease::RoundError,
    ports::{
        Class, Error,
        replica::{Loader, Look, Parts as _, Trouble},
        source::Job,
    },
};

impl TableRun<'_> {
    /// Loads what a complete job gives, unless it is told to stop.
    pub(super) async fn load(&mut self, job: Job, since: Option<Timestamp>) -> Result<Step, Halt> {
        let (watch, core, root_refs) = (self.watch(), Arc::clone(&self.plane.core), self.root_refs.clone());
        // A statement may take an hour. One that is stuck is given up: its connection is watched, and so are files.
        let load = core.while_moving(&root_refs, Box::pin(self.load_all(job, since)));
        let loaded = tokio::select! {
            biased;
            halt = watch => Err(halt),
            loaded = load => loaded,
        };
        match loaded {
            Err(Halt::Trouble(Trouble::Source(error)) | Halt::Lines(error))
                if error.code.as_deref() == Some(UNKNOWN_COLUMN) && !self.state.fresh_schema =>
            {
                self.state.fresh_schema = true;
                Ok(Step::On)
            }
            loaded => loaded,
        }
    }

    async fn load_all(&mut self, job: Job, since: Option<Timestamp>) -> Result<Step, Halt> {
        let Some(Hand { mut loader, look, place: _place }) = self.look().await? else {
            return self.is_held();
        };
        if self.plane.core.stop.is_cancelled() {
            return Err(RoundError::Stopping.into());
        }
        if let Some(behind) = self.state.behind.clone() {
            return self.bring_forward(loader, &look, (&job, since), behind).await;
        }
        if let Some(staged) = self.staged() {
            return self.compare(loader.as_mut(), &look, (&staged, &job)).await;
        }
        if since.is_some() && self.is_retreated(&look)? {
            // The settings have changed since these changes were asked for.
            self.state.asked = None;
            return Ok(Step::On);
        }
        let data_of = data_of(&job)?;
        let is_whole = since.is_none();
        let is_done = look
            .meta
            .as_ref()
            .is_some_and(|meta| meta.timestamp == data_of && Some(meta.schema_version) == job.schema_version);
        // Who asks for all of it gets all of it, also where it is as old as what is there.
        let was_asked_for = since.is_some()
            || self.state.staging.as_ref() == Some(&job.id)
            || (self.order.mode == Mode::Sync && !self.state.needs_init);
        // A table that somebody has dropped is not done, whatever its row of meta data says.
        if is_done
            && look.found.is_some()
            && was_asked_for
            && since != Some(data_of)
            && look.staged.is_none()
            && self.state.audit.is_none()
        {
            // It was done, and the answer was lost; or another run has done it.
            return Ok(self.is_done(data_of, is_whole));
        }
        match since {
            Some(since) => self.apply(loader.as_mut(), &look, &job, since, data_of).await,
            None => self.load_whole(loader, &look, &job, data_of).await,
        }
    }

    /// Applies changes, in one transaction.
    async fn apply(
        &mut self,
        loader: &mut dyn Loader,
        look: &Look,
        job: &Job,
        since: Timestamp,
        data_of: Timestamp,
    ) -> Result<Step, Halt> {
        if look.meta.as_ref().map(|meta| meta.timestamp) != Some(since) {
            // These are changes of a table as it was before another program has written it.
            return Err(Trouble::Moved.into());
        }
        let shaped = self.shaped(look, job.schema_version).await?;
        let shaped = self.evolve(loader, look, shaped).await?;
        let mut files = self.files(job, &shaped, true);
        if self.state.strict {
            let look = loader.look().await?;
            if look.meta.as_ref().map(|meta| meta.timestamp) != Some(since) {
                return Err(Trouble::Moved.into());
            }
            files.fits(look.found.as_ref());
        }
        let counts = loader.apply(&job.id, &shaped.shape, &mut files, &shaped.meta(data_of)).await?;
        let notes = files.notes();
        let done = self.done();
        done.counts += counts;
        done.note(notes);
        Ok(self.is_done(data_of, false))
    }

    /// The table is of that time now.
    pub(super) fn is_done(&mut self, data_of: Timestamp, is_whole: bool) -> Step {
        self.record_progress();
        let done = self.done();
        done.data_of = Some(data_of);
        done.initialised |= is_whole;
        (self.state.asked, self.state.behind, self.state.needs_init) = (None, None, false);
        self.complete()
    }

    /// Loads a snapshot beside the table, part by part, and makes it the table.
    async fn load_whole(
        &mut self,
        mut loader: Box<dyn Loader>,
        look: &Look,
        job: &Job,
        data_of: Timestamp,
    ) -> Result<Step, Halt> {
        let shaped = self.shaped(look, job.schema_version).await?;
        let shaped = self.shaped_beside(loader.as_mut(), look, shaped).await?;
        loader.treat(self.mark()?);
        if self.state.staging.as_ref() != Some(&job.id) {
            self.state.staging = Some(job.id.clone());
            self.store().await?;
        }
        let there = loader.stage(&job.id, &shaped.shape).await?;
        let mut files = self.files(job, &shaped, false);
        files.skip(&there);
        let mut counts = Counts::default();
        while let Some(part) = files.next().await.map_err(Halt::Lines)? {
            counts += loader.load(&job.id, &shaped.shape, part).await?;
            self.record_progress();
            self.held.lease.check()?;
            if self.plane.core.stop.is_cancelled() {
                return Err(RoundError::Stopping.into());
            }
        }
        let notes = files.notes();
        let version = shaped.version;
        let parts = job.objects.len();
        if look.meta.as_ref().is_some_and(|meta| data_of < meta.timestamp) {
            let behind = Behind { job: job.id.clone(), parts, data_of, version };
            return self.is_behind(behind, counts, notes).await;
        }
        let beside = Staged { job: job.id.clone(), data_of, version, parts, table_of: None };
        if self.state.audit.is_some() {
            return self.is_staged(beside).await;
        }
        self.finish(loader, look, &shaped, &beside, counts, notes).await
    }

    /// Makes what is loaded beside the table the table.
    pub(super) async fn finish(
        &mut self,
        mut loader: Box<dyn Loader>,
        look: &Look,
        shaped: &Shaped,
        beside: &Staged,
        came: Counts,
        notes: Vec<String>,
    ) -> Result<Step, Halt> {
        let ended = loader.finish(&beside.job, &shaped.shape, &shaped.meta(beside.data_of)).await?;
        let is_initialised = look.meta.is_none() || self.order.mode == Mode::Init;
        let Counts { noted, rejected, bytes, .. } = came;
        let done = self.done();
        done.counts = Counts { noted, rejected, bytes, ..ended };
        done.note(notes);
        Ok(self.is_done(beside.data_of, is_initialised))
    }

    /// The shape by which rows are loaded beside the table.
    pub(super) async fn shaped_beside(
        &mut self,
        loader: &mut dyn Loader,
        look: &Look,
        shaped: Shaped,
    ) -> Result<Shaped, Halt> {
        if self.state.audit.is_some() {
            return self.audited_shape(look, shaped);
        }
        if look.meta.is_none() {
            return Ok(shaped);
        }
        let shaped = self.evolve(loader, look, shaped).await?;
        if !self.state.done.held.is_empty() && self.of.settings.reinit == Reinit::Swap {
            let why = "changes of it are held (canvas.on_change), and exchanging the table would make them";
            return Err(Halt::Refused(why.to_owned()));
        }
        Ok(shaped)
    }
}

/// Of when the data of a job are.
pub(super) fn data_of(job: &Job) -> Result<Timestamp, Halt> {
    let said = || format!("job {} does not say of when its data are", job.id);
    job.data_of.ok_or_else(|| Halt::Source(Error::new(Class::Invalid, "get job", said())))
}
