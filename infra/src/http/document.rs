//! The OpenAPI document: schemas of bodies by schemars, whose JSON Schema 2020-12 is that of OpenAPI 3.1,
//! and operations by utoipa, beside their handlers.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

/// A reference to the schema of a body: it is among the document's components under the name that
/// schemars has for it.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> String {
    format!("#/components/schemas/{}", T::schema_name())
}

/// The schemas of the document.
pub struct Components(SchemaGenerator);

impl Default for Components {
    fn default() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
        });
        Self(settings.into_generator())
    }
}

impl Components {
    /// Adds the schema of a body, and those that it is made of.
    pub fn add<T: JsonSchema>(&mut self) {
        self.0.subschema_for::<T>();
    }

    /// All of them by name.
    #[must_use]
    pub fn take(mut self) -> serde_json::Map<String, Value> {
        self.0.take_definitions(true)
    }
}
