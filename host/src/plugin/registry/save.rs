//! Saves the chain, so that a restart finds it: the versions of the handlers, and the record of them.

use super::{Registry, record::ChainRecord, slot::HandlerSlot, versions::VersionStore};
use crate::telemetry::in_one_line;

impl Registry {
    /// Saves the chain if it has changed. If that fails, it runs all the same, and the failure is logged and shown by
    /// [`list`](Self::list). The caller holds the lock of changes.
    pub(super) fn save(&self) {
        let Some(versions) = &self.0.versions else {
            return;
        };
        // The record counts more than the versions: it says which handlers are paused.
        let kept = self.keep_versions(versions);
        let written = self.write_record(versions);
        let why = kept.and(written).err();
        let why = why.map(|error| format!("{}: {}", versions.dir().display(), in_one_line(&error)));
        let mut notes = self.0.notes.lock();
        if let Some(why) = &why
            && notes.unsaved.as_ref() != Some(why)
        {
            tracing::error!(
                why,
                "cannot save the chain of handlers, so a restart may not find it; check handlers.versions"
            );
        }
        if why.is_none() && notes.unsaved.is_some() {
            tracing::info!("the chain of handlers is saved");
        }
        notes.unsaved = why;
    }

    /// Tries again to save the chain, if that has failed.
    pub(super) fn save_again(&self) {
        if self.0.notes.lock().unsaved.is_some() {
            let _changing = self.begin_change();
            self.save();
        }
    }

    /// Keeps the files of the versions that are only in memory, and releases them there.
    fn keep_versions(&self, versions: &VersionStore) -> std::io::Result<()> {
        let sources: Vec<_> = {
            let slots = self.slots();
            slots.values().flat_map(HandlerSlot::sources).collect()
        };
        for source in sources {
            versions.keep(&source)?;
            for slot in self.slots().values_mut() {
                slot.release(source.digest());
            }
        }
        Ok(())
    }

    fn write_record(&self, versions: &VersionStore) -> std::io::Result<()> {
        let handlers = {
            let slots = self.slots();
            let mut slots: Vec<_> = slots.iter().collect();
            slots.sort_by_key(|(_, slot)| &slot.path);
            let records = slots
                .into_iter()
                .filter_map(|(name, slot)| slot.to_record(name));
            records.collect()
        };
        let is_complete = self.0.notes.lock().is_established;
        let record = ChainRecord::new(&versions.drop_in, &versions.group, is_complete, handlers);
        if self.0.notes.lock().saved.as_ref() == Some(&record) {
            return Ok(());
        }
        versions.write(&record)?;
        self.0.notes.lock().saved = Some(record);
        Ok(())
    }
}
