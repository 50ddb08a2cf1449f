//! Changes of the settings of a topic: all at once, or one by one.

use std::collections::{BTreeMap, HashSet};

use super::{SettingError, SettingKind, TopicSettings, table};

/// A change of the settings of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SettingsChange {
    /// Replaces all settings by these names and values (`AlterConfigs`).
    Replace(Vec<(String, String)>),
    /// Changes these settings and leaves the others (`IncrementalAlterConfigs`).
    Each(Vec<(String, SettingOperation)>),
}

/// A change of one setting (`AlterConfigOp`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SettingOperation {
    /// Sets the value.
    Set(String),
    /// Resets the setting to its default. No error if it was not set or is unknown.
    Delete,
    /// Adds comma-separated elements to a list, except those that it already has.
    Append(String),
    /// Removes comma-separated elements from a list, if it has them.
    Subtract(String),
}

/// The reason why settings cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChangeError {
    /// A name occurs twice.
    #[error("the request names setting {0:?} twice")]
    Repeated(String),
    /// The setting is not a list.
    #[error("cannot {action} {name:?}, which is not a list")]
    NoList {
        /// The name of the setting.
        name: String,
        /// The operation, as a verb and a preposition.
        action: &'static str,
    },
    /// The result is invalid.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

impl TopicSettings {
    /// Returns the changed settings.
    ///
    /// # Errors
    ///
    /// Returns an error if the change or its result is invalid.
    pub(crate) fn changed(&self, change: &SettingsChange) -> Result<TopicSettings, ChangeError> {
        let pairs: BTreeMap<&str, String> = match change {
            SettingsChange::Replace(pairs) => {
                let mut all = BTreeMap::new();
                for (name, value) in pairs {
                    if all.insert(name.as_str(), value.clone()).is_some() {
                        return Err(ChangeError::Repeated(name.clone()));
                    }
                }
                all
            }
            SettingsChange::Each(operations) => self.each_changed(operations)?,
        };
        Ok(TopicSettings::parse(pairs)?)
    }

    fn each_changed<'a>(
        &'a self,
        operations: &'a [(String, SettingOperation)],
    ) -> Result<BTreeMap<&'a str, String>, ChangeError> {
        let mut pairs: BTreeMap<&str, String> = self
            .overrides()
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        let mut seen = HashSet::new();
        for (name, operation) in operations {
            if !seen.insert(name) {
                return Err(ChangeError::Repeated(name.clone()));
            }
            let value = match operation {
                SettingOperation::Set(value) => value.clone(),
                SettingOperation::Delete => {
                    pairs.remove(name.as_str());
                    continue;
                }
                SettingOperation::Append(more) => {
                    let mut list = self.list(name, "append to")?;
                    for element in elements(more) {
                        if !list.iter().any(|known| known == element) {
                            list.push(element.to_owned());
                        }
                    }
                    list.join(",")
                }
                SettingOperation::Subtract(less) => {
                    let mut list = self.list(name, "subtract from")?;
                    list.retain(|known| elements(less).all(|element| element != known));
                    list.join(",")
                }
            };
            pairs.insert(name, value);
        }
        Ok(pairs)
    }

    /// Returns the elements of a list, which are those of the default if it was not set.
    fn list(&self, name: &str, action: &'static str) -> Result<Vec<String>, ChangeError> {
        let setting = table::find(name).ok();
        let Some(setting) = setting.filter(|setting| setting.kind() == SettingKind::List) else {
            return Err(ChangeError::NoList {
                name: name.to_owned(),
                action,
            });
        };
        let value = self.value_of(setting);
        let listed = elements(&value).filter(|element| !element.is_empty());
        Ok(listed.map(str::to_owned).collect())
    }
}

fn elements(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}
