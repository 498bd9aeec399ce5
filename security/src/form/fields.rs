//! The fields of a form, by name in lower case, in the order they came.

use super::error::FormError;

/// What stands for the file's own name in a field.
const FILENAME: &str = "${filename}";

/// Fields of one form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Adds one; a name that stands already is refused, for then nobody knows which is meant.
    pub fn add(&mut self, name: &str, value: String) -> Result<(), FormError> {
        let name = name.to_ascii_lowercase();
        if self.get(&name).is_some() {
            let message = format!("The form field {name} was given more than once.");
            return Err(FormError::Field { name, message });
        }
        self.0.push((name, value));
        Ok(())
    }

    /// The value of a field, by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Puts the file's name where a field asks for it; never in the policy, which is signed as it is.
    pub fn name_the_file(&mut self, file: &str) {
        for (_, value) in
            self.0.iter_mut().filter(|(name, value)| name != "policy" && value.contains(FILENAME))
        {
            *value = value.replace(FILENAME, file);
        }
    }
}
