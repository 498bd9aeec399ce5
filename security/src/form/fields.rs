//! The fields of a form, by name in lower case, in the order they came.

use super::decoder::FORM_BYTES_MAX;
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

    /// Puts the file's name where a field asks for it; never in the policy, which is signed as it is. What comes of it is
    /// bounded as the form itself is: a long name that is asked for often would be many times as much.
    pub fn name_the_file(&mut self, file: &str) -> Result<(), FormError> {
        let mut room = FORM_BYTES_MAX;
        for (name, value) in self.0.iter_mut().filter(|(name, _)| name != "policy") {
            let asked = value.matches(FILENAME).count();
            let length = value.len() - asked * FILENAME.len() + asked * file.len();
            room = room.checked_sub(name.len() + length).ok_or(FormError::TooLong)?;
            if asked > 0 {
                *value = value.replace(FILENAME, file);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{FORM_BYTES_MAX, Fields, FormError};

    #[test]
    fn a_files_name_makes_no_form_larger_than_a_form_may_be() {
        let named = |count: usize, length: usize| {
            let mut fields = Fields::default();
            fields.add("policy", "${filename}".to_owned()).unwrap();
            fields.add("Key", "a/${filename}".repeat(count)).unwrap();
            let outcome = fields.name_the_file(&"n".repeat(length));
            outcome.map(|()| fields.iter().map(|(_, value)| value.len()).sum::<usize>())
        };
        assert_eq!(named(2, 5).ok(), Some("${filename}".len() + 2 * 7));
        assert_eq!(named(1, FORM_BYTES_MAX - 5).ok(), Some("${filename}".len() + FORM_BYTES_MAX - 3));
        for (count, length) in [(1, FORM_BYTES_MAX - 4), (900, 9_000)] {
            assert!(matches!(named(count, length), Err(FormError::TooLong)), "{count} {length}");
        }
    }
}
