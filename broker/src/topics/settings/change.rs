//! Altering the settings of a topic: all of them at once, or one by one.

use std::collections::{BTreeMap, HashSet};

use super::{Kind, SettingError, TopicSettings, table};

/// What is to become of a topic's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These, by name, and none beside them (`AlterConfigs`).
    Replace(Vec<(String, String)>),
    /// The others stay as they are (`IncrementalAlterConfigs`).
    Each(Vec<(String, Operation)>),
}

/// What is to become of one setting (`AlterConfigOp`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It has this value.
    Set(String),
    /// It has its default. No error where it was not set, or is not known.
    Delete,
    /// A list gets these elements, comma-separated, those that it has not yet.
    Append(String),
    /// A list loses these elements, those that it has.
    Subtract(String),
}

/// Why settings cannot be altered so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// One name comes twice.
    #[error("setting {0:?} is named twice in one request")]
    Repeated(String),
    /// It has one value, not several.
    #[error("cannot {action} {name:?}, which is not a list")]
    NoList {
        /// Of the setting.
        name: String,
        /// What was asked for, as a verb and a preposition.
        action: &'static str,
    },
    /// What comes out is not valid.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

impl TopicSettings {
    /// These settings, changed.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the change or with what would come of it; then nothing is changed.
    pub fn changed(&self, change: &Change) -> Result<TopicSettings, ChangeError> {
        let pairs: BTreeMap<&str, String> = match change {
            Change::Replace(pairs) => {
                let mut all = BTreeMap::new();
                for (name, value) in pairs {
                    if all.insert(name.as_str(), value.clone()).is_some() {
                        return Err(ChangeError::Repeated(name.clone()));
                    }
                }
                all
            }
            Change::Each(operations) => self.each_changed(operations)?,
        };
        Ok(TopicSettings::parse(pairs)?)
    }

    fn each_changed<'a>(
        &'a self,
        operations: &'a [(String, Operation)],
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
                Operation::Set(value) => value.clone(),
                Operation::Delete => {
                    pairs.remove(name.as_str());
                    continue;
                }
                Operation::Append(more) => {
                    let mut list = self.list(name, "append to")?;
                    for element in elements(more) {
                        if !list.iter().any(|known| known == element) {
                            list.push(element.to_owned());
                        }
                    }
                    list.join(",")
                }
                Operation::Subtract(less) => {
                    let mut list = self.list(name, "subtract from")?;
                    list.retain(|known| elements(less).all(|element| element != known));
                    list.join(",")
                }
            };
            pairs.insert(name, value);
        }
        Ok(pairs)
    }

    /// The elements that hold now, the default's if none were set.
    fn list(&self, name: &str, action: &'static str) -> Result<Vec<String>, ChangeError> {
        let setting = table::find(name).ok();
        let Some(setting) = setting.filter(|setting| setting.kind() == Kind::List) else {
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
