//! The settings of a topic: those that were set for it, checked, and what all of them come to.
//!
//! `table` has each setting that there is, `rule` what values it may have; `change` alters them. Nothing here knows
//! topics, files or the protocol.

mod change;
mod rule;
mod table;

use std::collections::BTreeMap;

use crate::log;

pub use change::{Change, ChangeError, Operation};
pub use rule::{Kind, Setting};
pub use table::all;

/// What was set for one topic, always valid, and what follows from it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicSettings {
    /// By name, in the words of whoever set it, without blanks around them.
    overrides: BTreeMap<&'static str, String>,
    values: Values,
}

/// What all settings of a topic come to, the defaults included.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    log: log::Settings,
    min_insync_replicas: i32,
}

/// Why a topic cannot have a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// Nobody knows it.
    #[error("there is no topic setting {name:?}{}", match .nearest { Some(near) => format!("; did you mean {near}?"), None => String::new() })]
    Unknown {
        /// As asked for.
        name: String,
        /// The one that is spelt nearly so.
        nearest: Option<&'static str>,
    },
    /// Kafka has it, this broker does not.
    #[error("topic setting {name} is not supported: {why}; leave it out")]
    Unsupported {
        /// Of the setting.
        name: String,
        /// What stands against it.
        why: &'static str,
    },
    /// It cannot have that value.
    #[error("invalid value {value:?} for {name}: {why}")]
    Value {
        /// Of the setting.
        name: &'static str,
        /// As asked for.
        value: String,
        /// What would be right.
        why: String,
    },
    /// Two of them contradict each other.
    #[error("min.compaction.lag.ms ({min}) is more than max.compaction.lag.ms ({max})")]
    Lags {
        /// The least, ms.
        min: i64,
        /// The most, ms.
        max: i64,
    },
}

impl TopicSettings {
    /// Takes up names and values; of a name that comes twice the last one counts, as in Kafka.
    ///
    /// # Errors
    ///
    /// The first that no topic can have.
    pub fn parse<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<TopicSettings, SettingError> {
        let mut settings = TopicSettings::default();
        for (name, value) in pairs {
            let setting = table::find(name.as_ref())?;
            let text = setting.check(value.as_ref())?;
            settings.overrides.insert(setting.name, text);
        }
        for (name, text) in &settings.overrides {
            table::find(name)?.apply(&mut settings.values, text)?;
        }
        let log = &settings.values.log;
        if log.min_compaction_lag_ms > log.max_compaction_lag_ms {
            return Err(SettingError::Lags {
                min: log.min_compaction_lag_ms,
                max: log.max_compaction_lag_ms,
            });
        }
        Ok(settings)
    }

    /// What was set, by name. No value has a blank in it.
    pub fn overrides(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.overrides.iter().map(|(name, text)| (*name, &**text))
    }

    /// What was set for this name.
    pub fn override_of(&self, setting: &Setting) -> Option<&str> {
        self.overrides.get(setting.name).map(String::as_str)
    }

    /// What holds: as it was set, or the default.
    pub fn value_of(&self, setting: &Setting) -> String {
        match self.override_of(setting) {
            Some(text) => text.to_owned(),
            None => setting.default(),
        }
    }

    /// What they mean to the log of each partition.
    pub fn log(&self) -> &log::Settings {
        &self.values.log
    }

    /// How many nodes must have a batch before a producer with acks=all hears of it (`min.insync.replicas`).
    ///
    /// Default 1. There is one node, so a topic that wants more takes no such batch.
    pub fn min_insync_replicas(&self) -> i32 {
        self.values.min_insync_replicas
    }
}

impl Default for Values {
    fn default() -> Values {
        Values {
            log: log::Settings::default(),
            min_insync_replicas: 1,
        }
    }
}

#[cfg(test)]
mod tests;
