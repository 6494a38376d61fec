//! What a command would change, which the read side knows and the write side asks for.

use async_trait::async_trait;
use pulsetrail_domain::OrganizationId;
use pulsetrail_domain::annotation::Span;
use serde_json::Value;

use super::Problem;

/// Says what an annotation would change. The read side implements it, because uptime is computed there.
#[async_trait]
pub trait AnnotationPreview: Send + Sync {
    /// The uptime of the monitor without and with the annotation: the body that a dry run answers with.
    ///
    /// # Errors
    /// As the analytics have them.
    async fn preview(&self, organization_id: OrganizationId, span: &Span)
    -> Result<Value, Problem>;
}

/// A reference to the schema of the body of [`AnnotationPreview::preview`], which the read side adds to the
/// document.
#[must_use]
pub fn annotation_preview_schema() -> String {
    "#/components/schemas/AnnotationPreview".to_owned()
}
