//! Which batches go as jobs, one after the other, as slots are given or not.

use std::collections::{HashSet, VecDeque};

use crate::{
    engine::settings::JobSettings,
    planes::folder::{
        batches::{Batch, Line, Queued, what_fits},
        names::Names,
        snapshot::Snapshot,
        state::FolderState,
    },
};

/// The batches of one round, one after the other: source folders, then the pieces of sets that failed, then
/// all others in line.
#[derive(Debug)]
pub(in crate::planes::folder) struct Batches<'a> {
    snapshot: &'a Snapshot,
    /// How many files a job takes.
    most: usize,
    /// Whether there is a lane for small requests.
    lane: bool,
    stage: Stage<'a>,
}

#[derive(Debug)]
enum Stage<'a> {
    Trees(VecDeque<Queued<'a>>),
    Pieces(VecDeque<Names>),
    Line(Line<'a>),
    /// There is no slot for all of them: those of small requests may go by the express lane.
    Priority(Line<'a>),
    Over,
}

impl<'a> Batches<'a> {
    pub(in crate::planes::folder) fn new(snapshot: &'a Snapshot, settings: &JobSettings) -> Self {
        Self {
            snapshot,
            most: settings.max_items_per_job.max(1),
            lane: settings.express_slots > 0,
            stage: Stage::Trees(snapshot.trees_missing().into()),
        }
    }

    /// The batch that goes next as things stand; none where there is nothing more, or it has to wait.
    pub(in crate::planes::folder) fn next(&mut self, state: &FolderState) -> Option<Batch<'a>> {
        loop {
            match &mut self.stage {
                Stage::Trees(trees) if trees.is_empty() => {
                    self.stage = Stage::Pieces(state.pieces_to_submit().into());
                }
                Stage::Trees(trees) => {
                    let files: Vec<_> = trees.drain(..trees.len().min(self.most)).collect();
                    let express = files.iter().all(|queued| self.snapshot.is_small(queued.waiter));
                    return self.whole(state, Batch { express, ..Batch::of(files) });
                }
                Stage::Pieces(pieces) => {
                    let Some(piece) = pieces.pop_front() else {
                        let apart = state.pieces.iter().flat_map(|piece| &piece.names);
                        let apart: HashSet<&str> = apart.map(String::as_str).collect();
                        self.stage = Stage::Line(self.snapshot.line(&apart));
                        continue;
                    };
                    let files = self.snapshot.queued(&piece);
                    if !files.is_empty() {
                        return self.whole(state, Batch { piece: true, ..Batch::of(files) });
                    }
                }
                Stage::Line(line) => {
                    let (files, express) = line.next(self.most);
                    let batch = self.as_fits(state, files, express);
                    if batch.is_some() {
                        return batch;
                    }
                    self.refused(express);
                }
                Stage::Priority(line) => {
                    let (files, _) = line.next(self.most);
                    let batch = self.as_fits(state, files, true);
                    if batch.is_none() {
                        self.stage = Stage::Over;
                    }
                    return batch;
                }
                Stage::Over => return None,
            }
        }
    }

    /// Takes note of whether that batch, the last one, went.
    pub(in crate::planes::folder) fn went(&mut self, batch: &Batch<'_>, went: bool) {
        match &mut self.stage {
            Stage::Trees(_) | Stage::Pieces(_) if went => {}
            Stage::Line(line) if went => line.went(batch.files.len()),
            Stage::Line(_) => self.refused(batch.express),
            Stage::Trees(_) | Stage::Pieces(_) | Stage::Priority(_) | Stage::Over => self.stage = Stage::Over,
        }
    }

    /// The batch, if the record has room for all of it and a slot may be asked for; else that was all.
    fn whole(&mut self, state: &FolderState, batch: Batch<'a>) -> Option<Batch<'a>> {
        let names = what_fits(state, &batch.files);
        if names.len() == batch.files.len() && state.may_ask(batch.express, self.lane) {
            return Some(Batch { names, ..batch });
        }
        self.stage = Stage::Over;
        None
    }

    /// As many of the files as the record has room for, if that is in order now.
    fn as_fits(&self, state: &FolderState, mut files: Vec<Queued<'a>>, express: bool) -> Option<Batch<'a>> {
        let is_unfilled = files.len() < self.most;
        if (is_unfilled && state.has_unfilled_job(express)) || !state.may_ask(express, self.lane) {
            return None;
        }
        let names = what_fits(state, &files);
        files.truncate(names.len());
        (!files.is_empty()).then(|| Batch { names, express, ..Batch::of(files) })
    }

    /// The front of the line does not go.
    fn refused(&mut self, express: bool) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Line(line) if !express => Stage::Priority(Line { others: VecDeque::new(), ..line }),
            _ => Stage::Over,
        };
    }
}

impl FolderState {
    /// Whether a slot for such a job is at hand, or may be asked for: one that was asked for and not
    /// given comes in its time. `lane`: there is one for small requests.
    fn may_ask(&self, express: bool, lane: bool) -> bool {
        let lane = express && lane;
        self.wish.as_ref().is_none_or(|wish| wish.serves(express) || (lane && !wish.express))
    }
}
