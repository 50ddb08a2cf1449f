//! The settings of a topic: the ones that were set for it, and the values that result from them.
//!
//! `table` lists all settings, `rule` says which values they accept, and `change` alters them. Nothing here knows topics,
//! files or the protocol.

mod change;
mod rule;
mod table;

use std::collections::BTreeMap;

use crate::log::LogConfig;

pub(crate) use change::{ChangeError, SettingOperation, SettingsChange};
pub(crate) use rule::{Setting, SettingKind};
pub(crate) use table::all;

/// The valid settings of a topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TopicSettings {
    /// The settings that differ from the defaults: names, and values as they were given but without whitespace.
    overrides: BTreeMap<&'static str, String>,
    values: SettingValues,
}

/// The values of all settings of a topic, with the defaults.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SettingValues {
    log: LogConfig,
    min_insync_replicas: i32,
}

/// The reason why a topic cannot have a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingError {
    /// Neither this broker nor Kafka has the setting.
    #[error("unknown topic setting {name:?}{}", match .nearest { Some(near) => format!("; did you mean {near}?"), None => String::new() })]
    Unknown {
        /// The unknown name.
        name: String,
        /// A setting with a similar name.
        nearest: Option<&'static str>,
    },
    /// Kafka has the setting, but this broker does not.
    #[error("topic setting {name} is not supported: {why}; leave it out")]
    Unsupported {
        /// The name of the setting.
        name: String,
        /// The reason.
        why: &'static str,
    },
    /// The setting does not accept the value.
    #[error("invalid value {value:?} for {name}: {why}")]
    Value {
        /// The name of the setting.
        name: &'static str,
        /// The invalid value.
        value: String,
        /// What is expected instead.
        why: String,
    },
    /// The limits of the compaction lag contradict each other.
    #[error("min.compaction.lag.ms ({min}) exceeds max.compaction.lag.ms ({max})")]
    Lags {
        /// The value of `min.compaction.lag.ms`.
        min: i64,
        /// The value of `max.compaction.lag.ms`.
        max: i64,
    },
}

impl TopicSettings {
    /// Parses names and values. If a name occurs twice, the last value counts, as in Kafka.
    ///
    /// # Errors
    ///
    /// Returns the error of the first invalid setting.
    pub(crate) fn parse<N: AsRef<str>, V: AsRef<str>>(
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

    /// Returns names and values of the settings that were set. No value contains whitespace.
    pub(crate) fn overrides(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.overrides.iter().map(|(name, text)| (*name, &**text))
    }

    /// Returns the value that was set, if any.
    pub(crate) fn override_of(&self, setting: &Setting) -> Option<&str> {
        self.overrides.get(setting.name).map(String::as_str)
    }

    /// Returns the value in effect: the one that was set, or the default.
    pub(crate) fn value_of(&self, setting: &Setting) -> String {
        match self.override_of(setting) {
            Some(text) => text.to_owned(),
            None => setting.default(),
        }
    }

    /// Returns the settings of the log of each partition.
    pub(crate) fn log(&self) -> &LogConfig {
        &self.values.log
    }

    /// Returns the number of nodes that must have a batch before a producer with acks=all gets its acknowledgement
    /// (`min.insync.replicas`, default 1).
    ///
    /// There is only one node, so a topic with a larger value refuses such batches.
    pub(crate) fn min_insync_replicas(&self) -> i32 {
        self.values.min_insync_replicas
    }
}

impl Default for SettingValues {
    fn default() -> SettingValues {
        SettingValues {
            log: LogConfig::default(),
            min_insync_replicas: 1,
        }
    }
}

#[cfg(test)]
mod tests;
