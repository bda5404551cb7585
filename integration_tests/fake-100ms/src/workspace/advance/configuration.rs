//! What people edit: templates and rooms.

use super::Round;
use crate::workspace::rooms::{self, RoomMaker};
use crate::workspace::templates;

impl Round<'_> {
    pub(super) fn change_templates(&mut self, count: usize) {
        let len = self.workspace.templates.len();
        for position in self.random.choose(len, count) {
            let time = self.some_time();
            // Named before and after: the edit may take a destination away.
            self.touched_template(position);
            let lag = self.workspace.lag;
            let template = self.workspace.templates.edit(position, &lag);
            templates::edit(&mut self.random, template, position, time);
            self.touched_template(position);
        }
    }

    /// A new one comes up now and then, but for sure when there is none.
    pub(super) fn make_template(&mut self, edited: usize) {
        if edited == 0 || !self.random.chance(0.3) {
            return;
        }
        let created_at = self.some_time();
        let workspace = &mut *self.workspace;
        let (id, number) = (workspace.mints.template.next(created_at), workspace.templates.len());
        let apps = &workspace.account.apps;
        let template = templates::one(&mut self.random, id, number, created_at, apps);
        let position = workspace.templates.push(template);
        self.touched_template(position);
    }

    /// The oldest room is edited in every round: no look-back by creation time reaches it.
    pub(super) fn change_rooms(&mut self, count: usize) {
        let len = self.workspace.rooms.len();
        let mut positions = self.random.choose(len, count.saturating_sub(1));
        positions.extend((len > 0).then_some(0));
        for (number, position) in positions.into_iter().enumerate() {
            let time = self.some_time();
            let lag = self.workspace.lag;
            let room = self.workspace.rooms.edit(position, &lag);
            match number % 4 {
                3 => rooms::switch(room, time),
                _ => rooms::edit(&mut self.random, room, position, time),
            }
            let id = room.id;
            self.touched("rooms", id);
        }
    }

    pub(super) fn make_rooms(&mut self, count: usize) {
        for created_at in self.some_times(count) {
            let workspace = &mut *self.workspace;
            let (id, number) = (workspace.mints.room.next(created_at), workspace.rooms.len());
            let maker = RoomMaker { apps: &workspace.account.apps, templates: &workspace.templates };
            let room = maker.one(&mut self.random, id, number, created_at);
            workspace.rooms.push(room);
            self.touched("rooms", id);
        }
    }
}
